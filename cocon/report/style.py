"""The style sheet of reports: ``report.css``, and the colours of the views from their table."""

from __future__ import annotations

import re
from pathlib import Path

from cocon.views import VIEWS

_ASSETS = Path(__file__).with_name("assets")


def style_sheet() -> str:
    """CSS of a page; a line of class ``view-<name>`` has the colour of that view."""
    light, dark = (
        " ".join(f"--{view.name}: {view.colours[theme]};" for view in VIEWS.values()) for theme in (0, 1)
    )
    classes = "".join(f".view-{view} {{ --series: var(--{view}); }}\n" for view in VIEWS)
    return (
        f"{_report()}:root {{ {light} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n{classes}"
    )


def light_colours() -> dict[str, str]:
    """The variables of ``report.css`` on a light page: viewers of pictures know no variables."""
    return dict(re.findall(r"--([\w-]+): ([^;]+);", _report().partition("}")[0]))


def _report() -> str:
    return (_ASSETS / "report.css").read_text(encoding="utf-8")

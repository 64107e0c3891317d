"""The style sheet of reports: ``report.css``, and the colours of views and pretrainings from their tables."""

from __future__ import annotations

import re
from pathlib import Path

from cocon.pretrainings import PRESETS
from cocon.report.marks import colour_of
from cocon.views import VIEWS

_ASSETS = Path(__file__).with_name("assets")


def style_sheet() -> str:
    """CSS of a page: classes ``view-<name>`` colour lines, classes ``dot-<name>`` marks of pretrainings."""
    light, dark = (
        " ".join(f"--{view.name}: {view.colours[theme]};" for view in VIEWS.values()) for theme in (0, 1)
    )
    classes = "".join(f".view-{view} {{ --series: var(--{view}); }}\n" for view in VIEWS)
    classes += "".join(f".dot-{name} {{ --mark: var(--{colour_of(name)}); }}\n" for name in PRESETS)
    return (
        f"{_report()}:root {{ {light} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n{classes}"
    )


def light_colours() -> dict[str, str]:
    """The variables of ``report.css`` on a light page: viewers of pictures do not support variables."""
    return dict(re.findall(r"--([\w-]+): ([^;]+);", _report().partition("}")[0]))


def _report() -> str:
    return (_ASSETS / "report.css").read_text(encoding="utf-8")

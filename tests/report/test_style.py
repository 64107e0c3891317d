from __future__ import annotations

import re

from cocon.pretrainings import PRESETS
from cocon.report.style import style_sheet


def test_every_pretraining_has_a_colour_of_its_own_on_light_and_on_dark_pages() -> None:
    css = style_sheet()
    variables = dict(re.findall(r"^\.dot-(\w+) { --mark: var\(--([\w-]+)\); }$", css, re.M))
    assert variables.keys() == PRESETS.keys()
    light, dark = css.split("prefers-color-scheme: dark", 1)[0], css.split("prefers-color-scheme: dark", 1)[1]
    for page in (light, dark):
        colours = [re.search(rf"--{name}: ([^;]+);", page)[1] for name in variables.values()]
        assert len(set(colours)) == len(colours)

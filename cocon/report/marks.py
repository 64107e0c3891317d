"""Marker shapes and colours of pretrainings, from the table :data:`cocon.pretrainings.PRESETS`."""

from __future__ import annotations

from cocon.pretrainings import PRESETS, RANDOM, STAGE1

_PATHS = {"circle": "M-4.2 0a4.2 4.2 0 1 0 8.4 0a4.2 4.2 0 1 0-8.4 0z", "diamond": "M0-5L5 0 0 5-5 0z",
            "up": "M0-5L5 4H-5z", "down": "M0 5L5-4H-5z", "square": "M-4-4H4V4H-4z"}  # fmt: skip
_SHAPES = ("diamond", "up", "down", "circle", "square")
_OTHER = ("dot-other", "square")
_STYLES = {RANDOM: ("dot-random hollow", "circle"), STAGE1: ("dot-stage1", "square")} | {
    name: (f"dot-{name}{' hollow' * (place // len(_SHAPES) % 2)}", _SHAPES[place % len(_SHAPES)])
    for place, name in enumerate(PRESETS)
}
_SHOWN = "cocon"
#: --class-1 to --class-11 of report.css; --class-0 has the colour of _SHOWN
_CLASSES = 11
_COLOURS = {_SHOWN: "heat"} | {
    name: f"class-{1 + place % _CLASSES}"
    for place, name in enumerate(name for name in PRESETS if name != _SHOWN)
}

MARKERS: dict[str, str] = dict((*_STYLES.values(), _OTHER))
"""Shape by the classes of a mark."""


def mark_of(pretraining: str) -> tuple[str, str]:
    """Classes of a pretraining's mark, and its shape; ``hollow`` once all shapes are in use."""
    return _STYLES.get(pretraining, _OTHER)


def colour_of(pretraining: str) -> str:
    """The variable of ``report.css`` with the colour of a pretraining's line."""
    return _COLOURS.get(pretraining, "quiet")


def marker_path(shape: str) -> str:
    """The SVG path of a marker around the origin."""
    return _PATHS[shape]

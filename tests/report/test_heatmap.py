from xml.etree import ElementTree

import numpy as np

from cocon.report.heatmap import LEVELS, shaded, shades


def test_stronger_values_have_stronger_shades_and_zero_has_none() -> None:
    root = ElementTree.fromstring(f"<g>{shades(np.array([[0, 0.31], [0.3, 1]]), cell=10, margin=5)}</g>")
    levels = {element.get("style"): element.get("d") or "" for element in root}
    assert list(levels) == ["--level:0.3", "--level:0.4", "--level:1.0"]
    assert levels["--level:0.3"].startswith("M5 15h10")
    assert levels["--level:0.4"].startswith("M15 5h10")
    assert LEVELS == 10


def test_a_drawing_is_as_wide_as_its_columns() -> None:
    root = ElementTree.fromstring(shaded(np.ones((2, 5)), "<name>", cell=10))
    assert root.get("viewBox") == "-1 -1 52 22"
    assert root.get("aria-label") == "<name>"

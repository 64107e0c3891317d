import re
from xml.etree import ElementTree

import numpy as np
import pytest

from cocon.report.dendrogram import draw_tree


def test_the_most_alike_are_joined_first() -> None:
    cosines = np.array([[1, 0.1, 0.9], [0.1, 1, 0.2], [0.9, 0.2, 1]])
    root = ElementTree.fromstring(draw_tree(cosines, ["a", "<far>", "c"]))
    names = [element.text for element in root if element.get("class") == "axis"]
    assert names in (["<far>", "a", "c"], ["<far>", "c", "a"], ["a", "c", "<far>"], ["c", "a", "<far>"])
    joints = [float(element[0].text or "") for element in root if element.get("class") == "branch"]
    assert joints == pytest.approx([0.9, 0.15])  # the mean of .1 and .2
    corners = [
        float(re.search(r"H([\d.]+)V", element.get("d") or "")[1])  # type: ignore[index]
        for element in root
        if element.get("class") == "branch"
    ]
    assert corners[1] < corners[0]  # later joints stand further from the names


def test_400_classes_have_a_tree() -> None:
    x = np.random.default_rng(0).normal(size=(400, 8))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    svg = draw_tree(x @ x.T, [f"class {number}" for number in range(400)])
    assert svg.count('class="branch"') == 399
    assert len(svg) < 200_000


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("noise", [0.0, 1e-17, 1e-16, 1e-12])
@pytest.mark.parametrize("classes", [2, 5])
def test_classes_that_are_all_the_same_have_a_tree(classes: int, noise: float) -> None:
    cosines = 1 - noise * np.random.default_rng(0).random((classes, classes))
    svg = draw_tree(cosines, [str(number) for number in range(classes)])
    ElementTree.fromstring(svg)
    assert svg.count('class="branch"') == classes - 1
    assert "nan" not in svg

"""The two environments of make: .venv and, for the optional backends, .venv-backends."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from pathlib import Path

#: what the backends need in another version than everything else
DIFFERENT = {"torch"}


def pins(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==(\S+)$", path.read_text().lower(), re.M))


def test_both_environments_have_the_same_versions(repository: Path) -> None:
    small, large = pins(repository / "requirements.txt"), pins(repository / "requirements-backends.txt")
    assert set(small) <= set(large)
    assert {name for name in small if small[name] != large[name]} == DIFFERENT


def test_pinned_backends_fit_the_extra(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    pinned = pins(repository / "requirements-backends.txt")
    for requirement in project["optional-dependencies"]["torchvision"]:
        name, bound = re.fullmatch(r"([\w-]+)>=([\w.]+)", requirement).groups()  # type: ignore[union-attr]
        assert tuple(map(int, pinned[name].split("."))) >= tuple(map(int, bound.split("."))), name


def test_one_opencv_and_no_more(repository: Path) -> None:
    """Two distributions would write the same files, and the last one installed would win."""
    for name in ("requirements.txt", "requirements-backends.txt"):
        found = [pin for pin in pins(repository / name) if pin.startswith("opencv")]
        assert found == ["opencv-contrib-python-headless"], name
    assert len(set(importlib.metadata.packages_distributions()["cv2"])) == 1

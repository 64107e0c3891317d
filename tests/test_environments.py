"""The two environments of make: .venv and, for the optional backends, .venv-backends."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest

LOCKS = sorted(path.name for path in Path(__file__).parent.parent.glob("requirements*.txt"))
#: what the backends need in another version than everything else: torch, and the parts of CUDA that it brings
DIFFERENT = re.compile(r"torch|triton|nvidia-.+|cuda-.+")


def pins(path: Path) -> dict[str, str]:
    """The version of every package, under the name that the package index has for it.

    Of a package with several versions, each for other versions of Python, the last one: the newest.
    """
    found = re.findall(r"^([\w.-]+)==(\S+)(?: ;.+)?$", path.read_text().lower(), re.M)
    return {re.sub(r"[-_.]+", "-", name): version for name, version in found}


@pytest.mark.parametrize("name", LOCKS)
def test_locks_are_those_that_make_lock_writes(repository: Path, name: str) -> None:
    """Nothing but pins with their markers: no index, no path, nothing added by hand."""
    made_by, command, *lines = (repository / name).read_text().splitlines()
    assert (made_by[:1], command.split()) == ("#", ["#", "make", "lock"])
    assert f"--output-file {name}\n" in (repository / "Makefile").read_text()
    pin = re.compile(r"[a-z0-9-]+==[\w.]+( ; [\w.<>=!' ()*]+)?")
    assert [line for line in lines if not pin.fullmatch(line)] == []


def test_both_environments_have_the_same_versions(repository: Path) -> None:
    small, large = pins(repository / "requirements.txt"), pins(repository / "requirements-backends.txt")
    assert set(small) <= set(large)
    different = {name for name in small if small[name] != large[name]}
    assert "torch" in different
    assert [name for name in different if not DIFFERENT.fullmatch(name)] == []


@pytest.mark.parametrize("name", ["requirements-docs.txt", "requirements-s3.txt"])
def test_what_environments_share_has_one_version(repository: Path, name: str) -> None:
    """.venv has the versions of two files once what test-s3 needs is installed."""
    base, more = pins(repository / "requirements.txt"), pins(repository / name)
    shared = [package for package in more if package in base and not DIFFERENT.fullmatch(package)]
    assert len(shared) > 10
    assert {package: more[package] for package in shared} == {package: base[package] for package in shared}


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

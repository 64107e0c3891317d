"""examples/embed_a_folder.py, run as a user would; docs/embed_folder.md shows it."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cocon.export.encoder import Encoder

NAMES = ("walk/a", "walk/b", "short", "broken")


@pytest.fixture
def folder(data: Path, exported: Path, tmp_path: Path) -> Path:
    """``clips`` with three videos and one that cannot be decoded, and ``encoder``."""
    for name in NAMES:
        path = tmp_path / "clips" / f"{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(data / "videos" / f"{name}.mp4")
    (tmp_path / "clips" / "notes.txt").touch()
    (tmp_path / "encoder").symlink_to(exported)
    return tmp_path


def run(repository: Path, folder: Path, output: str) -> list[str]:
    script = repository / "examples" / "embed_a_folder.py"
    done = subprocess.run(
        [sys.executable, str(script), "clips", "encoder", output], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_folder_is_embedded_and_its_neighbours_are_named(
    repository: Path, folder: Path, encoder: Encoder
) -> None:
    lines = run(repository, folder, "out.npz")
    with np.load(folder / "out.npz") as arrays:
        ids, vectors = arrays["ids"].tolist(), arrays["vectors"]
    assert ids == ["clips/short.mp4", "clips/walk/a.mp4", "clips/walk/b.mp4"]
    expected = encoder.embed([folder / video for video in ids])
    np.testing.assert_allclose(vectors, expected.multi_view, atol=1e-5)
    cosines = sum(x @ x.T for x in expected.views.values()) / len(expected.views)
    for number, line in enumerate(lines[:3]):
        others = sorted((other for other in range(3) if other != number), key=lambda o: -cosines[number, o])
        named = ", ".join(f"{ids[other]} ({cosines[number, other]:.3f})" for other in others)
        assert line == f"{ids[number]} is most like {named}"
    assert lines[3].startswith("clips/broken.mp4 was skipped: ")
    assert len(lines) == 4


def test_the_table_has_a_row_per_video(repository: Path, folder: Path, encoder: Encoder) -> None:
    for name in ("walk/a", "walk/b"):
        (folder / "clips" / f"{name}.mp4").unlink()
    lines = run(repository, folder, "out.csv")
    assert lines[0] == "clips/short.mp4 is most like no other"
    (row,) = csv.reader((folder / "out.csv").read_text().splitlines())
    assert row[0] == "clips/short.mp4"
    expected = encoder.embed([folder / "clips" / "short.mp4"]).multi_view[0]
    np.testing.assert_allclose(np.array(row[1:], float), expected, atol=1e-5)

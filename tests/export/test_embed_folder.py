"""The Python of docs/embed_folder.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest


def test_the_snippet_names_the_nearest_neighbour(
    repository: Path,
    data: Path,
    exported: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = (repository / "docs" / "embed_folder.md").read_text()
    (snippet,) = re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)
    (tmp_path / "clips").mkdir()
    for name in ("walk/a", "walk/b", "broken"):
        (tmp_path / "clips" / f"{Path(name).name}.mp4").symlink_to(data / "videos" / f"{name}.mp4")
    (tmp_path / "results/mine/export").mkdir(parents=True)
    (tmp_path / "results/mine/export/cmc_sync").symlink_to(exported)
    monkeypatch.chdir(tmp_path)
    exec(snippet, {})
    first, second, third = capsys.readouterr().out.splitlines()
    assert first == "clips/a.mp4 is most like clips/b.mp4"
    assert second == "clips/b.mp4 is most like clips/a.mp4"
    assert third.startswith("not decoded: {'clips/broken.mp4':")

"""The snippets of docs/shard_format.md read what the shards hold, without our reader."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pytest

from cocon.shards import Shard, ShardWriter, VideoRecord
from cocon.shards.codecs import encode_as
from cocon.shards.xxh64 import xxh64

HEIGHT, WIDTH = 45, 70


def snippets(repository: Path) -> dict[str, str]:
    """By codec: the Python under its heading."""
    text = (repository / "docs" / "shard_format.md").read_text()
    parts = re.split(r"^### `(\w+)`$", text, flags=re.M)[1:]
    found = dict(zip(parts[::2], parts[1::2], strict=True))
    return {codec: re.search(r"```python\n(.*?)```", part, re.S).group(1) for codec, part in found.items()}  # type: ignore[union-attr]


def write(path: Path, view: str, codec: Any, content: list[Any]) -> None:
    kind = "keypoints" if codec == "keypoints" else "frames"
    with ShardWriter(path, view=view, video_ids=["a"], parameters={"sigma": 1.5}, codec=codec) as writer:
        writer.add(VideoRecord("a", HEIGHT, WIDTH, 90, 140, 25.0, **{kind: content}))
        writer.finish()


@pytest.mark.parametrize(("codec", "view"), [("delta", "flow"), ("dct", "rgb"), ("jpeg", "rgb")])
def test_pictures(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str, view: str
) -> None:
    noise = np.random.default_rng(0).uniform(0, 255, (8, 9, 3 if view == "rgb" else 2)).astype(np.float32)
    picture = cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR).astype(np.uint8)
    path = tmp_path / f"results/demo/shards/{view}/00000.h5"
    write(path, view, codec, [encode_as(codec, picture, 90)])  # type: ignore[arg-type]
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(snippets(repository)[codec], names)
    read = Shard(path).read("a", [0])[0]
    assert names["picture"].shape == read.shape
    # rounding may go the other way: before the sum in one, after it in the other
    np.testing.assert_allclose(names["picture"].astype(int), read, atol=2 if codec == "dct" else 0)
    if codec == "delta":
        np.testing.assert_array_equal(read, picture)


def test_keypoints(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    persons = np.random.default_rng(0).uniform(0, 1, (2, 17, 3)).astype(np.float32)
    path = tmp_path / "results/demo/shards/pose/00000.h5"
    write(path, "pose", "keypoints", [persons])
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(snippets(repository)["keypoints"], names)
    np.testing.assert_array_equal(names["persons"], Shard(path).keypoints("a")[0])


def test_user_block(tmp_path: Path) -> None:
    """Read by the table of the specification: the place of the frames, and the checksum of all the rest."""
    path = tmp_path / "0.h5"
    write(path, "mask", "delta", [encode_as("delta", np.zeros((HEIGHT, WIDTH, 1), np.uint8), 0)])
    content = path.read_bytes()
    size, position, of_data = np.frombuffer(content, "<u8", 3, 16).tolist()
    version, crc = np.frombuffer(content, "<u4", 2, 8).tolist()
    assert content[:8] == b"CoConSh\n"
    assert (version, size) == (3, len(content))
    assert not any(content[40:512])
    assert crc == zlib.crc32(content[:12] + content[16:position] + content[position + of_data :])
    with h5py.File(path) as file:
        assert file.userblock_size == 512
        data = file["frames/data"]
        assert (data.id.get_offset(), len(data)) == (position, of_data)
        assert data[:].tobytes() == content[position : position + of_data]
        assert file["frames/xxh64"].dtype == np.uint64
        assert file["frames/xxh64"][0] == xxh64(data[:].tobytes())
        assert [file.attrs[name] for name in ("format", "view", "codec")] == [
            b"cocon-shard",
            b"mask",
            b"delta",
        ]
        assert file.attrs["version"] == 3
        assert file["videos/crc32"][0] == zlib.crc32(data[:].tobytes())

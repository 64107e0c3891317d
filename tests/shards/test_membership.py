from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from cocon.datasets.manifest import Video
from cocon.errors import ShardError
from cocon.shards import ShardSet, ShardWriter, VideoRecord
from cocon.shards.codecs import encode_as
from cocon.shards.file_state import UNKNOWN, FileState
from cocon.shards.membership import check
from tests.shards.hostile import PICTURES

OLD, NEW = FileState(100, 7), FileState(100, 8)
ONE, OTHER = "1" * 64, "2" * 64


def shards(folder: Path, sources: Mapping[str, FileState]) -> ShardSet:
    """Every video in a shard of its own."""
    for number, (video_id, source) in enumerate(sources.items()):
        with ShardWriter(
            folder / f"{number:05d}.h5",
            view="mask", video_ids=[video_id], parameters={}, codec="delta", sources={video_id: source},
        ) as writer:  # fmt: skip
            frames = [encode_as("delta", PICTURES[0], 0)]
            writer.add(VideoRecord(video_id, 12, 16, 24, 32, 25.0, frames=frames))
            writer.finish()
    return ShardSet.of_folder(folder)


def videos(sources: Mapping[str, FileState]) -> list[Video]:
    return [Video(name, f"nowhere/{name}.mp4", "", "", {}, source) for name, source in sources.items()]


@pytest.mark.parametrize(
    ("stored", "listed"),
    [
        (OLD, OLD),
        (UNKNOWN, OLD),
        (OLD, UNKNOWN),
        (UNKNOWN, UNKNOWN),
        (FileState(100, 7, ONE), FileState(100, 9, ONE)),
        (FileState(100, 7, ONE), FileState(0, 0, ONE)),
        (FileState(100, 7, ONE), OLD),
    ],
)
def test_what_fits(tmp_path: Path, stored: FileState, listed: FileState) -> None:
    check(shards(tmp_path, {"a": stored}), videos({"a": listed}))


@pytest.mark.parametrize(
    ("stored", "listed"),
    [
        (OLD, NEW),
        (NEW, OLD),
        (OLD, FileState(101, 7)),
        (FileState(100, 7, ONE), FileState(100, 7, OTHER)),
        (FileState(100, 7, ONE), NEW),
        (FileState(100, 0), FileState(101, 0)),
    ],
)
def test_another_file(tmp_path: Path, stored: FileState, listed: FileState) -> None:
    with pytest.raises(ShardError, match=r"1 extracted from another state of the file \(first: 'a'\)"):
        check(shards(tmp_path, {"a": stored}), videos({"a": listed}))


def test_other_videos(tmp_path: Path) -> None:
    folder = tmp_path / "mine" / "shards" / "mask"
    found = shards(folder, {"x": OLD, "a": OLD, "y": OLD})
    with pytest.raises(ShardError) as error:
        check(found, videos({"a": NEW, "b": OLD}))
    assert error.value.message == (
        f"the shards in {folder} do not match the list of 2 videos: 1 in no shard (first: 'b'), "
        "2 in the shards and not in the list (first: 'x'), "
        "1 extracted from another state of the file (first: 'a')"
    )
    assert error.value.hint == (
        "run the extraction again: snakemake extract_mine; with --forceall where it finds nothing to do"
    )


def test_the_hint_without_a_data_set(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match="extract_<data set>"):
        check(shards(tmp_path, {"a": OLD}), [])

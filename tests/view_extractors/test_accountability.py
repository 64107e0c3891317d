"""Real processes that are killed, stopped, run twice, or out of disk."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cocon.config.schema import RgbExtraction
from cocon.errors import ShardError
from cocon.shards import Shard
from cocon.shards.verify import verify
from tests.full_disk import files_up_to
from view_extractors.base import Output
from view_extractors.cli import main
from view_extractors.pipeline import stages
from view_extractors.pipeline.run import extract
from view_extractors.rgb.decode import Rgb

#: many TV-L1 iterations on large frames: seconds for the long video, nothing for the short ones
SLOW = '{"backend": "tvl1_opencv", "short_side": 24}'


@pytest.fixture
def folder(tmp_path, moving, write_video):
    """A video folder: "a" and "b" are short, "z" takes long."""
    for name, frames, size in (("a", 3, 16), ("b", 2, 16), ("z", 40, 64)):
        write_video(tmp_path / "videos" / f"{name}.mkv", moving(frames, size, size))
    return tmp_path


def command(*arguments):
    return [sys.executable, "-m", "view_extractors", *map(str, arguments)]


def start(folder, *arguments, **options):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(
        command(*arguments), cwd=folder, stderr=subprocess.PIPE, text=True, env=environment, **options
    )


def read_until(process, text):
    for line in process.stderr:
        if text in line:
            return
    pytest.fail(f"the process ended without '{text}'")


def decoded_videos(monkeypatch, run):
    """The names of the videos that a run opens."""
    opened, open_video = [], stages.open_video

    def watched(path):
        opened.append(path.stem)
        return open_video(path)

    with monkeypatch.context() as patch:
        patch.setattr(stages, "open_video", watched)
        run()
    return opened


@pytest.mark.parametrize(
    ("stop", "status", "message"),
    [
        (signal.SIGKILL, -9, ""),
        (signal.SIGTERM, 143, "stopped by SIGTERM; the same command resumes"),
        (signal.SIGINT, 130, "stopped by Ctrl-C; the same command resumes"),
    ],
)
def test_stopped_run_is_finished_by_the_same_command(folder, monkeypatch, stop, status, message):
    arguments = ("flow", "videos", "--output", "flow.h5", "--threads", 2, "--settings", SLOW)
    process = start(folder, *arguments)
    read_until(process, "[2/3] b")
    process.send_signal(stop)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == status, rest
    assert message in rest
    assert "Traceback" not in rest
    assert not (folder / "flow.h5").exists()
    assert not list(folder.glob(".*.tmp*"))
    monkeypatch.chdir(folder)
    opened = decoded_videos(monkeypatch, lambda: main([*map(str, arguments)]))
    assert opened == ["z"]
    assert {key: row.frames for key, row in Shard(folder / "flow.h5").videos.items()} == {
        "a": 3,
        "b": 2,
        "z": 40,
    }


def test_second_process_on_one_output_keeps_out(folder):
    arguments = ("flow", "videos", "--output", "flow.h5", "--settings", SLOW)
    first = start(folder, *arguments)
    read_until(first, "[2/3] b")
    second = start(folder, *arguments)
    _, error = second.communicate(timeout=60)
    assert second.returncode == 2
    assert "another process is writing flow.h5" in error
    assert first.poll() is None
    first.kill()
    first.communicate()


def test_two_processes_in_one_folder_do_not_meet(folder):
    settings = ("--settings", "{short_side: 24}")
    names = ("one.h5", "two.h5")
    processes = [start(folder, "rgb", "videos", "--output", name, *settings) for name in names]
    for process in processes:
        _, error = process.communicate(timeout=60)
        assert process.returncode == 0, error
    assert (folder / "one.h5").read_bytes() == (folder / "two.h5").read_bytes()
    assert sorted(path.name for path in folder.iterdir()) == ["one.h5", "two.h5", "videos"]


@pytest.mark.parametrize(
    ("room", "kept"),
    [(lambda whole: 50, 0), (lambda whole: whole // 2, 2), (lambda whole: whole - 1, 3)],
    ids=["for no row", "for two videos", "for all videos but not for the shard"],
)
def test_full_disk_is_explained_and_nothing_false_remains(folder, monkeypatch, room, kept):
    monkeypatch.chdir(folder)
    arguments = ["rgb", "videos", "--settings", "{short_side: 100}", "--output"]
    assert main([*arguments, "whole.h5"]) == 0
    with files_up_to(room((folder / "whole.h5").stat().st_size)):
        process = start(folder, *arguments, "rgb.h5")
    _, error = process.communicate(timeout=60)
    assert process.returncode == 2, error
    assert (
        f"no space left to write (File too large); finished videos are kept, {kept} of 3 in .rgb.work"
        in error
    )
    assert "run the same command again" in error
    assert "Traceback" not in error
    assert sorted(path.name for path in folder.iterdir()) == [".rgb.work", "videos", "whole.h5"]
    opened = decoded_videos(monkeypatch, lambda: main([*arguments, "rgb.h5"]))
    assert opened == ["a", "b", "z"][kept:]
    assert (folder / "rgb.h5").read_bytes() == (folder / "whole.h5").read_bytes()


def filling_after(writes, number):
    """What replaces os.fsync, by which every file reaches the disk, when the disk has room for so many."""
    fsync, left = os.fsync, [writes]

    def full(handle):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(number, os.strerror(number))
        fsync(handle)

    return full


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_disk_that_fills_at_any_write(folder, monkeypatch, number):
    videos = {name: folder / "videos" / f"{name}.mkv" for name in "ab"}

    def run(path):
        return extract(videos, [Output(Rgb(RgbExtraction(short_side=8)), path)])

    run(folder / "whole.h5")
    kept = []
    for writes in range(100):
        path = folder / str(writes) / "x.h5"
        with monkeypatch.context() as patch, contextlib.ExitStack() as stack:
            patch.setattr(os, "fsync", filling_after(writes, number))
            error = stack.enter_context(pytest.raises(ShardError))
            run(path)
            stack.pop_all()
            break
        assert f"no space left to write ({os.strerror(number)})" in error.value.message
        found = re.search(r"kept, (\d) of 2", error.value.message)
        kept.append(int(found[1]) if found else 0)
        if path.exists():  # only the folder's own entry was not on the disk yet
            assert verify(path) == verify(folder / "whole.h5")
        assert not list(path.parent.rglob("*.tmp*"))
        assert run(path).videos <= 2 - kept[-1]
        assert path.read_bytes() == (folder / "whole.h5").read_bytes()
    assert kept == sorted(kept)
    assert set(kept) == {0, 1, 2}

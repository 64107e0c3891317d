from __future__ import annotations

import itertools
import os
import re
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest

from benchmarks.odd_videos import CASES
from benchmarks.video_files import (
    FRAMES,
    RATE,
    copy_from,
    damaged,
    moving,
    remove,
    start_later,
    twin,
    write,
    zero,
)
from cocon.config.schema import RgbExtraction
from cocon.video import VideoError, decode, open_video
from cocon.video.times import Times
from view_extractors.base import Output, Resources
from view_extractors.pipeline.run import extract
from view_extractors.rgb.decode import Rgb

#: mean difference per pixel that coding may make
CODING = 6


def read(path):
    with open_video(path) as video:
        frames = list(video)
    return frames, video


def is_part_of(frames, whole):
    """Whether all frames are among the others, bit by bit and in their order."""
    others = iter(frame.tobytes() for frame in whole)
    return all(frame.tobytes() in others for frame in frames)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_table_of_odd_videos(tmp_path, case):
    path = case.make(tmp_path)
    if case.outcome == "skipped":
        with pytest.raises(VideoError, match=case.reason) as caught:
            list(decode(path))
        assert str(tmp_path) not in caught.value.message, "rows of a shard do not name a machine's folders"
        return
    frames, video = read(path)
    assert ("repaired" if video.reason else "ok") == case.outcome
    assert re.search(case.reason, video.reason)
    assert video.frames == len(frames) > 0
    assert (video.height, video.width, 3) == frames[0].shape
    assert all(frame.shape == frames[0].shape and frame.flags.c_contiguous for frame in frames)
    assert video.fps == pytest.approx(case.fps)
    if twin(path).exists():
        whole = list(decode(twin(path)))
        assert len(frames) < len(whole)
        assert is_part_of(frames, whole)
    elif case.outcome == "ok":
        truth = case.truth()
        assert [frame.shape for frame in frames] == [frame.shape for frame in truth]
        for frame, right in zip(frames, truth, strict=True):
            assert np.abs(frame.astype(int) - right).mean() < CODING


def test_table_stands_in_the_docs(repository):
    text = (repository / "docs" / "decoding.md").read_text()
    rows = re.findall(r"^\| (.+) \| (ok|repaired|skipped) \| (.+) \|$", text, re.MULTILINE)
    assert rows == [(case.name, case.outcome, case.policy) for case in CASES]


def test_lossless_video_comes_back_exactly(tmp_path):
    frames = moving(7)
    decoded, video = read(write(tmp_path / "v.mkv", frames, "ffv1", "bgr0"))
    np.testing.assert_array_equal(np.stack(decoded), np.stack(frames))
    assert decoded[0].dtype == np.uint8
    assert (video.expected_frames, video.fps) == (7, RATE)


def test_declared_colours_make_a_difference(tmp_path):
    """Green of BT.709 is another green in BT.601."""
    colour = np.full((16, 16, 3), (20, 180, 60), np.uint8)

    def declare(space):
        return lambda stream: setattr(stream.codec_context, "colorspace", space)

    pictures = []
    for space in (1, 6):
        path = write(tmp_path / f"{space}.mkv", [colour], "ffv1", "yuv444p", setup=declare(space))
        pictures.append(next(decode(path))[8, 8].astype(int))
    assert np.abs(pictures[0] - pictures[1]).max() > 10


def test_frames_come_one_at_a_time(tmp_path):
    with open_video(write(tmp_path / "v.mkv", None, "ffv1", "bgr0")) as video:
        next(iter(video))
        assert video.frames == 1


@pytest.mark.parametrize("begin", np.linspace(0.4, 0.95, 8))
@pytest.mark.parametrize(("name", "codec"), [("v.ts", "libx264"), ("v.avi", "mpeg4"), ("v.mkv", "libx264")])
def test_cut_anywhere(tmp_path, name, codec, begin):
    """Every frame is one of the whole video; a B-frame before the last may be lost with what it needs."""

    def cut(data):
        del data[int(begin * len(data)) :]

    path = damaged(write(tmp_path / name, codec=codec), cut)
    frames, video = read(path)
    whole = list(decode(twin(path)))
    assert 0 < len(frames) < len(whole)
    assert is_part_of(frames, whole)
    np.testing.assert_array_equal(frames[:-1], whole[: len(frames) - 1])
    assert video.reason or name == "v.ts"


def test_damage_costs_no_group_of_pictures_but_its_own(tmp_path):
    path = damaged(write(tmp_path / "v.avi", codec="mpeg4"), zero(0.6, 3000))
    frames, _ = read(path)
    whole = [frame.tobytes() for frame in decode(twin(path))]
    kept = [whole.index(frame.tobytes()) for frame in frames]
    lost = sorted(set(range(40)) - set(kept))
    assert lost == list(range(lost[0], lost[-1] + 1)), "one stretch"
    assert (lost[-1] + 1) % 10 == 0, "up to the next keyframe"


@pytest.mark.parametrize(("name", "edit"), [("v.ts", remove(0.5, 940)), ("v.mp4", zero(0.4, 2000))])
def test_threads_do_not_change_what_is_kept_of_a_damaged_file(tmp_path, name, edit):
    path = damaged(write(tmp_path / name), edit)
    for threads in (1, 4):
        output = Output(Rgb(RgbExtraction(short_side=48)), tmp_path / f"{threads}.h5")
        extract({"v": path}, [output], resources=Resources(threads, "cpu"))
    assert (tmp_path / "1.h5").read_bytes() == (tmp_path / "4.h5").read_bytes()


def test_memory_does_not_grow_with_length(tmp_path):
    path = write(tmp_path / "long.avi", moving(60, 32, 48) * 50, "mpeg4")
    peaks = []
    for part in (0.1, 1.0):
        tracemalloc.start()
        with open_video(path) as video:
            assert all(frame.shape == (32, 48, 3) for frame in itertools.islice(video, int(3000 * part)))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 200_000


def test_much_damage_ends_and_is_told_in_few_words(tmp_path):
    def scramble(data):
        data[6000:-200] = np.random.default_rng(0).bytes(len(data) - 6200)

    frames, video = read(damaged(write(tmp_path / "v.ts", moving(40) * 5), scramble))
    assert len(frames) < 200
    assert len(video.reason) < 200


def test_permission_denied(tmp_path):
    path = write(tmp_path / "v.mp4")
    path.chmod(0)
    if os.geteuid() == 0:
        for folder in (tmp_path, *tmp_path.parents[:2]):
            folder.chmod(0o755)
        os.seteuid(65534)
    try:
        with pytest.raises(VideoError, match="Permission denied"):
            list(decode(path))
    finally:
        if os.getuid() == 0:
            os.seteuid(0)


def test_read_error_keeps_what_was_read(tmp_path, monkeypatch):
    """A disk that fails amid a file: the frames before that come out, those in the decoder included."""
    path = write(tmp_path / "v.ts")
    whole = list(decode(path))
    opened = type(path).open

    def failing(self, *args):
        handle = opened(self, *args)
        if self != path:
            return handle

        class Failing:
            name, seek, tell = handle.name, handle.seek, handle.tell
            close = handle.close

            def __enter__(self):
                return self

            def __exit__(self, *error):
                handle.close()

            def read(self, size):
                if handle.tell() > path.stat().st_size // 2 and armed:
                    raise OSError(5, "Input/output error")
                return handle.read(size)

        return Failing()

    armed = []
    monkeypatch.setattr(type(path), "open", failing)
    with open_video(path) as video:
        armed.append(True)
        frames = list(video)
    assert 0 < len(frames) <= len(whole)
    assert is_part_of(frames, whole)


@pytest.mark.parametrize(
    ("times", "missing", "average"),
    [
        (range(100), 0, 0.0),
        ([*range(60), *range(67, 100)], 7, 0.0),
        ([*range(50), *range(52, 100)], 0, 0.0),
        (range(0, 200, 2), 0, 5.0),
        ([0, 1, 2, 5, 10, 11], 0, 10 * 5 / 11),
        ([2, 1, 4, 3, 6, 5], 0, 0.0),
    ],
    ids=["regular", "hole", "dropped frame", "other rate", "variable", "out of order"],
)
def test_times(times, missing, average):
    seen = Times(rate=10.0)
    for time in times:
        seen.add(time / 10)
    assert seen.missing == missing
    assert seen.average == pytest.approx(average)


def test_frames_of_a_copy_are_those_of_the_source(tmp_path):
    """All that are shown, bit by bit: a hidden frame without its references costs none of them."""
    case = next(case for case in CASES if case.name == "copied from a keyframe of open groups on")
    frames, video = read(case.make(tmp_path))
    source = list(decode(tmp_path / "source.mp4"))
    np.testing.assert_array_equal(frames, source[28:])
    assert video.expected_frames == video.frames == 32


def test_a_hidden_frame_that_others_need_is_missed(tmp_path):
    """The edit list begins amid a group of pictures whose keyframe, which it hides, is damaged."""
    path = start_later(write(tmp_path / "v.mp4"), 5)
    frames, _ = read(path)
    assert len(frames) == 35
    data = path.read_bytes()
    broken = damaged(path, zero((data.index(b"mdat") + 1500) / len(data), 400))
    kept, video = read(broken)
    np.testing.assert_array_equal(kept, frames[5:])
    assert video.reason.startswith("5 frames left out")


def test_a_shown_frame_that_needs_a_hidden_one_without_references(tmp_path):
    """It is shown before the keyframe, so nothing else is lost."""
    copied = next(case for case in CASES if case.name == "copied from a keyframe of open groups on")
    copied.make(tmp_path)
    frames, video = read(copy_from(tmp_path / "source.mp4", tmp_path / "copy.mp4", 2, 0.92))
    np.testing.assert_array_equal(frames, list(decode(tmp_path / "source.mp4"))[24:])
    assert video.reason.startswith("1 frames left out")


def test_empty_frames_at_the_end_of_an_avi_are_not_missed(tmp_path):
    """The header counts them, the index does not list them."""
    path = write(tmp_path / "v.avi", codec="mpeg4")
    data = bytearray(path.read_bytes())
    at = data.index(b"strh") + 8 + 32
    assert data[at : at + 4] == FRAMES.to_bytes(4, "little")
    data[at : at + 4] = (FRAMES + 7).to_bytes(4, "little")
    path.write_bytes(data)
    frames, video = read(path)
    assert (len(frames), video.reason) == (FRAMES, "")


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_empty_frames_of_an_avi_between_b_frames_are_not_missed(tmp_path, codec):
    def setup(stream):
        stream.codec_context.time_base = Fraction(1, RATE)

    times = [40 * (i + 2 * (i // 9)) for i in range(FRAMES)]
    path = write(tmp_path / "v.avi", codec=codec, options={"bf": "2"}, times=times, setup=setup)
    frames, video = read(path)
    assert (len(frames), video.expected_frames, video.reason) == (FRAMES, FRAMES, "")
    frames, video = read(damaged(path, zero(0.4, 3000)))
    assert len(frames) < FRAMES
    assert "left out" in video.reason

from __future__ import annotations

import os
import struct
import wave

import numpy as np
import pytest

from view_extractors.video import VideoError, decode, open_video


def read(path):
    with open_video(path) as video:
        frames = list(video)
    return frames, video


def difference(frames, others):
    return np.abs(np.stack(frames).astype(int) - np.stack(others)).mean()


def test_lossless_video_comes_back_exactly(tmp_path, moving, write_video):
    frames = moving(7)
    path = write_video(tmp_path / "v.mkv", frames, codec="ffv1", pixels="bgr0", rate=25)
    decoded, video = read(path)
    np.testing.assert_array_equal(np.stack(decoded), np.stack(frames))
    assert decoded[0].dtype == np.uint8
    assert all(frame.flags.c_contiguous for frame in decoded)
    assert (video.frames, video.height, video.width, video.fps, video.reason) == (7, 48, 64, 25.0, "")


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("v.mp4", "libx264", "yuv420p"),
        ("v.avi", "mpeg4", "yuv420p"),
        ("v.mkv", "libx264", "yuv444p"),
        ("ten_bit.mkv", "ffv1", "yuv444p10le"),
        ("v.webm", "libvpx-vp9", "yuv420p"),
    ],
)
def test_common_formats(tmp_path, moving, write_video, name, codec, pixels):
    frames = moving(12)
    decoded, video = read(write_video(tmp_path / name, frames, codec, pixels))
    assert len(decoded) == video.frames == 12
    assert video.reason == ""
    assert difference(decoded, frames) < 12


def test_grey_video_becomes_rgb(tmp_path, moving, write_video):
    decoded, _ = read(write_video(tmp_path / "grey.mkv", moving(3), "ffv1", "gray"))
    assert decoded[0].shape == (48, 64, 3)
    np.testing.assert_array_equal(decoded[0][..., 0], decoded[0][..., 2])


@pytest.mark.parametrize("size", [(47, 63), (1, 1), (3, 5), (90, 33)])
def test_odd_sizes(tmp_path, moving, write_video, size):
    frames = moving(2, *size)
    decoded, _ = read(write_video(tmp_path / "odd.mkv", frames, "ffv1", "bgr0"))
    np.testing.assert_array_equal(np.stack(decoded), np.stack(frames))


def test_one_frame(tmp_path, moving, write_video):
    decoded, video = read(write_video(tmp_path / "one.mp4", moving(1)))
    assert len(decoded) == 1
    assert video.reason == ""


def test_frames_come_one_at_a_time(tmp_path, moving, write_video):
    path = write_video(tmp_path / "v.mkv", moving(30), "ffv1", "bgr0")
    with open_video(path) as video:
        next(iter(video))
        assert video.frames == 1


def test_rotation_of_phones_is_applied(tmp_path, moving, write_video):
    path = write_video(tmp_path / "v.mp4", moving(2))
    upright, _ = read(path)
    data = bytearray(path.read_bytes())
    identity = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    clockwise = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    at = data.index(identity, data.index(b"tkhd"))
    data[at : at + len(clockwise)] = clockwise
    path.write_bytes(data)
    turned, video = read(path)
    np.testing.assert_array_equal(turned[0], np.rot90(upright[0], -1))
    assert (video.height, video.width) == (64, 48)


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv", "v.avi"])
def test_truncated_tail_is_repaired_with_a_reason(tmp_path, moving, write_video, name):
    options = {"movflags": "faststart"} if name == "v.mp4" else {}
    path = write_video(
        tmp_path / name, moving(40, 96, 128), "mpeg4" if name == "v.avi" else "libx264", **options
    )
    whole, _ = read(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 7 // 10])
    cut, video = read(path)
    assert 1 <= len(cut) < len(whole)
    assert "declared" in video.reason or "damaged" in video.reason
    np.testing.assert_array_equal(np.stack(cut), np.stack(whole[: len(cut)]))


def test_damaged_packets_are_left_out_and_counted(tmp_path, moving, write_video):
    path = write_video(tmp_path / "v.mp4", moving(40, 96, 128))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 300] = np.random.default_rng(0).bytes(300)
    path.write_bytes(data)
    frames, video = read(path)
    assert 1 <= len(frames) < 40
    assert "left out" in video.reason
    assert all(frame.std() > 5 for frame in frames)


def test_files_without_a_picture(tmp_path, moving, write_video):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("this is no video\n" * 50)
    with wave.open(str(tmp_path / "sound.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(8000))
    headless = write_video(tmp_path / "headless.mp4", moving(10))
    headless.write_bytes(headless.read_bytes()[:500])
    (tmp_path / "folder.mp4").mkdir()
    expected = {
        "empty.mp4": "empty",
        "text.mp4": "cannot be opened",
        "sound.wav": "no video stream",
        "headless.mp4": "cannot be opened",
        "folder.mp4": "directory",
        "nothing.mp4": "No such file",
    }
    for name, reason in expected.items():
        with pytest.raises(VideoError, match=reason):
            list(decode(tmp_path / name))


def test_playlist_inside_a_file_reaches_nothing(tmp_path, moving, write_video):
    secret = write_video(tmp_path / "secret.mp4", moving(2))
    playlist = tmp_path / "list.mp4"
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:{secret}\n#EXT-X-ENDLIST\n")
    with pytest.raises(VideoError):
        list(decode(playlist))


@pytest.mark.parametrize(
    "name", ["-y.mp4", "a b\nc'\".mp4", "pipe:0.mp4", "http:x.mp4", b"\xff\xfe.mp4", "%d.mp4"]
)
def test_name_is_data(tmp_path, moving, write_video, monkeypatch, name):
    plain = write_video(tmp_path / "plain.mp4", moving(3))
    monkeypatch.chdir(tmp_path)
    name = os.fsdecode(name)
    os.rename(plain, name)
    assert len(list(decode(name))) == 3

from __future__ import annotations

import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cocon.backends import BACKENDS
from cocon.errors import CoConError
from cocon.shards import Shard, shard_of
from view_extractors import cli
from view_extractors.cli import main
from view_extractors.registry import default_backend, section_of

SMALL = '{"short_side": 24, "compute_short_side": 24}'


@pytest.fixture
def video(tmp_path, moving, write_video):
    return write_video(tmp_path / "my.mp4", moving(4))


def run(*arguments):
    return main([str(argument) for argument in arguments])


def test_flow_of_a_video_in_one_command(tmp_path, video):
    command = [sys.executable, "-m", "view_extractors", "flow", "my.mp4", "--output", "flow.h5"]
    command += ["--settings", SMALL]
    environment = {"PYTHONPATH": str(Path(__file__).parents[2])}
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    assert "[1/1] my: 4 frames, ok" in result.stderr
    assert Shard(tmp_path / "flow.h5").read("my", [0]).shape == (1, 24, 32, 2)


def test_two_views_in_one_pass_with_their_own_settings(tmp_path, video):
    rgb, flow = tmp_path / "rgb.h5", tmp_path / "flow.h5"
    settings = tmp_path / "flow.yaml"
    settings.write_text("short_side: 30\nbackend: tvl1_opencv\ntvl1_opencv: {warps: 1}\n")
    assert (
        run("rgb", video, "--output", rgb, "--also", "flow", flow, "--also-settings", "flow", settings) == 0
    )
    assert Shard(rgb).parameters["short_side"] == 150
    assert Shard(flow).parameters["short_side"] == 30
    assert Shard(flow).parameters["tvl1_opencv"]["warps"] == 1


def test_folder_of_videos(tmp_path, moving, write_video):
    for name in ("walk/a.mp4", "run/b.avi"):
        write_video(tmp_path / "videos" / name, moving(2), "mpeg4")
    assert run("rgb", tmp_path / "videos", "--output", tmp_path / "rgb.h5", "--batch-size", 1) == 0
    assert list(Shard(tmp_path / "rgb.h5").videos) == ["run/b", "walk/a"]


def test_help_names_every_view_backend_and_exit_status(capsys):
    with pytest.raises(SystemExit):
        run("--help")
    text = capsys.readouterr().out
    for view, backends in BACKENDS.items():
        assert re.search(rf"^  {view} .*\n +{'.*'.join(map(re.escape, backends))}", text, re.M)
    assert "view-extractors flow videos/ --output flow.h5" in text
    assert re.findall(r"^  (\d+) ", text, re.M) == ["0", "1", "2", "130", "141", "143"]


@pytest.mark.parametrize("view", BACKENDS)
def test_help_of_a_view_lists_its_settings(capsys, view):
    with pytest.raises(SystemExit):
        run(view, "--help")
    text = capsys.readouterr().out
    settings = text[text.index("settings (") :]
    for key in section_of(view).model_fields:
        assert re.search(rf"^  {key}:", settings, re.M)
    assert "PydanticUndefined" not in text
    assert "--batch-size" in text


def test_backends_are_listed_with_how_to_get_them(capsys, monkeypatch):
    missing = replace(BACKENDS["flow"]["dis"], package="no_such_package", advice="pip install it")
    monkeypatch.setitem(BACKENDS["flow"], "dis", missing)
    assert run("backends") == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {tuple(line.split()[:2]): line for line in lines[1:]}
    assert set(rows) == {(view, name) for view, backends in BACKENDS.items() for name in backends}
    assert rows["rgb", "decode"].endswith("yes")
    assert rows["flow", "dis"].endswith("no: pip install it")
    for view in BACKENDS:
        assert "(default)" in rows[view, default_backend(view)]


def test_interrupts_have_their_own_exit_status(tmp_path, video, capsys, monkeypatch):
    for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        monkeypatch.setattr(cli, "extract", lambda *_, number=number, **__: signal.raise_signal(number))
        before = signal.getsignal(number)
        assert run("rgb", video, "--output", tmp_path / "rgb.h5") == status
        assert signal.getsignal(number) is before
        assert "the same command resumes" in capsys.readouterr().err


def test_note_about_the_video_stands_below_an_error(tmp_path, video, capsys, monkeypatch):
    def broken(*_, **__):
        error = CoConError("the network is broken", "mend it")
        error.add_note("inference of video 'my' failed")
        raise error

    monkeypatch.setattr(cli, "extract", broken)
    assert run("rgb", video, "--output", tmp_path / "rgb.h5") == 2
    error = capsys.readouterr().err
    assert error == "error: the network is broken\n  hint: mend it\n  inference of video 'my' failed\n"


def test_folder_that_cannot_be_written_is_explained(tmp_path, video, capsys):
    (tmp_path / "file").touch()
    assert run("rgb", video, "--output", tmp_path / "file" / "rgb.h5") == 2
    assert "file" in capsys.readouterr().err


def test_part_of_a_manifest(tmp_path, moving, write_video):
    ids = [f"walk/{i}" for i in range(6)]
    rows = [f"{key},{write_video(tmp_path / f'{key}.mp4', moving(1))},walk" for key in ids]
    table = tmp_path / "manifest.csv"
    table.write_text("\n".join(["id,path,label", *rows]) + "\n")
    parts = []
    for shard in range(3):
        path = tmp_path / f"{shard}.h5"
        assert run("rgb", "--manifest", table, "--shard", shard, "--shards", 3, "--output", path) == 0
        parts += Shard(path).videos
        assert all(shard_of(key, 3) == shard for key in Shard(path).videos)
    assert sorted(parts) == ids


def test_finished_work_is_not_done_again(tmp_path, video, capsys):
    assert run("rgb", video, "--output", tmp_path / "rgb.h5") == 0
    assert run("rgb", video, "--output", tmp_path / "rgb.h5") == 0
    assert "up to date" in capsys.readouterr().err


def test_missing_file_is_a_skipped_row(tmp_path, video, capsys):
    command = ("rgb", video, tmp_path / "gone.mp4", "--output", tmp_path / "rgb.h5")
    assert run(*command) == 2
    assert "gone: file is missing" in capsys.readouterr().err
    assert run(*command, "--max-failed-fraction", 0.5) == 0
    assert "gone: 0 frames, SKIPPED (file is missing)" in capsys.readouterr().err
    assert Shard(tmp_path / "rgb.h5").videos["gone"].status == "skipped"


def test_name_that_begins_with_a_dash(tmp_path, video, monkeypatch):
    monkeypatch.chdir(tmp_path)
    video.rename(tmp_path / "-v.mp4")
    assert run("rgb", "--output", "rgb.h5", "--", "-v.mp4") == 0
    assert list(Shard(tmp_path / "rgb.h5").videos) == ["-v"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no videos"),
        (["my.mp4", "--manifest", "m.csv"], "both"),
        (["my.mp4", "other/my.mp4"], "same id 'my'"),
        (["--manifest", "absent.csv"], "no manifest absent.csv"),
        (["--manifest", "empty_id.csv"], "line 2"),
        (["--manifest", "twice.csv"], "the id 'a' is listed twice"),
        (["my.mp4", "--shard", "2", "--shards", "2"], "--shard 2"),
        (["my.mp4", "--threads", "0"], "--threads"),
        (["my.mp4", "--batch-size", "0"], "--batch-size"),
        (["."], "no video in the folder"),
        (["my.mp4", "--settings", "{short_sid: 3}"], "short_side"),
        (["my.mp4", "--settings", "absent.json"], "absent.json"),
        (["my.mp4", "--also", "depth", "x.h5"], "no view 'depth'"),
        (["my.mp4", "--also", "rgb", "x.h5"], "is given twice"),
        (["my.mp4", "--also", "flow", "out.h5"], "is given twice"),
        (["my.mp4", "--also-settings", "flow", "{}"], "no --also"),
    ],
)
def test_mistakes_are_explained_without_a_traceback(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty_id.csv").write_text("id,path\n,x.mp4\n")
    (tmp_path / "twice.csv").write_text("id,path\na,x.mp4\na,y.mp4\n")
    assert main(["rgb", "--output", "out.h5", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert "Traceback" not in error
    assert not list(tmp_path.glob("*.h5"))

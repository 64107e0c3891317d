from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from cocon.cli import main
from cocon.export.encoder import Encoder
from tests.full_disk import files_up_to

ROOT = Path(__file__).parents[2]


def test_embed(
    data: Path,
    exported: Path,
    encoder: Encoder,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    names = [str(data / "videos" / f"{name}.mp4") for name in ("walk/a", "broken", "short")]
    arguments = ["embed", *names, "--encoder", str(exported), "--device", "cpu", "--threads", "1"]
    assert main([*arguments, "--output", str(tmp_path / "x.h5"), "--at-once", "2"]) == 3
    told = capfd.readouterr()
    assert told.out == ""
    assert "2 rows; rgb 8, flow 8" in told.err
    assert "1 of 3 videos left out:\n    " + names[1] + ": cannot be opened" in told.err
    assert "videos 3 to 3 of 3" in told.err
    assert "9 frames, ok" in told.err, "the extraction's own progress passes through"
    with h5py.File(tmp_path / "x.h5") as file:
        assert [name.decode() for name in file["ids"]] == [names[0], names[2]]
        assert file["video_status"][:].tolist() == [b"ok", b"skipped", b"ok"]
        expected = encoder.embed([names[0], names[2]], threads=1).multi_view
        np.testing.assert_allclose(file["multi_view"], expected, rtol=1e-5, atol=1e-6)
    assert list((tmp_path / "temporary").iterdir()) == []


def test_embed_quietly(data: Path, exported: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The extraction, another process, shows as little as the command itself."""
    names = [str(data / "videos" / f"{name}.mp4") for name in ("short", "broken")]
    arguments = ["embed", "-q", *names, "--encoder", str(exported), "--device", "cpu", "--threads", "1"]
    assert main([*arguments, "--output", str(tmp_path / "x.h5"), "--at-once", "1"]) == 3
    told = capfd.readouterr()
    assert told.out == ""
    skipped, *error = told.err.splitlines()
    assert skipped.startswith(f"warning: [1/1] {names[1]}: 0 frames, SKIPPED (")
    assert error[0] == "cocon embed: 1 of 2 videos left out:"
    assert error[1].startswith(f"    {names[1]}: cannot be opened")
    assert len(error) == 2


IN_A_NOTEBOOK = """
import logging, sys
import cocon
encoder = cocon.load_encoder(sys.argv[1], device="cpu")
encoder.embed(sys.argv[3:], threads=1, videos_at_once=1, quiet=sys.argv[2] == "quiet")
for name in ("", "cocon", "view_extractors"):
    logger = logging.getLogger(name)
    print(repr(name), logger.handlers, logging.getLevelName(logger.level), logger.propagate)
"""


@pytest.mark.parametrize("quiet", [True, False])
def test_the_library_leaves_logging_alone(data: Path, exported: Path, quiet: bool) -> None:
    names = [str(data / "videos" / f"{name}.mp4") for name in ("walk/a", "short")]
    command = [sys.executable, "-c", IN_A_NOTEBOOK, str(exported), "quiet" if quiet else "told", *names]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "'' [] WARNING True",
        "'cocon' [] NOTSET True",
        "'view_extractors' [] NOTSET True",
    ]
    if quiet:
        assert done.stderr == ""
    else:
        assert "videos 1 to 1 of 2\n" in done.stderr
        assert f"[1/1] {names[0]}: 9 frames, ok" in done.stderr


def test_embed_windows_of_a_manifest(data: Path, exported: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text(f"id,path\nmine,{data / 'videos' / 'walk' / 'b.mp4'}\n")
    arguments = ["embed", "--manifest", table, "--encoder", exported, "--views", "flow", "--per-window"]
    assert main([*map(str, arguments), "--output", str(tmp_path / "x.csv"), "--device", "cpu"]) == 0
    lines = (tmp_path / "x.csv").read_text().splitlines()
    assert lines[0].startswith("id,start,end,status,reason,flow_0,")
    assert [line.split(",")[:3] for line in lines[1:3]] == [["mine", "0", "0.5"], ["mine", "0.25", "0.75"]]
    assert len(lines) == 1 + 6


def test_mistakes_get_a_sentence(
    data: Path, exported: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*more: str, output: str = "x.npz", encoder: Path = exported) -> str:
        base = ["embed", "--encoder", str(encoder), "--output", str(tmp_path / output), "--device", "cpu"]
        assert main([*base, *more]) == 2
        assert not list(tmp_path.glob("x.*"))
        return capfd.readouterr().err

    assert "give either videos or --manifest" in fail()
    assert "the suffix is not a known format" in fail("a.mp4", output="x.txt")
    assert "is not an exported encoder" in fail("a.mp4", encoder=tmp_path)
    assert "no video can be decoded:\n    none.mp4: file is missing" in fail("none.mp4", "--views", "rgb")
    (tmp_path / "twice.csv").write_text("id,path\na,b.mp4\na,c.mp4\n")
    assert "has an id twice" in fail("--manifest", str(tmp_path / "twice.csv"))
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho no such backend >&2\nexit 2\n")
    broken.chmod(0o755)
    told = fail("a.mp4", "--views", "flow", "--interpreter", "farneback", str(broken))
    assert "no such backend" in told
    assert "the extraction of flow ended with exit status 2" in told


def test_export_on_a_full_disk_leaves_nothing(
    checkpoints: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["export", "--encoders", str(checkpoints / "rgb.safetensors"), "--output"]
    with files_up_to(5000):
        assert main([*arguments, str(tmp_path / "encoder")]) == 2
    assert f"cocon export: {tmp_path / 'encoder'} cannot be written: File too large" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert main([*arguments, os.devnull]) == 2
    assert "cannot be written: /dev/null is not a folder" in capfd.readouterr().err


def test_a_stopped_command_leaves_nothing_behind(data: Path, exported: Path, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    sleeper = tmp_path / "python"
    sleeper.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 60\n")
    sleeper.chmod(0o755)
    command = [sys.executable, "-m", "cocon", "embed", "a.mp4", "--encoder", exported, "--views", "flow"]
    command += ["--output", tmp_path / "x.npz", "--interpreter", "farneback", sleeper]
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, "TMPDIR": str(temporary)}) as process:
        while not (tmp_path / "pid").is_file() or not (tmp_path / "pid").read_text():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
    assert process.returncode == 128 + signal.SIGTERM
    assert list(temporary.iterdir()) == []
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


def test_import_and_help_need_no_torch() -> None:
    code = "import sys, cocon, cocon.commands.embed, cocon.commands.export; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0

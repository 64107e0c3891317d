"""Every command that writes meets a full disk: a sentence, status 2, and nothing under a final name."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cocon.cli import main
from tests.evaluation.conftest import write_striped
from tests.full_disk import files_up_to
from view_extractors.cli import main as extractors

CLIP = {"blocks": 2, "frames_per_block": 2, "stride": 1, "predicted_blocks": 1, "crop": {"mask": 16}}
NETWORK = {"layers": [1, 1, 1, 1], "width": 4, "features": 8}
STAGE = {"epochs": 1, "batch_size": 6}
PRETRAINING = {"stage1": STAGE, "stage2": STAGE, "validation_fraction": 0}


def commands(root: Path, out: Path) -> dict[str, list[str]]:
    """A command line per command, which reads from ``root`` and writes to ``out``."""
    data = ["--manifest", f"{root}/manifest.csv", "--shards", f"{root}/shards"]
    video = ["--view", "mask", "--checkpoint", f"{root}/mask.safetensors", "--device", "cpu"]
    judge = ["--manifest", f"{root}/manifest.csv", "--features", f"{root}/features.h5", "--split", "1"]
    settings = json.dumps({"clip": CLIP, "network": NETWORK})
    finetune = json.dumps({"finetune": {"epochs": 1, "batch_size": 9}, "bootstrap": 10})
    pretrain = json.dumps({"clip": CLIP, "network": NETWORK, "pretraining": PRETRAINING})
    folder = {"kind": "folder", "recipe": "r", "shards": 1, "videos": str(root), "table": f"{root}/t.csv"}
    relations = json.dumps({"relations": {"neighbours": 1, "shared": 1}})
    split, state = ["--split", "1"], ["--state", f"{out}/state"]
    score = [f"mask={root}/linear.npz"]
    return {
        "features": ["features", *data, *video, "--output", f"{out}/features.h5"],
        "linear": ["evaluate", "--protocol", "linear", *judge, "--output", f"{out}/linear.json"],
        "retrieval": ["evaluate", "--protocol", "retrieval", *judge, "--output", f"{out}/retrieval.json"],
        "ensemble": ["ensemble", "--protocol", "linear", "--inputs", *score, "--output", f"{out}/e.json"],
        "relations": [
            *("relations", "--manifest", f"{root}/manifest.csv", "--features", f"mask={root}/features.h5"),
            *("--split", "1", "--settings", relations, "--output", f"{out}/relations.json"),
        ],
        "summary": [
            *("summary", "--metrics", f"{root}/linear.json"),
            *("--output", f"{out}/summary.json", "--csv", f"{out}/summary.csv"),
        ],
        "finetune": [
            *("finetune", *data, *video, *split, *state),
            *("--settings", finetune, "--output", f"{out}/finetune.json"),
        ],
        "init": ["init", "--views", "mask", "--output-dir", str(out), "--settings", settings],
        "pretrain": [
            *("pretrain", *data, *split, *state, "--views", "mask", "--stage", "stage1", "--device", "cpu"),
            *("--output-dir", str(out), "--log", f"{out}/log.jsonl", "--settings", pretrain),
        ],
        "index": ["index", "--settings", json.dumps(folder), "--output", f"{out}/manifest.csv"],
        "report": ["report", "--results", str(root), "--output", f"{out}/report.html"],
        "schema": ["schema", "--output", f"{out}/schema.json"],
        "shards": [
            *("shards", "show", f"{root}/shards", "--video", "run/test0", "--frames", "2"),
            *("--output", f"{out}/sheet.png"),
        ],
    }


def command(name: str) -> str:
    """The command of a name of :func:`commands`."""
    return commands(Path(), Path())[name][0]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder ``demo`` with what the commands read."""
    root = write_striped(tmp_path_factory.mktemp("full") / "demo")
    (root / "t.csv").write_text("video,label,split\na.mp4,a,train\nb.mp4,a,test\n")
    for name in ("features", "linear"):
        assert main(commands(root, root)[name]) == 0
    return root


def files(folder: Path) -> list[str]:
    """All files but TensorBoard's, which grow while a training runs."""
    found = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return [str(path) for path in found if "tensorboard" not in path.parts]


@pytest.mark.parametrize("name", commands(Path(), Path()))
def test_a_full_disk_is_a_sentence(
    name: str, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = commands(root, tmp_path / "out")[name]
    with files_up_to(20):
        assert main(arguments) == 2
    error = capsys.readouterr().err
    assert f"cocon {command(name)}: {tmp_path}/out/" in error
    assert "cannot be written: File too large\n  hint: raise the file-size limit" in error
    assert "Traceback" not in error
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "file"), [("pretrain", "state/*/step_000000003.pt"), ("init", "mask.safetensors")]
)
def test_a_disk_that_is_too_small_for_a_network_is_a_sentence(
    name: str, file: str, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither torch nor safetensors has the number of the system's error."""
    with files_up_to(6000):
        assert main(commands(root, tmp_path)[name]) == 2
    line = next(
        line for line in capsys.readouterr().err.splitlines() if line.startswith(f"cocon {command(name)}: ")
    )
    said = Path(line.removeprefix(f"cocon {command(name)}: ").partition(" cannot be written: ")[0])
    assert said.match(f"{tmp_path}/{file}"), said
    assert not list(tmp_path.rglob("*.pt"))
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize("name", ["finetune", "pretrain", "init", "features", "summary", "shards"])
@pytest.mark.parametrize("umask", [0o002, 0o077])
def test_the_umask_gives_every_mode(name: str, umask: int, root: Path, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        assert main(commands(root, tmp_path / "out")[name]) == 0
    finally:
        os.umask(before)
    modes = {path: path.stat().st_mode & 0o777 for path in (tmp_path / "out").rglob("*")}
    assert files(tmp_path)
    for path, mode in modes.items():
        assert mode == (0o777 if path.is_dir() else 0o666) & ~umask, path


@pytest.mark.parametrize("name", sorted({*commands(Path(), Path())} - {"init"}))
def test_an_output_that_is_a_folder_is_refused_before_anything_is_read(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The inputs are absent: that is not what is said."""
    arguments = commands(tmp_path / "absent", tmp_path)[name]
    output = Path(arguments[arguments.index("--log" if name == "pretrain" else "--output") + 1])
    output.mkdir()
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith(
        f"cocon {command(name)}: {output} cannot be written: it is a folder"
    )
    output.rmdir()
    long = str(output.with_name("n" * 250))
    assert main([argument.replace(str(output), long) for argument in arguments]) == 2
    assert "its name is too long" in capsys.readouterr().err


@pytest.mark.parametrize("size", [0, 100, 1000, 2048, 2700, 5000])
def test_features_on_a_full_disk_do_not_crash_hdf5(size: int, tmp_path: Path) -> None:
    """HDF5 fails again on closing a file that it could not write, and crashed the interpreter."""
    code = (
        "import resource, sys; sys.dont_write_bytecode = True; import numpy as np; from pathlib import Path;"
        "from cocon.evaluation.features import Features, write_features;"
        "from cocon.boundary import run; x = np.zeros((3, 512), np.float32);"
        "features = Features(['a', 'b', 'c'], x, x, x, np.ones(3), 'rgb', 'cocon', {});"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}));"
        f"sys.exit(run(lambda: write_features(Path({str(tmp_path / 'f.h5')!r}), features), 'cocon features'))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 2, result.stderr
    assert result.stderr.startswith(f"cocon features: {tmp_path}/f.h5 cannot be written: File too large\n")
    assert files(tmp_path) == []


def test_a_read_only_disk_is_a_sentence(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: Path, *arguments: object, **more: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    for name, arguments in commands(root, tmp_path / "out").items():
        assert main(arguments) == 2, name
        error = capsys.readouterr().err
        assert f"cocon {command(name)}: {tmp_path}/out" in error
        assert "Read-only file system\n  hint: " in error


def test_extraction_knows_before_it_decodes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "folder.h5").mkdir()
    for output in (tmp_path / "folder.h5", tmp_path / ("n" * 245 + ".h5"), Path(os.devnull)):
        assert extractors(["rgb", str(tmp_path / "absent.mp4"), "--output", str(output)]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"error: {output} cannot be written: it")
        assert "absent" not in error
    assert files(tmp_path) == []
    assert Path(os.devnull).is_char_device()

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from cocon.cli import main
from cocon.training.checkpoint import read_info
from cocon.training.log import read_log

ROOT = Path(__file__).parents[2]


@pytest.fixture
def arguments(dataset: Path, tmp_path: Path, settings: Any) -> list[str]:
    return [
        *("pretrain", "--manifest", f"{dataset}/manifest.csv", "--shards", f"{dataset}/shards"),
        *("--views", "rgb", "--stage", "stage1", "--device", "cpu", "--threads", "1"),
        *("--output-dir", f"{tmp_path}/stage1", "--log", f"{tmp_path}/stage1/rgb.log.jsonl"),
        *("--state", f"{tmp_path}/state", "--settings", settings().model_dump_json()),
    ]


def test_pretrain(arguments: list[str], tmp_path: Path) -> None:
    assert main(arguments) == 0
    assert read_info(tmp_path / "stage1" / "rgb.safetensors").pretraining == "stage1"
    assert len(read_log(tmp_path / "stage1" / "rgb.log.jsonl")) == 3


def test_a_mistake_is_told_without_a_traceback(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--preset", "cocon"]) == 2
    assert "nothing to act on" in capsys.readouterr().err


def test_shards_of_another_list_are_not_trained_on(
    arguments: list[str], dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first run after a change of the table: shards that lack a video, or have a removed one."""
    lines = (dataset / "manifest.csv").read_text().splitlines()
    table = tmp_path / "manifest.csv"
    arguments[arguments.index("--manifest") + 1] = str(table)
    table.write_text("\n".join([*lines, lines[-1].replace("p8_1", "new")]))
    assert main(arguments) == 2
    assert "1 in no shard (first: 'new')" in capsys.readouterr().err
    table.write_text("\n".join(lines[:-1]))
    assert main(arguments) == 2
    assert "1 in the shards and not in the list (first: 'p8_1')" in capsys.readouterr().err
    assert not (tmp_path / "stage1").exists()


def test_shards_that_are_left_over_are_not_trained_on(
    arguments: list[str], dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "shards" / "rgb"
    folder.mkdir(parents=True)
    for name in ("00000.h5", "00001.h5"):
        (folder / name).write_bytes((dataset / "shards" / "rgb" / "00000.h5").read_bytes())
    arguments[arguments.index("--shards") + 1] = str(tmp_path / "shards")
    assert main(arguments) == 2
    assert "is listed in" in capsys.readouterr().err
    assert main([*arguments, "--shard-count", "1"]) == 0
    assert capsys.readouterr().err.count("and ignored: 00001.h5") == 1


def test_init(tmp_path: Path, settings: Any) -> None:
    document = settings().model_dump(mode="json", include={"clip", "network"})
    settings_ = ["--settings", json.dumps(document)]
    assert main(["init", "--views", "rgb", "mask", "--output-dir", str(tmp_path), *settings_]) == 0
    assert {read_info(path).view for path in tmp_path.glob("*.safetensors")} == {"rgb", "mask"}


def test_help_needs_no_torch() -> None:
    code = "import sys, cocon.commands.pretrain, cocon.commands.init; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_command_goes_on(
    arguments: list[str], tmp_path: Path, settings: Any, number: signal.Signals
) -> None:
    longer = settings(stage1={"epochs": 15, "batch_size": 4})
    arguments[arguments.index("--settings") + 1] = longer.model_dump_json()
    command = [sys.executable, "-m", "cocon", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "epoch 2/15" in line:
                process.send_signal(number)
                break
        rest = process.stderr.read()
    assert process.returncode == (75 if number == signal.SIGTERM else -signal.SIGKILL)
    assert ("run the same command again" in rest) == (number == signal.SIGTERM)
    assert not list((tmp_path / "stage1").glob("*.safetensors"))
    assert main(arguments) == 0
    resumed = load_file(tmp_path / "stage1" / "rgb.safetensors")
    assert main(arguments) == 0
    whole = load_file(tmp_path / "stage1" / "rgb.safetensors")
    assert all(torch.equal(tensor, whole[name]) for name, tensor in resumed.items())

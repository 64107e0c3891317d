from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.torch import save_file

from cocon.cli import main
from cocon.config.schema import Clip
from cocon.errors import CheckpointError, ConfigError
from cocon.evaluation.metrics import Result, Task
from cocon.evaluation.summary import write_summary
from cocon.export.config import read_config
from cocon.export.encoder import load_encoder
from cocon.export.write import ExportJob, export
from cocon.files import read_json
from cocon.shards import ShardWriter
from cocon.training.checkpoint import read_info

CLIP = Clip(blocks=2, frames_per_block=2, stride=1, predicted_blocks=1, crop={"rgb": 24, "flow": 20})


def test_the_folder_says_all_that_an_embedding_depends_on(exported: Path) -> None:
    assert {path.name for path in exported.iterdir()} == {
        *("config.json", "README.md", "rgb.safetensors", "flow.safetensors")
    }
    config = read_config(exported)
    assert list(config.views) == ["rgb", "flow"], "in the order of the views, not of the arguments"
    assert (config.pretraining, config.embedding) == ("cocon", "encoder")
    assert config.clip == CLIP.model_copy(update={"crop": {"rgb": 24, "flow": 20}}), "of its views only"
    written = json.loads((exported / "config.json").read_text(encoding="utf-8"))["clip"]
    assert written == config.model_dump(mode="json")["clip"]
    flow = config.views["flow"]
    assert flow.extraction["backend"] == "farneback"
    assert flow.extraction["farneback"]["window"] == 7
    assert (flow.extraction["bound"], flow.extraction["short_side"]) == (3, 28)
    assert flow.normalisation.mean == (128 / 255, 128 / 255)
    assert flow.training == {"epoch": 7, "seed": 0, "training_videos": 3}
    assert flow.sha256 == hashlib.sha256((exported / "flow.safetensors").read_bytes()).hexdigest()
    assert {"cocon", "torch", "python"} <= config.exported_with.keys()


@pytest.mark.parametrize(("pooling", "parts"), [("encoder", 1), ("encoder_max", 1), ("context", 2)])
def test_only_what_the_embedding_needs_is_exported(
    checkpoints: Path, tmp_path: Path, pooling, parts: int
) -> None:
    export(ExportJob([checkpoints / "rgb.safetensors"], tmp_path / "x", pooling=pooling))
    with safe_open(tmp_path / "x" / "rgb.safetensors", framework="pt") as file:
        found = {name.split(".")[0] for name in file.keys()}  # noqa: SIM118
    assert found == set(["encoder", "aggregator"][:parts])
    assert load_encoder(tmp_path / "x", "cpu").views == ["rgb"]
    with pytest.raises(CheckpointError, match=r"is an exported encoder \(rgb\), not an encoder"):
        read_info(tmp_path / "x" / "rgb.safetensors")


@pytest.mark.parametrize(
    ("pretraining", "line"),
    [
        ("cmc", "CMC: contrastive multiview coding: views are compared, nothing is predicted; L_cmc (Tian"),
        ("cocon", "CoCon: the method of the paper; each view with L_cpc, then L_cpc, L_sync, L_sim (Rai"),
        ("stage1", "Stage 1: every view by itself, dense predictive coding; L_cpc (Han"),
        ("random", "Random weights: not trained; the weights are as they were drawn, to compare with\n"),
        ("mine", "not known to this version\n"),
    ],
)
def test_the_card_says_what_the_encoder_was_trained_with(
    checkpoint: Callable[..., Path], tmp_path: Path, pretraining: str, line: str
) -> None:
    path = checkpoint(tmp_path / "rgb.safetensors", "rgb", pretraining=pretraining)
    export(ExportJob([path], tmp_path / "x"))
    card = (tmp_path / "x" / "README.md").read_text()
    assert f"- Pretraining `{pretraining}`: {line}" in card


def test_the_command_writes_a_card_with_accuracies(
    checkpoints: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        Result(Task("demo", pretraining, view, "linear", "1"), top1, (top1, top1), 1.0, 80, 0.1)
        for pretraining, top1 in (("random", 0.25), ("cocon", 0.5), ("cpc", 0.75))
        for view in ("rgb", "flow", "ensemble")
    ]
    write_summary(rows, tmp_path / "summary.json", tmp_path / "summary.csv")
    paths = [str(checkpoints / f"{view}.safetensors") for view in ("rgb", "flow")]
    arguments = ["export", "--encoders", *paths, "--output", str(tmp_path / "x"), "--licence", "cc0-1.0"]
    arguments += ["--dataset", "my videos", "--summary", str(tmp_path / "summary.json")]
    assert main(arguments) == 0
    assert capsys.readouterr().err == f"{tmp_path / 'x'}: cocon, rgb, flow\n"
    card = (tmp_path / "x" / "README.md").read_text()
    for part in ("license: cc0-1.0", "my videos, 3 videos", "epoch 7", "50.0", "25.0", 'load_encoder("x")'):
        assert part in card
    assert "75.0" not in card
    assert "$" not in card
    accuracy = read_config(tmp_path / "x").accuracy
    assert [(row["pretraining"], row["view"]) for row in accuracy] == [
        *(("cocon", "rgb"), ("cocon", "flow"), ("cocon", "ensemble"))
    ]

    one = ["export", "--encoders", paths[0], "--output", str(tmp_path / "y"), "--summary"]
    assert main([*one, str(tmp_path / "summary.json")]) == 0
    assert [row["view"] for row in read_config(tmp_path / "y").accuracy] == ["rgb"], "no foreign ensemble"
    write_summary(rows[:3], tmp_path / "random.json", tmp_path / "random.csv")
    assert main([*one, str(tmp_path / "random.json")]) == 2
    assert "has no accuracy of 'cocon' for rgb" in capsys.readouterr().err


def test_encoders_that_do_not_belong_together(checkpoints: Path, checkpoint, tmp_path: Path) -> None:
    rgb = checkpoints / "rgb.safetensors"

    def fail(other: Path, message: str) -> None:
        with pytest.raises(CheckpointError, match=message):
            export(ExportJob([rgb, other], tmp_path / "x"))
        assert not (tmp_path / "x").exists()

    fail(
        checkpoint(tmp_path / "again.safetensors", "rgb"),
        r"rgb.*and.*again.* both encoders of the view 'rgb'",
    )
    alone = checkpoint(tmp_path / "alone.safetensors", "flow", pretraining="stage1")
    fail(alone, r"as 'cocon', .*alone\.safetensors as 'stage1'")
    longer = CLIP.model_copy(update={"blocks": 3})
    fail(checkpoint(tmp_path / "longer.safetensors", "flow", longer), "different clips: blocks 2 -> 3")
    larger = CLIP.model_copy(update={"crop": {"flow": 32}})
    fail(checkpoint(tmp_path / "larger.safetensors", "flow", larger), "crops of 32 px, but 'flow' .* 28 px")
    save_file({}, tmp_path / "classifier.safetensors", {"cocon": json.dumps({"kind": "classifier"})})
    fail(tmp_path / "classifier.safetensors", r"is a classifier \(None\), not an encoder")
    fail(tmp_path / "none.safetensors", "there is no checkpoint")


def test_the_extraction_must_be_known_and_agree(
    data: Path, checkpoints: Path, checkpoint, tmp_path: Path
) -> None:
    untold = checkpoint(tmp_path / "untold.safetensors", "rgb", extraction=None)
    with pytest.raises(CheckpointError, match="does not record how the view 'rgb' was extracted") as caught:
        export(ExportJob([untold], tmp_path / "x"))
    assert "--shards" in caught.value.hint
    config = export(ExportJob([untold], tmp_path / "x", shards=data / "shards"))
    assert config.views["rgb"].extraction["short_side"] == 28
    assert config.views["rgb"].extraction == read_config(tmp_path / "x").views["rgb"].extraction

    told = dict(config.views["rgb"].extraction)
    other = checkpoint(tmp_path / "other.safetensors", "rgb", extraction={**told, "jpeg_quality": 95})
    with pytest.raises(CheckpointError, match=r"not trained on shards like those .*: jpeg_quality 95 -> 80"):
        export(ExportJob([other], tmp_path / "x", shards=data / "shards"))
    older = checkpoint(tmp_path / "older.safetensors", "rgb", extraction={**told, "opencv": "1"})
    assert (
        export(ExportJob([older], tmp_path / "x", shards=data / "shards")).views["rgb"].extraction["opencv"]
        == "1"
    )
    del told["short_side"]
    vague = checkpoint(tmp_path / "vague.safetensors", "rgb", extraction=told)
    with pytest.raises(CheckpointError, match="are incomplete: short_side is missing"):
        export(ExportJob([vague], tmp_path / "x"))


def test_an_export_replaces_an_export_and_nothing_else(checkpoints: Path, tmp_path: Path) -> None:
    job = ExportJob([checkpoints / "rgb.safetensors"], tmp_path / "x")
    (tmp_path / "x").mkdir()
    export(job)
    (tmp_path / "x" / "stale").touch()
    export(job)
    assert not (tmp_path / "x" / "stale").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["x"], "nothing temporary is left"
    (tmp_path / "y").mkdir()
    (tmp_path / "y" / "thesis.txt").touch()
    with pytest.raises(ConfigError, match="is not an exported encoder"):
        export(ExportJob(job.checkpoints, tmp_path / "y"))
    assert (tmp_path / "y" / "thesis.txt").exists()


def test_pretraining_tells_how_its_views_were_extracted(data: Path, tmp_path: Path) -> None:
    settings = {
        "clip": CLIP.model_dump(mode="json"),
        "network": {"layers": [1, 1, 1, 1], "width": 4, "features": 8},
        "pretraining": {"stage1": {"epochs": 1, "batch_size": 3}, "validation_fraction": 0},
    }
    arguments = ["pretrain", "--manifest", data / "manifest.csv", "--shards", data / "shards"]
    arguments += ["--views", "rgb", "--stage", "stage1", "--output-dir", tmp_path, "--log", tmp_path / "log"]
    arguments += ["--state", tmp_path / "state", "--settings", json.dumps(settings), "--device", "cpu"]
    assert main([str(argument) for argument in arguments]) == 0
    export(ExportJob([tmp_path / "rgb.safetensors"], tmp_path / "x"))
    view = read_json(tmp_path / "x" / "config.json")["views"]["rgb"]
    assert view["extraction"]["jpeg_quality"] == 80
    assert view["training"]["training_videos"] == 3
    assert len(view["training"]["data_fingerprint"]) == 16


def test_shards_of_one_view_with_different_settings_are_not_trained_on(tmp_path: Path) -> None:
    from cocon.errors import ShardError
    from cocon.shards import ShardSet
    from cocon.shards.parameters import common_parameters

    versions = ["4.11", "4.13", "4.13"]
    for number, (side, opencv) in enumerate(zip((28, 28, 30), versions, strict=True)):
        path = tmp_path / f"{number}.h5"
        known = {"short_side": side, "opencv": opencv, "dis": {"preset": "fast"}}
        with ShardWriter(path, view="rgb", video_ids=[str(number)], parameters=known, codec="jpeg") as writer:
            writer.skip(str(number), "empty")
            writer.finish(1.0)
    shards = ShardSet.of_folder(tmp_path).shards
    assert common_parameters(shards[:2]) == {"short_side": 28, "dis": {"preset": "fast"}}
    with pytest.raises(ShardError, match=r"0\.h5 and .*2\.h5 .* different settings: short_side"):
        common_parameters(shards)


@pytest.mark.parametrize(
    ("told", "line", "labels"),
    [
        ({"epochs": 86, "epoch": 86}, "epoch 86 of 86, seed 0", False),
        (
            {"epochs": 86, "epoch": 63, "chosen_by": "k-NN on labelled training videos"},
            "epoch 63 of 86, chosen by k-NN on labelled training videos, seed 0",
            True,
        ),
        (
            {"epochs": 9, "epoch": 3, "chosen_by": "the loss on training videos held out"},
            "epoch 3 of 9, chosen by the loss on training videos held out, seed 0",
            False,
        ),
        (
            {"epochs": 9, "epoch": 9, "start_chosen_by": "k-NN on labelled training videos"},
            "epoch 9 of 9, from encoders chosen by k-NN on labelled training videos, seed 0",
            True,
        ),
    ],
)
def test_the_card_says_what_chose_the_epoch(
    checkpoint: Callable[..., Path], tmp_path: Path, told: dict[str, Any], line: str, labels: bool
) -> None:
    path = checkpoint(tmp_path / "rgb.safetensors", "rgb", **told)
    config = export(ExportJob([path], tmp_path / "x"))
    assert told.items() <= config.views["rgb"].training.items()
    card = (tmp_path / "x" / "README.md").read_text()
    assert f"; {line}\n" in card
    assert ("labels of training videos chose the epoch" in card) == labels
    assert "learned without labels" in card

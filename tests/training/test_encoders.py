"""Every encoder trains, goes on after an interruption, and is refused in the place of another one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from cocon.config.schema import Network
from cocon.encoders import ENCODERS
from cocon.errors import CheckpointError
from cocon.training.checkpoint import load_encoder, read_info
from cocon.training.initialise import initial_network
from cocon.training.log import read_log
from cocon.training.pretrain_job import PretrainJob
from cocon.training.settings import PretrainSettings
from tests.training.test_pretrain import assert_same_result, interrupted_after

Job = Callable[..., PretrainJob]
Run = Callable[[PretrainJob], None]
Settings = Callable[..., PretrainSettings]
SHAPES: dict[str, dict[str, Any]] = {
    "resnet2d3d": {"layers": [1, 1, 1, 1], "width": 8},
    "r2plus1d_18": {"width": 2},
    "s3d": {"width": 4},
}
OTHERS = [name for name in ENCODERS if name != "resnet2d3d"]


@pytest.fixture
def small(settings: Settings) -> Callable[..., PretrainSettings]:
    """The small settings with another encoder."""

    def make(name: str, **pretraining: Any) -> PretrainSettings:
        network = Network(encoder=name, features=16, **SHAPES[name])
        return settings(**pretraining).model_copy(update={"network": network})

    return make


@pytest.mark.parametrize("name", OTHERS)
def test_learns_and_goes_on_after_an_interruption(
    job: Job, run: Run, small: Callable[..., PretrainSettings], tmp_path: Path, name: str
) -> None:
    stage = {"epochs": 4, "batch_size": 8, "learning_rate": 3e-3}
    chosen = small(name, stage1=stage, loss={"temperature": 0.1})
    whole = job(settings=chosen, output=tmp_path / "whole", log=tmp_path / "whole" / "log")
    run(whole)
    rows = read_log(whole.log)
    assert rows[-1]["loss"] < 0.9 * rows[0]["loss"]
    this = job(settings=chosen)
    with interrupted_after(3, match="state is saved"):
        run(this)
    run(this)
    assert_same_result(this, whole)
    network, info = load_encoder(this.output / "rgb.safetensors")
    assert (info.network.encoder, network.encoder.features) == (name, 16)


def test_views_with_other_encoders_train_together(
    job: Job, run: Run, settings: Settings, tmp_path: Path
) -> None:
    """S = 1 of one view and 2 of the other: what is compared is pooled."""
    shape = {
        "features": 16,
        "width": 4,
        "layers": [1, 1, 1, 1],
        "views": {"mask": {"encoder": "r2plus1d_18"}},
    }
    chosen = settings().model_copy(update={"network": Network.model_validate(shape)})
    for view in ("rgb", "mask"):
        output = {"output": tmp_path / "stage1", "log": tmp_path / f"{view}.log"}
        run(job(views=[view], settings=chosen, **output))
    this = job(views=["rgb", "mask"], stage="stage2", init=tmp_path / "stage1", settings=chosen)
    run(this)
    assert {"sync/rgb-mask", "sim/rgb-mask"} <= read_log(this.log)[-1].keys()
    kinds = {view: read_info(this.output / f"{view}.safetensors").network for view in ("rgb", "mask")}
    assert [network.encoder for network in kinds.values()] == ["resnet2d3d", "r2plus1d_18"]
    assert kinds["mask"] == Network(encoder="r2plus1d_18", features=16, width=4)


def test_stage2_refuses_another_encoder(
    job: Job, run: Run, small: Callable[..., PretrainSettings], tmp_path: Path
) -> None:
    once = {"stage1": {"epochs": 1, "batch_size": 16}}
    run(job(output=tmp_path / "stage1", settings=small("s3d", **once)))
    with pytest.raises(CheckpointError, match=r"another network: encoder s3d \(not resnet2d3d\)") as error:
        run(job(stage="stage2", init=tmp_path / "stage1", settings=small("resnet2d3d")))
    assert "use the network settings that it was trained with" in error.value.hint


@pytest.mark.parametrize("name", ENCODERS)
def test_a_file_has_what_its_encoder_reads_and_no_more(tmp_path: Path, name: str) -> None:
    from cocon.config.schema import Clip
    from cocon.training.checkpoint import save_encoder

    network = Network(encoder=name, features=16, **SHAPES[name])
    path = tmp_path / "rgb.safetensors"
    save_encoder(path, initial_network("rgb", network, 0), "rgb", Clip(), "random")
    info = read_info(path)
    assert info.network == network
    stored = json.loads(network.model_dump_json())
    assert stored.keys() == {"encoder", "features", "dropout", "views", *ENCODERS[name].reads}
    assert load_file(path).keys() == load_encoder(path)[0].state_dict().keys()


@pytest.mark.parametrize("name", OTHERS)
def test_the_default_encoder_is_drawn_as_before(name: str) -> None:
    """One view's encoder changes nothing of another's."""
    alone = initial_network("flow", Network(width=4, features=8, layers=(1, 1, 1, 1)), 0)
    mixed = Network(width=4, features=8, layers=(1, 1, 1, 1), views={"rgb": {"encoder": name}})
    beside = initial_network("flow", mixed, 0)
    assert all(torch.equal(value, beside.state_dict()[key]) for key, value in alone.state_dict().items())

"""Pretraining as two processes of one machine, from the videos to the table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cocon.cli import main
from cocon.training.log import Row, read_log
from tests import tiny

pytestmark = pytest.mark.e2e

#: colours are drawn per process, and so is dropout
PLAIN = {"rgb_flip": 0, "grey": 0, "brightness": 0, "contrast": 0, "saturation": 0, "hue": 0}
BATCH = 4


def recipe(batch: int) -> dict[str, Any]:
    stage = {"epochs": 2, "batch_size": batch, "learning_rate": 1e-4}
    training = {"validation_fraction": 0, "augmentation": PLAIN, "sync_batch_norm": True}
    return tiny.RECIPE | {
        "network": tiny.RECIPE["network"] | {"dropout": 0},
        "pretraining": training | {"stage1": stage, "stage2": stage},
    }


def losses(rows: list[Row]) -> list[dict[str, float]]:
    """All terms of every epoch; accuracies jump where a rounding decides between two candidates."""
    return [{k: v for k, v in row.items() if k == "loss" or k.startswith(("cpc/", "s"))} for row in rows]


def assert_same_losses(one: Path, two: Path) -> None:
    first, second = (losses(read_log(path)) for path in (one, two))
    assert len(first) == len(second) == 2
    for a, b in zip(first, second, strict=True):
        assert b == pytest.approx(a, rel=1e-3)


def test_two_processes_to_the_table_with_the_losses_of_one(workflow, tmp_path: Path) -> None:
    """As one process with batches of twice the size, up to the order of summation."""
    processes = {"gpus": 2, "threads": 2}
    document = {
        "device": "cpu",
        "views": ["rgb", "flow"],
        "jobs": {"pretrain_stage1": processes, "pretrain_stage2": processes},
        "datasets": {"demo": tiny.DEMO | {"train_subjects": 1}},
        "recipes": {"tiny": recipe(BATCH)},
    }
    workflow.configure(document)
    workflow.run("eval_demo")
    results = workflow.folder / "results" / "demo"
    rows = json.loads((results / "summary.json").read_text())["rows"]
    assert {(row["view"], row["n"]) for row in rows} >= {("rgb", 10), ("flow", 10)}
    assert not list((results / "pretrain" / ".state").iterdir())

    alone = recipe(2 * BATCH)
    settings = json.dumps({name: alone[name] for name in ("clip", "network", "pretraining")})
    common = [
        *("pretrain", "--manifest", f"{results}/manifest.csv", "--shards", f"{results}/shards"),
        *("--device", "cpu", "--threads", "1", "--settings", settings, "--state", f"{tmp_path}/state"),
    ]
    for view in ("rgb", "flow"):
        log = tmp_path / "stage1" / f"{view}.log.jsonl"
        where = ["--output-dir", f"{tmp_path}/stage1", "--log", str(log)]
        assert main([*common, "--views", view, "--stage", "stage1", *where]) == 0
        assert_same_losses(log, results / "pretrain" / "stage1" / log.name)
    log = tmp_path / "cocon" / "log.jsonl"
    where = ["--init", f"{results}/pretrain/stage1", "--output-dir", f"{tmp_path}/cocon", "--log", str(log)]
    assert main([*common, "--views", "rgb", "flow", "--stage", "stage2", *where]) == 0
    assert_same_losses(log, results / "pretrain" / "cocon" / log.name)

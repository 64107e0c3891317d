"""The rule that pretrains, as a job of the cluster: on two nodes, and with too little memory."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from cocon.datasets.manifest import read_manifest
from tests.slurm.cluster import Cluster

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(2600)]

CURVE = "results/blobs/pretrain/stage1/rgb.log.jsonl"
#: colours are drawn per process
PLAIN = {"rgb_flip": 0, "grey": 0, "brightness": 0, "contrast": 0, "saturation": 0, "hue": 0}
RECIPE: dict[str, Any] = {
    "clip": {"blocks": 4, "frames_per_block": 2, "stride": 1, "predicted_blocks": 1, "crop": {"rgb": 32}},
    "network": {"layers": [1, 1, 1, 1], "width": 8, "features": 16, "dropout": 0},
    "pretraining": {"validation_fraction": 0, "augmentation": PLAIN, "sync_batch_norm": True},
}


@pytest.fixture
def blobs(new_run, dataset: Path, tmp_path: Path) -> Any:
    """Makes a run whose shards are there already."""

    def make(name: str, batch_size: int, **job: int) -> Any:
        run = new_run(tmp_path / name)
        stage = {"epochs": 2, "batch_size": batch_size, "learning_rate": 1e-4}
        recipe = RECIPE | {"pretraining": RECIPE["pretraining"] | {"stage1": stage}}
        blobs = {"kind": "folder", "recipe": "tiny", "shards": 1, "videos": "videos", "table": "table.csv"}
        jobs = {"pretrain_stage1": {"memory_mb": 2000} | job}
        document = {"views": ["rgb"], "jobs": jobs, "datasets": {"blobs": blobs}, "recipes": {"tiny": recipe}}
        run.configure(document)
        results = run.folder / "results" / "blobs"
        shutil.copytree(dataset, results)
        shutil.copy(results / "manifest.csv", results / "pretraining.csv")
        (run.folder / "videos").mkdir()
        lines = ["video,label,split,group"]
        for video in read_manifest(results / "manifest.csv"):
            (run.folder / "videos" / f"{video.id}.mp4").touch()
            lines.append(f"{video.id}.mp4,blob,{video.splits['1']},{video.group}")
        (run.folder / "table.csv").write_text("\n".join(lines))
        return run

    return make


def curve(run) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run.folder / CURVE).read_text().splitlines()]


def test_two_nodes_have_the_losses_of_one_process(blobs, cluster: Cluster) -> None:
    """Batch norm sees the clips of all processes, and so do the losses."""
    one, two = blobs("one", batch_size=8), blobs("two", batch_size=4, nodes=2)
    sent = two.start(CURVE, "--allowed-rules", "pretrain_stage1", profile="--workflow-profile")
    one.finish(one.start_here(CURVE, "--allowed-rules", "pretrain_stage1"))
    two.finish(sent)
    (job,) = two.sent("pretrain_stage1")
    rows = dict(line.split(maxsplit=1) for line in cluster.jobs("%i %D %b"))
    assert rows[job.number] == "2 gres:gpu:1", "a GPU on each of two nodes"
    assert len(curve(one)) == len(curve(two)) == 2
    for alone, together in zip(curve(one), curve(two), strict=True):
        assert together["step"] == alone["step"]
        assert together["loss"] == pytest.approx(alone["loss"], rel=0.02)


def test_a_job_without_enough_memory_gets_more(blobs) -> None:
    """300 MB are too few for Snakemake and PyTorch; in the end a repeated job has enough."""
    run = blobs("short", batch_size=8, memory_mb=300)
    run.finish(run.start(CURVE, "--allowed-rules", "pretrain_stage1", "--retries", "4"))
    sent = run.sent("pretrain_stage1")
    assert [job.memory for job in sent] == [f"{300 * (attempt + 1)}M" for attempt in range(len(sent))]
    assert len(sent) > 1
    assert sent[-1].state == "COMPLETED"
    assert {job.state for job in sent[:-1]} <= {"OUT_OF_MEMORY", "FAILED", "CANCELLED"}

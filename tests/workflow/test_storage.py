"""Shards on S3-compatible storage: a server of this machine stands in for it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

server = pytest.importorskip("moto.server", reason="needs a server for S3: make test-s3")
boto3 = pytest.importorskip("boto3", reason="needs a client for S3: make test-s3")
pytest.importorskip("snakemake_storage_plugin_s3", reason="needs the storage plugin: make test-s3")

from view_extractors.pipeline.rendered import write_sample  # noqa: E402

pytestmark = pytest.mark.s3

FEATURES = "results/mine/features/random/rgb.h5"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty bucket `shards`, which the environment tells Snakemake how to reach."""
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    url = "http://{}:{}".format(*running.get_host_and_port())
    for name, value in {"ENDPOINT_URL": url, "ACCESS_KEY": "anyone", "SECRET_KEY": "anything"}.items():
        monkeypatch.setenv(f"SNAKEMAKE_STORAGE_S3_{name}", value)
    resource = boto3.resource(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="anyone",
        aws_secret_access_key="anything",
    )
    yield resource.create_bucket(Bucket="shards")
    running.stop()


def test_shards_are_written_to_and_read_from_a_bucket(workflow, bucket: Any, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_sample(tmp_path / f"{name}.mp4", 10, (48, 64), "libx264")
    (tmp_path / "table.csv").write_text("video,label,split\na.mp4,x,train\nb.mp4,x,test\n")
    mine = {"kind": "folder", "recipe": "tiny", "shards": 1, "videos": ".", "table": "table.csv"}
    tiny = {
        "extraction": {"rgb": {"short_side": 32}},
        "clip": {"blocks": 4, "predicted_blocks": 1, "frames_per_block": 2, "stride": 1, "crop": {"rgb": 32}},
        "network": {"layers": [1, 1, 1, 1], "width": 8, "features": 16},
    }
    document = {"views": ["rgb"], "datasets": {"mine": mine}, "recipes": {"tiny": tiny}}
    workflow.configure({**document, "shard_storage": "s3://shards/project"})

    workflow.run("extract_mine")
    assert [stored.key for stored in bucket.objects.all()] == ["project/mine/shards/rgb/00000.h5"]
    assert not (tmp_path / "results" / "mine" / "shards").exists()

    # Another machine, with nothing but the results and the bucket: nothing is extracted anew.
    shutil.rmtree(tmp_path / ".snakemake" / "storage", ignore_errors=True)
    assert workflow.plan(FEATURES) == {"index": 1, "initialise": 1, "features": 1}
    workflow.run(FEATURES)
    assert (tmp_path / FEATURES).is_file()

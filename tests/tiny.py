"""A recipe and a demo so small that the whole workflow runs in a minute or two; HMDB51 from archives."""

from __future__ import annotations

from typing import Any

DEMO: dict[str, Any] = {
    "kind": "demo",
    "recipe": "tiny",
    "shards": 2,
    "train_subjects": 2,
    "test_subjects": 1,
    "takes": 1,
    "frames": 18,
    "size": 96,
}
RECIPE: dict[str, Any] = {
    "extraction": {
        "rgb": {"short_side": 36},
        "flow": {"short_side": 36, "compute_short_side": 48, "tvl1": {"preset": "fast"}},
        "mask": {"short_side": 36},
        "pose": {"short_side": 36, "sigma": 1.0},
    },
    "clip": {
        "blocks": 4,
        "frames_per_block": 4,
        "stride": 1,
        "predicted_blocks": 1,
        "crop": dict.fromkeys(("rgb", "flow", "mask", "pose"), 32),
    },
    "network": {"layers": [1, 1, 1, 1], "width": 4, "features": 16},
    "pretraining": {
        "stage1": {"epochs": 1, "batch_size": 8},
        "stage2": {"epochs": 1, "batch_size": 8},
        "validation_fraction": 0,
    },
    "evaluation": {"pretrainings": ["cocon"], "protocols": ["linear"], "bootstrap": 100},
}
HMDB51: dict[str, Any] = {
    "kind": "hmdb51",
    "recipe": "tiny",
    "shards": 1,
    "splits": ["1", "2", "3"],
    "videos": "data/videos",
    "lists": "data/lists",
    "from_archives": ["hmdb51_org.rar", "test_train_splits.rar"],
}

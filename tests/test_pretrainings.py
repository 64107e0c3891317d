"""One table of pretrainings: what lists or explains them agrees with it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from cocon.config.schema import Ablation, Config, Evaluation, Loss
from cocon.pretrainings import (
    PRESETS,
    PRETRAININGS,
    RANDOM,
    STAGE1,
    TERMS,
    WITHOUT_STAGE1,
    keys_read,
    start_of,
)


def test_terms_are_made_of_keys_of_the_loss() -> None:
    loss = Loss.model_fields
    for name, term in TERMS.items():
        assert {*term.weight, *term.reads} <= loss.keys()
        if term.kinds:
            assert tuple(term.kinds) == get_args(loss[name].annotation)
            assert {key for keys in term.kinds.values() for key in keys} <= loss.keys()
    assert {term for preset in PRESETS.values() for term in preset.terms} == TERMS.keys()
    every = {key for preset in PRESETS for key in keys_read(preset, Loss().model_dump())}
    assert every == loss.keys(), "a key that no preset reads"


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_whole(name: str) -> None:
    preset = PRESETS[name]
    assert preset.title
    assert preset.source
    assert "\n" not in preset.description
    Loss.model_validate(dict(preset.fixed))
    assert start_of(name) == (STAGE1 if preset.predicts else RANDOM), "stage 1 is L_cpc"
    assert (name in WITHOUT_STAGE1) == (not preset.predicts)


def test_the_method_explains_every_preset(repository: Path) -> None:
    text = (repository / "docs" / "method.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| ([\w, ]+) \| (.+) \|$", text, re.M)
    assert rows == [
        (name, ", ".join(TERMS[term].title for term in preset.terms), preset.description)
        for name, preset in PRESETS.items()
    ]
    start = re.search(r"([^.]+) have no L_cpc, so they start from random networks", " ".join(text.split()))
    assert start is not None
    assert set(re.findall(r"`(\w+)`", start[1])) == WITHOUT_STAGE1
    for preset in PRESETS.values():
        for number in re.findall(r"arXiv ([\d.]+)", preset.source):
            assert number in text or number == "1909.04656", f"{number} is not in docs/method.md"


def test_the_schema_accepts_every_pretraining_and_an_ablation_has_all_presets() -> None:
    definitions = Config.model_json_schema()["$defs"]
    for section in ("Ablation", "Evaluation"):
        items = definitions[section]["properties"]["pretrainings"]["items"]
        assert items["enum"] == list(PRETRAININGS)
    assert Ablation(dataset="x").pretrainings == (RANDOM, *PRESETS)
    assert Evaluation(pretrainings=tuple(PRETRAININGS)).pretrainings == tuple(PRETRAININGS)


def test_a_new_preset_is_one_entry() -> None:
    """The entry is added before anything else is imported."""
    code = """
from cocon import pretrainings as table
fixed = {"cooperation": 3.0}
terms = ("cpc", "cmc", "sync")
mine = table.PretrainingMethod("Mine", "the one that is mine", "me", terms=terms, fixed=fixed)
table.PRETRAININGS["mine"] = table.PRESETS["mine"] = mine

import argparse
from types import SimpleNamespace
from cocon.commands import pretrain
from cocon.config.schema import Config, Loss, Recipe
from cocon.evaluation.summary import _ORDERS
from cocon.export.card import _method
from cocon.losses.cocon import CoConLoss
from cocon.patterns import expanded
from cocon.report.headline import _title
from cocon.report.inputs import order_pretrainings
from cocon.report.marks import colour_of, mark_of
from cocon.config.selection import loss_settings
from cocon.workflow.ablations import Ablations
from cocon.workflow.lists import VideoLists
from cocon.workflow.paths import Paths

demo = {"kind": "demo", "recipe": "r", "shards": 1}
ablations = {"a": {"dataset": "d"}}
config = Config.model_validate({"datasets": {"d": demo}, "recipes": {"r": {}}, "ablations": ablations})
assert config.ablations["a"].pretrainings[-1] == "mine"
metrics = Ablations(config, VideoLists(config)).metrics("a")
assert any("/mine/" in path for path in expanded(metrics))
assert Paths(config).start("d", "", "mine")[0].endswith("stage1/rgb.safetensors")
loss = Loss(temperature=1, cooperation=2, contrast_temperature=3, margin=0.5)
assert loss_settings(loss, "mine", ["rgb", "flow"]) == {"temperature": 1, "contrast_temperature": 3}
assert CoConLoss(loss, "mine").of_pairs == ["cmc", "sync"]
assert order_pretrainings({"mine", "cocon", "other"}) == ["cocon", "mine", "other"]
assert _ORDERS["pretraining"][-1] == "mine"
assert _method("mine") == "Mine: the one that is mine; each view with L_cpc, then L_cpc, L_cmc, L_sync (me)"
assert mark_of("mine") != mark_of("other") and colour_of("mine") != colour_of("other")
assert _title("mine") == "Mine: the one that is mine"
parser = argparse.ArgumentParser()
pretrain.add_arguments(parser)
assert "mine" in parser.format_help()
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr

"""Results outlive new versions of the program: what was recorded of finished jobs stays as it is.

``recorded/`` holds what this version's rules and defaults were when results were made with it. A difference
means that everybody's results are made again. If that is meant, raise the version of the stage in
``cocon/versions.py`` and record again:

    python -m tests.workflow.test_upgrades
"""

from __future__ import annotations

import base64
import copy
import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from pydantic import create_model

from cocon.config import selection
from cocon.config.schema import Augmentation, Pretraining, Recipe, RgbExtraction
from cocon.versions import EXTRACTION, STAGES
from cocon.workflow.documents.extraction import extraction
from tests.workflow.conftest import Workflow
from tests.workflow.test_changes import leaves

RECORDED = Path(__file__).parent / "recorded"
DEMO = {"kind": "demo", "recipe": "r", "shards": 2, "frames": 20}
RECIPE: dict[str, Any] = {
    "extraction": {"rgb": {"short_side": 60, "codec": "dct"}, "flow": {"tvl1": {"preset": "fast"}}},
    "clip": {"stride": 1, "crop": {"rgb": 44, "flow": 44, "mask": 32, "pose": 32}},
    "network": {"width": 16, "views": {"rgb": {"layers": [1, 1, 1, 1]}}},
    "pretraining": {"stage1": {"epochs": 4}, "loss": {"cooperation": 5}, "augmentation": {"hue": 0.1}},
    "evaluation": {
        "protocols": ["linear", "retrieval", "finetune"],
        "linear": {"max_iterations": 100},
        "finetune": {"epochs": 5},
        "ensemble": {"rgb": 1, "flow": 2, "mask": 1, "pose": 1},
    },
}
DOCUMENT = {
    "jobs": {"pretrain_stage2": {"probe_every": 5}},
    "datasets": {"demo": DEMO},
    "recipes": {"r": RECIPE},
    "ablations": {"few": {"dataset": "demo", "seeds": 1, "pretrainings": ["cmc", "cpc_sync"]}},
}
TARGETS = ("eval_demo", "ablation_few", "export_demo", "score_demo")


def records(project: Workflow) -> dict[str, dict[str, list[str]]]:
    """What Snakemake keeps of the first job of each rule and protocol: what a result is compared with."""
    found: dict[str, dict[str, list[str]]] = {}
    folder = project.folder / ".snakemake" / "metadata"
    by_output = {base64.b64decode(path.name).decode(): path for path in folder.iterdir() if path.is_file()}
    for output, path in sorted(by_output.items()):
        record = json.loads(path.read_text())
        kept = {"output": output, "params": record["params"], "input": record["input"][:6]}
        protocol = re.fullmatch(r".*/evaluation/\w+/\w+/(\w+)_split1\.\w+", output)
        found.setdefault(f"{record['rule']}, {protocol[1]}" if protocol else record["rule"], kept)
    return found


def defaults() -> dict[str, Any]:
    """Every key of a recipe that a result depends on, with its default, as JSON has it."""
    found = {p: value for p, _, value in leaves(Recipe()) if p.rpartition(".")[2] not in selection.RUNNING}
    return json.loads(json.dumps(found, default=str))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    project = Workflow(tmp_path_factory.mktemp("finished"))
    project.configure(DOCUMENT)
    project.finish(*TARGETS)
    return project


def test_rules_depend_on_what_they_did(finished: Workflow) -> None:
    expected = json.loads((RECORDED / "jobs.json").read_text())
    assert records(finished) == expected


def test_every_rule_tracks_one_document(finished: Workflow) -> None:
    """Snakemake compares parameters as a set: two that exchange their values would go unnoticed."""
    tracked = {rule: len(kept["params"]) for rule, kept in records(finished).items()}
    assert set(tracked.values()) == {1}, tracked


def test_a_changed_default_comes_with_a_version() -> None:
    recorded = json.loads((RECORDED / "defaults.json").read_text())
    now = defaults()
    different = {key: now[key] for key, value in recorded["defaults"].items() if now.get(key) != value}
    then = recorded["versions"]
    backends = {name: EXTRACTION[name] for name in then["extraction"]}  # a new one changes no result
    if then == {"stages": STAGES, "extraction": backends}:
        assert different == {}, "results change without a trace: raise the versions of the stages"
    assert recorded["defaults"].keys() == now.keys(), "a new key: record it (see the head of this file)"


def test_a_new_key_with_its_default_changes_no_document() -> None:
    longer = create_model("Longer", __base__=Augmentation, depth_flip=(float, 0.0))
    learning = create_model("Learning", __base__=Pretraining, augmentation=(longer, longer()), fresh=(int, 7))
    recipe = Recipe.model_validate(RECIPE)
    document = recipe.pretraining.model_dump(exclude_unset=True)
    later = recipe.model_copy(update={"pretraining": learning.model_validate(document)})
    for stage, views in (("stage1", ["rgb"]), ("stage2", ["rgb", "flow"])):
        before = selection.pretraining_settings(recipe, stage, "cocon", views)
        assert selection.pretraining_settings(later, stage, "cocon", views) == before
    decoded = create_model("Decoded", __base__=RgbExtraction, fresh=(str, "no"))
    decoding = recipe.extraction.model_copy(update={"rgb": decoded(short_side=60, codec="dct")})
    later = recipe.model_copy(update={"extraction": decoding})
    assert extraction(later, ["rgb"], "x") == extraction(recipe, ["rgb"], "x")


def test_a_new_key_that_is_used_changes_its_document() -> None:
    learning = create_model("Learning", __base__=Pretraining, fresh=(int, 7))
    recipe = Recipe()
    later = recipe.model_copy(update={"pretraining": learning(fresh=8)})
    assert selection.pretraining_settings(later, "stage1", "cpc", ["rgb"]) == {"pretraining": {"fresh": 8}}


def test_results_of_version_0_1_0_are_taken_over(finished: Workflow, tmp_path: Path) -> None:
    """As CHANGELOG.md says: they have no pretraining.csv, no folder of stage 2, and other records."""
    old = Workflow(tmp_path / "old")
    shutil.copytree(finished.folder, old.folder)
    results = old.folder / "results" / "demo"
    shutil.rmtree(old.folder / ".snakemake" / "metadata")
    (results / "pretraining.csv").unlink()
    for folder in results.glob("pretrain/*/together"):
        shutil.rmtree(folder)
    shutil.copy(results / "manifest.csv", results / "pretraining.csv")
    for log in results.glob("pretrain/*/log.jsonl"):
        (log.parent / "together").mkdir()
    old.run("--touch", "--forceall", "eval_demo")
    assert old.plan("eval_demo") == {}
    changed = copy.deepcopy(DOCUMENT)
    changed["recipes"]["r"]["evaluation"]["linear"]["max_iterations"] = 200
    old.configure(changed)
    assert old.plan("eval_demo")["evaluate_features"] == 12


def record() -> None:
    """Write what is recorded."""
    with tempfile.TemporaryDirectory() as name:
        project = Workflow(Path(name))
        project.configure(DOCUMENT)
        project.finish(*TARGETS)
        (RECORDED / "jobs.json").write_text(json.dumps(records(project), indent=1) + "\n")
    document = {"versions": {"stages": STAGES, "extraction": EXTRACTION}, "defaults": defaults()}
    (RECORDED / "defaults.json").write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    record()

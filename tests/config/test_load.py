from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from cocon.config.config_files import stacked
from cocon.config.load import dump_settings, load_config, parse_settings
from cocon.config.schema import Config, Evaluation, Extraction, FirstStage, FlowExtraction, Recipe, Stage
from cocon.errors import ConfigError
from cocon.evaluation.settings import EnsembleSettings
from cocon.views import VIEWS

VALID = """\
datasets:
  demo:
    kind: demo
    recipe: small
    shards: 3
recipes:
  small:
    clip: {blocks: 4, predicted_blocks: 1}
"""


def load(tmp_path: Path, text: str) -> Config:
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    return load_config(tmp_path / "config.yaml")


def problem(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as error:
        load(tmp_path, text)
    return str(error.value)


def test_defaults_fill_what_is_left_out(tmp_path: Path) -> None:
    config = load(tmp_path, VALID)
    assert config.recipes["small"].clip.frames == 4 * 5
    assert config.recipes["small"].pretraining.loss.temperature == 0.005
    assert config.views == ("rgb", "flow", "mask", "pose")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("blocks: 4", "blokcs: 4", "line 8: unknown key 'recipes.small.clip.blokcs'; did you mean 'blocks'?"),
        (
            "    shards: 3",
            "    shard: 3",
            "line 5: unknown key 'datasets.demo.shard'; did you mean 'shards'?",
        ),
        ("recipes:\n", "recieps:\n", "line 6: unknown key 'recieps'; did you mean 'recipes'?"),
        ("shards: 3", "shards: 0", "line 5: 'datasets.demo.shards': input should be greater than"),
        ("shards: 3", "shards: many", "(it is 'many')"),
        ("blocks: 4, predicted_blocks: 1", "blocks: 3, predicted_blocks: 3", "smaller than blocks"),
        ("recipe: small", "recipe: smal", "no recipe 'smal' (there are: small)"),
        ("kind: demo", "kind: demmo", "line 2: 'datasets.demo'"),
        ("    kind: demo", "    kind: ucf101", "line 2: 'datasets.demo.videos' is missing"),
        ("    shards: 3", "    shards: 3\n    shards: 4", "line 6: 'shards' is given twice"),
        ("datasets:", "datasets: [", "is not valid YAML"),
        ("datasets:", "results: !custom x\ndatasets:", "line 1: the tag '!custom' has no meaning here"),
        (
            "datasets:",
            "results: !!python/object:os.x {}\ndatasets:",
            "line 1: the tag 'tag:yaml.org,2002:python",
        ),
        ("datasets:", "a: &a\n  b: *a\ndatasets:", "line 1: the value of an anchor (&) contains itself"),
        ("datasets:", "? [a]\n: 1\ndatasets:", "line 1: a key is a list or a mapping"),
        ("datasets:", "results: 2020-13-45\ndatasets:", "has a value that cannot be read: month must be"),
        ("datasets:", "a: " + "[" * 3000 + "\ndatasets:", "is nested too deeply"),
        ("datasets:", "views: [rgb, rgb]\ndatasets:", "line 1: 'views': 'rgb' stands there 2 times"),
        (
            "shards: 3",
            "shards: 3\n    views: [rgb, flow, rgb]",
            "'datasets.demo.views': 'rgb' stands there 2",
        ),
        (
            "shards: 3",
            'shards: 3\n    splits: ["1", "1"]',
            "line 6: 'datasets.demo.splits': '1' stands there 2",
        ),
        (
            "shards: 3",
            "shards: 3\n    splits: []",
            "'datasets.demo.splits': list should have at least 1 item",
        ),
        ("shards: 3", "shards: 3\n    splits: [1]", "put it between quotation marks (it is 1)"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in VALID
    assert expected in problem(tmp_path, VALID.replace(old, new, 1))


NAMES = (
    "a name has at most 40 characters, A-Z, a-z, 0-9, '_', '-' and '.', and begins with a letter or a digit"
)


@pytest.mark.parametrize(
    "name", ["my demo", "..", "a/b", "-rf", "'{x}'", "a$b", "a;b", "ä", "x" * 41, "'a\\nb'", "''"]
)
@pytest.mark.parametrize("kind", ["datasets", "recipes", "ablations", "own", "splits"])
def test_names_become_parts_of_paths_and_targets(tmp_path: Path, kind: str, name: str) -> None:
    document = yaml.safe_load(VALID)
    name = yaml.safe_load(name)
    match kind:
        case "datasets":
            document["datasets"][name] = document["datasets"]["demo"]
        case "recipes":
            document["recipes"][name] = {}
        case "ablations":
            document["ablations"] = {name: {"dataset": "demo"}}
        case "own":
            document["recipes"]["small"]["evaluation"] = {"own": {name: {"like": "linear"}}}
        case "splits":
            document["datasets"]["demo"]["splits"] = [name]
    assert NAMES in problem(tmp_path, yaml.safe_dump(document))


def test_names_may_have_dots_dashes_and_capitals(tmp_path: Path) -> None:
    text = VALID.replace("demo:", "My-demo_2.1:", 1).replace("small", "r34.v2")
    assert list(load(tmp_path, text).datasets) == ["My-demo_2.1"]


@pytest.mark.parametrize(
    "name", ["stage1", "stage2", "stage2_rgb_flow", "persons", "shards", "backends", "pairs", "pairs_demo"]
)
def test_steps_of_the_workflow_are_no_names_of_data_sets(tmp_path: Path, name: str) -> None:
    found = problem(tmp_path, VALID.replace("  demo:", f"  {name}:"))
    assert f"line 2: datasets.{name}: a step of the workflow has this name" in found


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ("network: {layers: [1, 1, 1]}", "'recipes.small.network.layers' must have 4 values (it has 3)"),
        ("network: {layers: [1]}", "'recipes.small.network.layers' must have 4 values (it has 1)"),
        (
            "network: {layers: [1, 1, 1, 1, 1]}",
            "'recipes.small.network.layers' must have 4 values (it has 5)",
        ),
        ("network: {views: {rgb: {layers: [1]}}}", "small.network.views.rgb.layers' must have 4 values"),
        (
            "network: {encoder: s3d, layers: [1, 1, 1, 1]}",
            "the encoder s3d does not read 'layers'; leave it out, or choose resnet2d3d",
        ),
        (
            "network: {views: {rgb: {encoder: r2plus1d_18, layers: [2, 2, 2, 2]}}}",
            "the encoder r2plus1d_18 does not read 'views.rgb.layers'; leave it out",
        ),
        ("network: {encoder: s3d, views: {rgb: {layers: [1, 1, 1, 1]}}}", "does not read 'views.rgb.layers'"),
        ("network: {encoder: s3d, features: 3}", "the encoder s3d needs 4 features or more, not 3"),
        ("network: {features: 3, views: {mask: {encoder: s3d}}}", "needs 4 features or more"),
        ("network: {encoder: resnet}", "'recipes.small.network.encoder': input should be 'resnet2d3d', "),
        ("network: {layers: 2}", "'recipes.small.network.layers': input should be a list (it is 2)"),
        (
            "pretraining: {augmentation: {crop_area: [1]}}",
            "augmentation.crop_area' must have 2 values (it has 1)",
        ),
        (
            "pretraining: {stage1: {epochs: 1, learning_rate: .inf}}",
            "stage1.learning_rate': input should be a finite",
        ),
        (
            "pretraining: {loss: {cooperation: .nan}}",
            "pretraining.loss.cooperation': input should be a finite",
        ),
        (
            "extraction: {flow: {bound: .inf}}",
            "extraction.flow.bound': input should be a finite number (it is inf)",
        ),
        (
            "extraction: {flow: {tvl1: {lambda: .nan}}}",
            "extraction.flow.tvl1.lambda': input should be a finite",
        ),
        (
            "pretraining: {stage1: {epochs: 3, steps: 40}}",
            "pretraining.stage1': epochs and steps exclude each other: leave one of them out",
        ),
        ("pretraining: {stage2: {steps: 0}}", "pretraining.stage2.steps': input should be greater than or"),
        (
            "evaluation: {finetune: {epochs: 3, steps: 40}}",
            "evaluation.finetune': epochs and steps exclude each other",
        ),
        (
            "pretraining: {warmup_epochs: 1, warmup_steps: 9}",
            "pretraining': warmup_epochs and warmup_steps exclude each other",
        ),
        (
            "pretraining: {result: best, validation_fraction: 0}",
            "validation_fraction must not be 0, or set best_by: probe, where training videos have labels",
        ),
        ("evaluation: {ensemble: {rgb: 0}}", "evaluation.ensemble.rgb': input should be greater than 0"),
        ("evaluation: {ensemble: {rgb: -1}}", "evaluation.ensemble.rgb': input should be greater than 0"),
        ("evaluation: {ensemble: {rgb: .nan}}", "evaluation.ensemble.rgb': input should be a finite number"),
        ("extraction: {rgb: {short_side: 127}}", "clip.crop.rgb: 128 px do not fit into the frames of demo"),
        ("extraction: {pose: {short_side: 63}}", "clip.crop.pose: 64 px do not fit into the frames of demo"),
    ],
)
def test_what_would_fail_after_hours_fails_at_once(tmp_path: Path, recipe: str, expected: str) -> None:
    found = problem(tmp_path, f"{VALID}    {recipe}\n")
    assert expected in found
    assert "has 1 problem:" in found
    assert "line 8: " in found or "line 9: " in found


def test_views_that_a_table_by_view_does_not_name_have_their_defaults(tmp_path: Path) -> None:
    text = VALID.replace("predicted_blocks: 1", "predicted_blocks: 1, crop: {pose: 48, rgb: 99}")
    recipe = load(tmp_path, f"{text}    evaluation: {{ensemble: {{flow: 3}}}}\n").recipes["small"]
    assert recipe.clip.crop == {"rgb": 99, "flow": 128, "mask": 64, "pose": 48}
    assert list(recipe.clip.crop) == list(VIEWS)
    assert recipe.evaluation.ensemble == {"rgb": 2, "flow": 3, "mask": 1, "pose": 1}


def test_a_default_of_a_view_that_is_not_named_must_fit_too(tmp_path: Path) -> None:
    text = VALID.replace("predicted_blocks: 1", "predicted_blocks: 1, crop: {rgb: 64}")
    extraction = "    extraction: {rgb: {short_side: 64}, flow: {short_side: 64}}\n"
    found = problem(tmp_path, text + extraction)
    assert "clip.crop.flow: 128 px do not fit into the frames of demo" in found
    assert "has 1 problem:" in found


def tables_by_view(
    section: type[BaseModel], seen: set[type[BaseModel]]
) -> Iterator[tuple[type[BaseModel], str]]:
    """Of a section and those in it, the keys that are dictionaries by view with a value for every view."""
    if section in seen:
        return
    seen.add(section)
    for name, field in section.model_fields.items():
        if isinstance(field.default, dict) and set(field.default) == set(VIEWS):
            yield section, name
        for part in _sections(field.annotation):
            yield from tables_by_view(part, seen)


def _sections(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) for found in _sections(part)]


def test_every_table_by_view_is_completed() -> None:
    """Also those of views and keys that somebody adds: of the whole configuration and of the commands."""
    seen: set[type[BaseModel]] = set()
    found = [key for root in (Config, EnsembleSettings) for key in tables_by_view(root, seen)]
    assert {name for _, name in found} == {"crop", "ensemble"}
    for section, name in found:
        usual = section.model_fields[name].default
        given = section.model_validate({name: {"flow": 7}})
        assert getattr(given, name) == {**usual, "flow": 7}, section


@pytest.mark.parametrize("image", ["my image.sif", "{view}.sif", "-x", "a;b", "$(a)"])
def test_what_a_shell_would_take_apart_is_no_image(tmp_path: Path, image: str) -> None:
    assert "'container'" in problem(tmp_path, f'container: "{image}"\n{VALID}')


@pytest.mark.parametrize(
    "image", ["", "/scratch/me/cocon-0.2.sif", "docker://host:5000/me/cocon:cuda", "a@sha256:0f"]
)
def test_a_file_or_a_place_is_an_image(tmp_path: Path, image: str) -> None:
    assert load(tmp_path, f'container: "{image}"\n{VALID}').container == image


def test_crops_are_compared_with_the_shards_that_are_used(tmp_path: Path) -> None:
    """Those of another data set, if its shards are used."""
    other = "  other: {kind: demo, recipe: low, shards: 3, shards_of: demo}\n"
    low = "  low: {extraction: {rgb: {short_side: 100}}}\n"
    load(tmp_path, VALID.replace("recipes:", f"{other}recipes:") + low)
    with_its_own = other.replace(", shards_of: demo", "")
    assert "frames of other" in problem(tmp_path, VALID.replace("recipes:", f"{with_its_own}recipes:") + low)


def test_shards_of_a_demo_with_other_people_cannot_be_used(tmp_path: Path) -> None:
    other = "  other: {kind: demo, recipe: small, shards: 3, shards_of: demo, evaluate_on: validation"
    text = VALID.replace("shards: 3", "shards: 3\n    validation_subjects: 2").replace(
        "recipes:", f"{other}, validation_subjects: 2}}\nrecipes:"
    )
    assert load(tmp_path, text).datasets["other"].evaluate_on == "validation"
    found = problem(tmp_path, text.replace("validation_subjects: 2}", "validation_subjects: 3}"))
    assert "datasets.other.shards_of: 'demo' has another validation_subjects, so other videos" in found


def test_resized_crops_may_be_larger_than_the_frames(tmp_path: Path) -> None:
    """In pretraining; an evaluation cuts crops out as they are."""
    pretraining = "{augmentation: {resized_crop: [rgb]}, validation_fraction: 0}"
    low = f"  low: {{extraction: {{rgb: {{short_side: 100}}}}, pretraining: {pretraining}}}\n"
    source = "  source: {kind: demo, recipe: low, shards: 3}\n"
    text = VALID.replace("recipes:", f"{source}recipes:") + low
    assert "frames of source" in problem(tmp_path, text)
    text = text.replace("    recipe: small", "    recipe: small\n    pretrain_on: source")
    assert load(tmp_path, text).datasets["demo"].pretrain_on == "source"
    assert "frames of source" in problem(tmp_path, text.replace("fraction: 0}", "fraction: 0.1}"))


def test_aliases_cannot_make_a_document_immense(tmp_path: Path) -> None:
    levels = "".join(
        f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n"
        for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert "aliases (*) make more than 100,000 values" in problem(tmp_path, f"a: &a [1]\n{levels}{VALID}")


@pytest.mark.parametrize(
    ("encoding", "sentence"),
    [
        ("utf-16", "is written in UTF-16"),
        ("utf-16-be", "is written in UTF-16"),
        ("utf-32", "is written in UTF-32"),
        ("latin-1", "line 1: a character is not in UTF-8"),
    ],
)
def test_another_encoding_is_named(tmp_path: Path, encoding: str, sentence: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"results: für\n{VALID}", encoding=encoding)
    with pytest.raises(ConfigError, match=sentence) as error:
        load_config(path)
    assert error.value.hint == "save it as UTF-8"
    with pytest.raises(ConfigError, match=sentence):
        parse_settings(str(path), Config)


def test_results_cannot_be_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").touch()
    assert "'results' is there, but there is a file" in problem(tmp_path, f"results: there\n{VALID}")
    assert "'results' is there/in, but there is a file" in problem(tmp_path, f"results: there/in\n{VALID}")
    load(tmp_path, f"results: new/in\n{VALID}")
    load(tmp_path, f"results: {tmp_path}\n{VALID}")


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    text = VALID.replace("shards: 3", "shards: x").replace("blocks: 4,", "block: 4,")
    assert "has 2 problems" in problem(tmp_path, text)


def test_a_missing_or_empty_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no configuration file"):
        load_config(tmp_path / "no.yaml")
    assert "'datasets' is missing" in problem(tmp_path, "")


def test_settings_are_json_or_a_file(tmp_path: Path) -> None:
    assert parse_settings('{"bound": 8}', FlowExtraction).bound == 8
    (tmp_path / "s.yaml").write_text("bound: 9\ntvl1_opencv: {lambda: 0.2}\n")
    settings = parse_settings(str(tmp_path / "s.yaml"), FlowExtraction)
    assert settings.bound == 9
    assert settings.tvl1_opencv.lambda_ == 0.2
    assert parse_settings("", FlowExtraction) == FlowExtraction()
    for text in ("bound", "x" * 5000, "a\0b"):
        with pytest.raises(ConfigError, match="neither JSON nor a file"):
            parse_settings(text, FlowExtraction)
    with pytest.raises(ConfigError, match="unknown key 'buond'; did you mean 'bound'"):
        parse_settings('{"buond": 8}', FlowExtraction)


def test_what_a_rule_passes_a_command_reads_back() -> None:
    recipe = parse_settings('{"extraction": {"flow": {"tvl1_opencv": {"lambda": 0.3}}}}', Recipe)
    assert parse_settings(dump_settings(recipe.extraction), Extraction) == recipe.extraction


def test_the_shipped_configuration_is_valid(repository: Path) -> None:
    config = load_config(repository / "config.yaml")
    assert {"demo", "ucf101", "hmdb51", "kinetics400"} <= set(config.datasets)
    assert config.recipes["r18_128"] == Recipe(), "the defaults are the paper's"


def test_every_top_level_key_stands_in_the_shipped_configuration(repository: Path) -> None:
    document, _ = stacked([repository / "config.yaml"])
    assert set(document) == set(Config.model_fields)


@pytest.mark.parametrize("where", ["evaluation", "ablation"])
def test_batches_hold_whole_videos(tmp_path: Path, where: str) -> None:
    odd = VALID + "    pretraining: {stage2: {batch_size: 5}}\n"
    load(tmp_path, odd + "ablations: {a: {dataset: demo}}\n")
    if where == "evaluation":
        odd += "    evaluation: {pretrainings: [cocon, nce]}\n"
    else:
        odd += "ablations: {a: {dataset: demo, pretrainings: [nce]}}\n"
    found = problem(tmp_path, odd)
    assert "recipes.small.pretraining.stage2.batch_size" in found
    assert "nce compares 2 clips of each video" in found
    load(tmp_path, odd.replace("batch_size: 5", "batch_size: 6"))


@pytest.mark.parametrize("where", ["evaluation", "ablation"])
def test_stages_of_one_sum_have_one_unit(tmp_path: Path, where: str) -> None:
    """Presets that have no stage 1 train for as long as both stages."""
    mixed = VALID + "    pretraining: {stage2: {steps: 400}}\n"
    load(tmp_path, mixed)
    if where == "evaluation":
        mixed += "    evaluation: {pretrainings: [cocon, cmc]}\n"
    else:
        mixed += "ablations: {a: {dataset: demo}}\n"
    found = problem(tmp_path, mixed)
    assert "line 9: recipes.small.pretraining: cmc trains for as long as both stages" in found
    assert "give both stages epochs, or both steps" in found
    load(tmp_path, mixed.replace("{stage2:", "{stage1: {steps: 700}, stage2:"))


@pytest.mark.parametrize("stage", [{"steps": 40}, {"epochs": 100}, {"epochs": 3}, {}, {"steps": None}])
def test_a_length_is_dumped_as_it_was_given(stage: dict[str, int | None]) -> None:
    section = FirstStage.model_validate(stage)
    assert FirstStage.model_validate(section.model_dump()) == section
    given = {key: value for key, value in stage.items() if value} or {"epochs": 100}
    assert {key: value for key, value in section.model_dump().items() if key in ("epochs", "steps")} == given
    with pytest.raises(ValueError, match="epochs or steps is missing"):
        Stage.model_validate({})


@pytest.mark.parametrize(
    ("stage", "steps", "epochs"),
    [
        ({"steps": 40}, 20, 2),
        ({"steps": 41}, 20, 3),
        ({"steps": 1}, 20, 1),
        ({"epochs": 7}, 20, 7),
        ({}, 3, 100),
    ],
)
def test_whole_epochs(stage: dict[str, int], steps: int, epochs: int) -> None:
    assert FirstStage.model_validate(stage).whole_epochs(steps) == epochs


def test_what_has_no_stage_1_has_the_epochs_of_both() -> None:
    recipe = Recipe.model_validate({"pretraining": {"stage1": {"steps": 50}, "stage2": {"steps": 30}}})
    lengths = [recipe.pretraining.whole_epochs("stage2", preset, 7) for preset in ("cocon", "cmc", "coclr")]
    assert lengths == [5, 5 + 8, 5 + 8]
    assert recipe.pretraining.whole_epochs("stage1", "cpc", 7) == 8


@pytest.mark.parametrize(
    ("listed", "chosen"),
    [
        (("random", "stage1", "cocon"), "cocon"),
        (("cocon", "cmc"), "cocon"),
        (("random", "cmc_sync"), "cmc_sync"),
        (("random",), "cocon"),
    ],
)
def test_what_is_pretrained_and_exported_by_name(listed: tuple[str, ...], chosen: str) -> None:
    assert Evaluation(pretrainings=listed).chosen == chosen

import dataclasses
import json
import re
from collections.abc import Callable
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from safetensors import SafetensorError

from cocon.config.schema import Clip, Network, Recipe
from cocon.datasets.manifest import Video
from cocon.evaluation.features import read_features, write_features
from cocon.files import write_json, write_text
from cocon.models.network import build_network
from cocon.pretrainings import PRETRAININGS, TERMS
from cocon.report import (
    alignment,
    confusion,
    curves,
    feature_space,
    headline,
    neighbours,
    relations,
    resources,
    setup,
    sheets,
    status,
    truth,
    wording,
)
from cocon.report.build import render
from cocon.report.inputs import ENSEMBLE, Inputs, load_inputs, order_pretrainings
from cocon.report.settings import ReportSettings
from cocon.shards import ShardSet, ShardWriter, VideoRecord
from cocon.training.checkpoint import save_encoder


def row(**changes: object) -> dict[str, object]:
    base = {"dataset": "d", "pretraining": "cocon", "view": "rgb", "protocol": "linear", "split": "1",
            "top1": 0.5, "ci95": [0.4, 0.6], "coverage": 1.0, "n": 80, "chance": 0.1, "seed": 0}  # fmt: skip
    return base | changes


def inputs_with(rows: list[dict[str, object]], tmp_path: Path) -> Inputs:
    return Inputs(tmp_path, "d", ("rgb", "flow"), "cocon", rows=rows)


def test_headline_averages_splits_and_combines_their_intervals(tmp_path: Path) -> None:
    rows = [row(), row(split="2", top1=0.7, ci95=[0.6, 0.8], n=70), row(pretraining="random", top1=0.2)]
    page = headline.section(inputs_with(rows, tmp_path))
    (table,) = page.tables
    cell = table.cells["cocon"]["rgb"]
    assert cell.value == pytest.approx(0.6)
    assert cell.half_width == pytest.approx(0.1 / 2**0.5)
    assert cell.n == 150
    assert table.pretrainings == ["random", "cocon"]
    assert table.best == {"rgb": "cocon"}
    assert table.chance == pytest.approx(0.1)
    assert page.figures[0].note == "random initialisation 20.0 %, chance 10 %"
    assert cell.sd == pytest.approx(0.02**0.5)
    assert table.cells["random"]["rgb"].sd is None


def test_headline_says_what_pretraining_has_seen(tmp_path: Path) -> None:
    rows = [row(split=str(split)) for split in range(1, 11)]
    write_json(tmp_path / "summary.json", {"rows": rows, "seen": {"2": [30, 60]}})
    page = headline.section(load_inputs(tmp_path))
    assert page.splits == "1 to 10"
    assert page.seen.endswith("without their labels: 30 of 60 of split 2.")
    write_json(tmp_path / "summary.json", {"rows": rows[:1]})
    page = headline.section(load_inputs(tmp_path))
    assert (page.splits, page.several, page.seen) == ("1", False, "")


def test_headline_shows_the_best_figure_when_the_usual_ones_are_absent(tmp_path: Path) -> None:
    rows = [row(pretraining="other", view="flow", protocol="finetune", top1=0.9), row(pretraining="other")]
    (figure,) = headline.section(inputs_with(rows, tmp_path)).figures
    assert figure.cell.value == 0.5
    assert figure.label == "Linear probe, rgb, other"


def test_published_figures_stand_beside_those_of_the_same_protocol(tmp_path: Path) -> None:
    inputs = inputs_with([row()], tmp_path)
    assert headline.section(inputs).published == []
    inputs.settings = ReportSettings(kind="hmdb51")
    page = headline.section(inputs)
    assert {(protocol, figure.model) for protocol, figure in page.published} == {("Linear probe", "CoCLR")}
    assert page.sources == ["Han et al. 2020, arXiv 2010.09709"]


def test_pretrainings_stand_from_least_to_most_trained() -> None:
    assert order_pretrainings({"cocon", "mine", "random", "cpc"}) == ["random", "cpc", "cocon", "mine"]


def test_setup_reads_checkpoints_without_tensors(inputs: Inputs) -> None:
    page = setup.section(inputs)
    facts = {key: value for _, group in page.facts for key, value in group}
    assert facts["Clip"] == "4 blocks of 3 frames, stride 1"
    assert facts["Crop"] == "rgb 48 px, flow 48 px, mask 48 px, pose 48 px"
    assert facts["Network"] == "2D3D-ResNet 1-1-1-1, width 16, D 64"
    assert facts["Videos"] == "25"
    assert facts["Classes"] == "4"
    assert facts["Frames per view"] == "240"
    assert dict(page.splits)["1"] == {"train": 17, "test": 8}
    assert [view["videos"] for view in page.views] == [24] * 4


def test_setup_tells_the_crops_of_its_views_only(inputs: Inputs) -> None:
    page = setup.section(dataclasses.replace(inputs, views=("rgb", "pose")))
    assert ("Crop", "rgb 48 px, pose 48 px") in [fact for _, group in page.facts for fact in group]


def test_setup_names_the_networks_of_the_views(tmp_path: Path) -> None:
    settings = Network(width=8, features=8, views={"rgb": {"encoder": "s3d"}, "pose": {"width": 4}})
    folder = tmp_path / "pretrain" / "cocon"
    for view in ("rgb", "flow", "mask"):
        save_encoder(folder / f"{view}.safetensors", build_network(view, settings), view, Clip(), "cocon")
    page = setup.section(inputs_with([row(pretraining="cocon")], tmp_path))
    facts = {key: value for _, group in page.facts for key, value in group}
    ours, theirs = "S3D, width 8, D 8", "2D3D-ResNet-18, width 8, D 8"
    assert facts["Network"] == f"flow, mask: {theirs}; rgb: {ours}"


def test_setup_says_what_chose_the_epoch(tmp_path: Path) -> None:
    path, network = tmp_path / "pretrain" / "cocon" / "rgb.safetensors", Network(width=8, features=8)
    for told, expected in (
        ({"epoch": 7}, "7"),
        ({"epoch": 7, "epochs": 7}, "7"),
        ({"epoch": 6, "epochs": 7, "chosen_by": "k-NN on x"}, "6 of 7, chosen by k-NN on x"),
    ):
        save_encoder(path, build_network("rgb", network), "rgb", Clip(), "cocon", **told)
        page = setup.section(inputs_with([row(pretraining="cocon")], tmp_path))
        assert {key: value for _, group in page.facts for key, value in group}["Epochs"] == expected


def test_setup_tells_what_is_not_the_default(inputs: Inputs) -> None:
    page = setup.section(inputs)
    assert page.recipe == "small"
    assert ("evaluation.relations.neighbours", "2", "5") in page.changes
    facts = {key: value for _, group in page.facts for key, value in group}
    assert facts["Seeds"] == "0, 7"
    assert facts["Trained on"] == "2 x A100"


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(SafetensorError):
        setup.read_checkpoint_info(tmp_path / "x.safetensors")


def test_curves_show_both_stages_and_survive_an_unfinished_line(inputs: Inputs) -> None:
    page = curves.section(inputs)
    assert [run.name for run in page.runs] == [
        "Stage 1: every view alone",
        "Stage 2: all views together, cocon",
    ]
    titles = ["L_cpc", "Accuracy", "L_sync", "L_sim", "Total loss", "Learning rate"]
    assert [panel.title for panel in page.runs[1].panels] == titles
    assert page.runs[1].epochs == 12
    assert page.runs[1].dashed
    assert not page.missing


def test_every_term_of_every_preset_has_a_curve(tmp_path: Path) -> None:
    lines = [{"epoch": epoch, **{f"{term}/rgb": epoch for term in TERMS}} for epoch in (1, 2)]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    write_text(tmp_path / "pretrain" / "cmc" / "log.jsonl", text)
    (run,) = curves.section(inputs_with([], tmp_path)).runs
    assert {panel.title for panel in run.panels} == {term.title for term in TERMS.values()}


def test_every_pretraining_has_a_mark_and_a_name(tmp_path: Path) -> None:
    names = [*PRETRAININGS, "other"]
    page = headline.section(inputs_with([row(pretraining=name) for name in names], tmp_path))
    assert [name for name, *_ in page.legend] == names
    assert len({(style, shape) for _, style, shape, _ in page.legend}) == len(names)
    assert [title for *_, title in page.legend] == [
        *(f"{known.title}: {known.description}" for known in PRETRAININGS.values()),
        "",
    ]
    marks = [("hollow" in style, shape) for _, style, shape, _ in page.legend[2:-1]]
    assert len(set(marks)) == len(marks), "two presets that look alike"


def test_probes_have_curves_of_their_own(tmp_path: Path) -> None:
    lines = [
        {"epoch": epoch, "cpc/rgb": 3.0, **({"linear/rgb": 0.2 * epoch, "knn/rgb": 0.3} if epoch % 2 else {})}
        for epoch in (1, 2, 3)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    write_text(tmp_path / "pretrain" / "cocon" / "log.jsonl", text)
    (run,) = curves.section(inputs_with([], tmp_path)).runs
    assert [panel.title for panel in run.panels] == ["L_cpc", "Probe: linear", "Probe: nearest neighbours"]
    assert run.epochs == 3
    hover = json.loads(unescape(re.search(r'data-chart="([^"]*)"', run.panels[1].chart)[1]))
    assert hover["series"][0]["x"] == [1, 3]
    assert hover["series"][0]["text"] == ["20 %", "60 %"]


def test_what_chose_the_epoch_has_a_curve(tmp_path: Path) -> None:
    chosen = {"group_knn/rgb": 0.5, "group_knn/flow": 0.2, "group_knn/mean": 0.35}
    lines = [{"epoch": 1, "cpc/rgb": 3.0}, {"epoch": 2, "cpc/rgb": 3.0, **chosen}]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    write_text(tmp_path / "pretrain" / "cocon" / "log.jsonl", text)
    (run,) = curves.section(inputs_with([], tmp_path)).runs
    assert run.panels[1].title == "Probe: nearest neighbours of other groups"
    hover = json.loads(unescape(re.search(r'data-chart="([^"]*)"', run.panels[1].chart)[1]))
    assert [(line["x"], line["text"]) for line in hover["series"]] == [
        ([2], ["50 %"]),
        ([2], ["20 %"]),
        ([2], ["35 %"]),
    ]


def test_a_log_is_sorted_by_term_view_and_validation(tmp_path: Path) -> None:
    line = {"epoch": 3, "cpc/rgb": 2.0, "validation/cpc/rgb": 2.5, "learning_rate": 1e-3, "data_seconds": 1.0}
    write_text(tmp_path / "log.jsonl", json.dumps(line) + '\n{"epoch": 4, "cpc/r')
    log = curves.LossLog()
    log.read(tmp_path / "log.jsonl", view="rgb")
    assert log.terms["cpc"] == {("rgb", False): [(3.0, 2.0)], ("rgb", True): [(3.0, 2.5)]}
    assert log.terms["learning_rate"] == {("rgb", False): [(3.0, 1e-3)]}
    assert set(log.terms) == {"cpc", "learning_rate"}


def test_sheets_show_one_test_video_per_class_in_all_views(inputs: Inputs) -> None:
    page = sheets.section(inputs)
    assert [sheet.label for sheet in page.sheets] == ["box", "jump", "walk", "wave"]
    assert page.sheets[0].id == "box/box_s04"
    for sheet in page.sheets:
        assert list(sheet.pictures) == ["rgb", "flow", "mask", "pose"]
        assert {len(pictures) for pictures in sheet.pictures.values()} == {len(sheet.frames)} == {8}
        assert sheet.frames[0] == 0
        assert sheet.frames[-1] == sheet.length - 1
        assert sheet.flow_scale is not None
        assert 1 < sheet.flow_scale < 10


def test_sheets_tell_persons_apart_where_there_are_several(inputs: Inputs, tmp_path: Path) -> None:
    assert not any(sheet.apart for sheet in sheets.section(inputs).sheets)
    video_id = "box/box_s04"
    row = inputs.tables["pose"][video_id]
    persons = np.full((2, 17, 3), 0.5, np.float32)
    with ShardWriter(
        tmp_path / "pose.h5", view="pose", video_ids=[video_id], parameters={"sigma": 1.5}, codec="keypoints"
    ) as writer:
        size = (row.height, row.width, row.source_height, row.source_width, row.fps)
        writer.add(VideoRecord(video_id, *size, keypoints=[persons] * row.frames))
        writer.finish()
    shards = inputs.shards | {"pose": ShardSet([tmp_path / "pose.h5"])}
    page = sheets.section(dataclasses.replace(inputs, shards=shards))
    assert [sheet.id for sheet in page.sheets if sheet.apart] == [video_id]


def test_many_classes_are_thinned_evenly() -> None:
    assert sheets.spaced([str(i) for i in range(11)], 6) == ["0", "2", "4", "6", "8", "10"]
    assert sheets.spaced(["a"], 6) == ["a"]


def test_unlabelled_videos_are_shown_too(inputs: Inputs) -> None:
    unlabelled = dataclasses.replace(inputs, videos={})
    assert len(sheets.section(unlabelled).sheets) == 6


def test_confusion_counts_by_hand() -> None:
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]])
    counts, names = confusion.count(
        {"classes": np.array(["a", "b"]), "labels": np.array([0, 0, 1]), "probabilities": probabilities}
    )
    assert names == ["a", "b"]
    np.testing.assert_array_equal(counts, [[1, 1], [0, 1]])


def test_confusion_compares_with_random_and_covers_every_view(inputs: Inputs) -> None:
    page = confusion.section(inputs)
    assert [matrix.view for matrix in page.matrices] == ["ensemble", "rgb", "flow", "mask", "pose"]
    for matrix in page.matrices:
        assert sum(row.n for row in matrix.rows) == 8
        assert all(row.gain is not None for row in matrix.rows)
        gains = [row.gain for row in matrix.rows]
        assert gains == sorted(gains, reverse=True)
    rows = {
        r["view"]: r["top1"] for r in inputs.rows if r["pretraining"] == "cocon" and r["protocol"] == "linear"
    }
    assert {matrix.view: matrix.accuracy for matrix in page.matrices} == pytest.approx(rows)


def test_a_matrix_of_400_classes_stays_small() -> None:
    rng = np.random.default_rng(0)
    counts = np.eye(400, dtype=int) * 30
    np.add.at(counts, (rng.integers(0, 400, 8000), rng.integers(0, 400, 8000)), 1)
    assert len(confusion.draw(counts, [f"class {i}" for i in range(400)])) < 400_000


def test_neighbours_are_marked_right_or_wrong(inputs: Inputs) -> None:
    page = neighbours.section(inputs)
    assert [view.name for view in page.views] == ["rgb", "flow", "mask", "pose", "ensemble"]
    for view in page.views:
        assert len(view.queries) == 4
        for query in view.queries:
            assert len(query.neighbours) == 5
            for near in query.neighbours:
                assert near.right == (near.label == query.video.label)
                assert near.picture is not None
                assert inputs.videos[near.id].splits["1"] == "train"
    assert len(page.thumbnails) == len(set(page.thumbnails)) <= 24


def test_feature_space_shows_test_videos_and_compares_with_random(inputs: Inputs) -> None:
    page = feature_space.section(inputs)
    assert [view.name for view in page.views] == ["rgb", "flow", "mask", "pose", ENSEMBLE]
    assert (page.shown, page.total, page.classes) == (8, 8, 4)
    assert [name for name, _ in page.legend] == ["box", "jump", "walk", "wave"]
    assert page.compared_with == "random"
    for view in page.views:
        assert view.map.count("data-class") == 4
        assert view.baseline is not None
    assert page.views[-1].separation > 0.9


def test_the_ensemble_is_the_weighted_mean_of_the_cosines(inputs: Inputs) -> None:
    ids = ["box/box_s04", "walk/walk_s05"]
    features = feature_space.unit_features(inputs, "cocon", ids, inputs.views)
    cosine = {view: float(x[0] @ x[1]) for view, x in features.items()}
    weights = {"rgb": 2, "flow": 2, "mask": 1, "pose": 1}
    expected = sum(weight * cosine[view] for view, weight in weights.items()) / 6
    assert cosine[ENSEMBLE] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("network", "same"),
    [
        ({}, True),
        ({"dropout": 0.5}, True),
        ({"encoder": "s3d"}, False),
        ({"views": {"rgb": {"width": 8}}}, False),
    ],
)
def test_agreement_stands_beside_the_papers_for_its_networks_only(
    tmp_path: Path, network: dict[str, object], same: bool
) -> None:
    inputs = inputs_with([row()], tmp_path)
    inputs.settings = ReportSettings(kind="ucf101", recipe=Recipe.model_validate({"network": network}))
    assert relations.as_published(inputs) == same


def test_relations_name_the_classes_that_all_views_share(inputs: Inputs) -> None:
    page = relations.section(inputs)
    assert (page.classes, page.neighbours, page.wanted) == (4, 2, 1)
    assert [row.pretraining for row in page.agreements] == ["random", "stage1", "cocon"]
    assert [row.published for row in page.agreements] == [None] * 3  # the paper counts 4 of 5
    assert sorted(row.name for row in page.rows) == ["box", "jump", "walk", "wave"]
    for row in page.rows:
        assert list(row.nearest) == ["rgb", "flow", "mask", "pose"]
        for near in row.nearest.values():
            assert len(near) == 2
            assert row.name not in [name for name, _ in near]
            assert sum(common for _, common in near) == row.shared
    assert page.agreements[-1].agreeing == sum(row.shared >= 1 for row in page.rows)


def test_a_view_without_features_costs_itself_only(results: Path, inputs: Inputs, tmp_path: Path) -> None:
    for view in ("rgb", "pose"):
        source = results / "features" / "cocon" / f"{view}.h5"
        target = tmp_path / "features" / "cocon" / f"{view}.h5"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
    partial = dataclasses.replace(inputs, results=tmp_path)
    page = relations.section(partial)
    assert page.views == ("rgb", "pose")
    assert len(page.rows) == 4
    space = feature_space.section(partial)
    assert [view.name for view in space.views] == ["rgb", "pose", ENSEMBLE]
    assert space.compared_with == ""
    assert len(page.missing) == len(space.missing) == 2


def test_too_few_classes_are_a_sentence(results: Path) -> None:
    page = relations.section(load_inputs(results))
    assert page.rows == []
    assert "4 classes have test videos in all views" in page.missing[0]


def test_pairs_to_align_are_of_one_class_and_of_two_groups(inputs: Inputs) -> None:
    pairs = alignment.choose_pairs(inputs)
    assert pairs == [
        ("box/box_s04", "box/box_s05"),
        ("wave/<script>alert(1)</script>", "wave/wave_s05"),
        ("box/box_s04", "wave/<script>alert(1)</script>"),
    ]
    page = alignment.section(inputs)
    assert not page.missing
    for pair in page.pairs:
        assert [heatmap.view for heatmap in pair.heatmaps] == ["rgb", "flow", "mask", "pose"]
        assert all(-1.001 <= heatmap.low < heatmap.high <= 1.001 for heatmap in pair.heatmaps)
        assert pair.first.pictures


def test_shards_of_another_list_are_not_shown(results: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.csv"
    manifest.write_text((results / "manifest.csv").read_text() + "walk/new,new.mp4,walk,train,s10\n")
    inputs = load_inputs(results, manifest=manifest)
    assert inputs.shards == {}
    assert "1 in no shard (first: 'walk/new')" in inputs.missing["shards/rgb"]
    assert list(load_inputs(results, shard_count=1).shards) == list(load_inputs(results).shards) != []
    assert "00001.h5" in load_inputs(results, shard_count=2).missing["shards/rgb"]


def test_encoders_may_lie_elsewhere(inputs: Inputs, tmp_path: Path) -> None:
    page = alignment.section(dataclasses.replace(inputs, encoders=tmp_path))
    assert page.pairs == []
    assert len(page.missing) == 4
    assert str(tmp_path) in page.missing[0]


def test_resources_sum_by_stage_and_by_kind(inputs: Inputs) -> None:
    page = resources.section(inputs)
    assert [(stage.name, stage.jobs, stage.seconds) for stage in page.stages] == [
        ("extract mask + pose", 1, 140.0),
        ("pretrain cpc_sync", 1, 90.0),
        ("extract rgb", 2, 63.0),
        ("pretrain stage1, rgb", 1, 44.0),
        ("features", 1, 5.0),
        ("linear", 2, 4.0),
        ("index", 1, 0.4),
    ]
    assert page.seconds == pytest.approx(346.4)
    rgb = inputs.results / "shards/rgb/00000.h5"
    assert page.storage[0].size == rgb.stat().st_size
    assert page.storage[0].per_video == pytest.approx(rgb.stat().st_size / 24)


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        ("linear_cocon_rgb_split1", "linear"),
        ("linear_sgd_cmc_sync_ensemble_split1", "linear_sgd"),
        ("finetune_dpc_cocon_nce_flow_split2", "finetune_dpc"),
        ("my_cocon_cocon_pose_split1", "my_cocon"),
        ("relations_cpc_sync_split1", "relations"),
        ("frame_size_split1", "frame_size"),
    ],
)
def test_evaluations_are_booked_under_their_protocol(name: str, stage: str) -> None:
    assert resources.stage_of(("evaluation", name)) == stage


def test_splits_with_encoders_of_their_own_count_as_well(tmp_path: Path) -> None:
    for folder, seconds in (("benchmarks", 2), ("split2/benchmarks", 3), ("split10/benchmarks", 4)):
        (tmp_path / folder / "pretrain").mkdir(parents=True)
        write_text(tmp_path / folder / "pretrain/stage1_rgb.tsv", f"s\th:m:s\tmax_rss\n{seconds}\t0\t10\n")
        (tmp_path / folder).with_name("features").joinpath("stage1").mkdir(parents=True)
        (tmp_path / folder).with_name("features").joinpath("stage1/rgb.h5").write_bytes(b"12345")
    page = resources.section(inputs_with([], tmp_path))
    assert [(stage.name, stage.jobs, stage.seconds) for stage in page.stages] == [
        ("pretrain stage1, rgb", 3, 9.0)
    ]
    assert [(entry.name, entry.files, entry.size) for entry in page.storage] == [("features", 3, 15)]


def test_a_job_too_short_to_measure_counts_as_nothing(tmp_path: Path) -> None:
    write_text(tmp_path / "index.tsv", "s\th:m:s\tmax_rss\n0.04\t0:00:00\t-\n0.06\t0:00:00\tNA\n")
    (job,) = resources.read_benchmarks(tmp_path)
    assert job == resources.JobCost("index", pytest.approx(0.05), 0.0)


def test_status_lists_what_is_not_ok(inputs: Inputs) -> None:
    page = status.section(inputs)
    assert page.counts == [(view, 23, 1, 1) for view in ("rgb", "flow", "mask", "pose")]
    assert [(row.id, row.status) for row in page.troubles[::4]] == [
        ("walk/broken", "skipped"),
        ("box/box_s01", "repaired"),
    ]
    assert "moov" in page.troubles[0].reason


def test_status_counts_videos_that_no_shard_has(inputs: Inputs) -> None:
    extra = {"new": Video("new", Path("new.mp4"), "walk", "", {"1": "train"})}
    more = dataclasses.replace(inputs, videos=inputs.videos | extra)
    assert status.section(more).unextracted == [(view, 1) for view in ("rgb", "flow", "mask", "pose")]


def test_the_furthest_pretraining_is_shown_by_default(results: Path) -> None:
    assert load_inputs(results).pretraining == "cocon"
    assert load_inputs(results, pretraining="stage1").pretraining == "stage1"


def test_quantities_in_words() -> None:
    assert [wording.duration(s) for s in (8.25, 59.99, 125, 12_000)] == [
        "8.2 s",
        "1 min 00 s",
        "2 min 05 s",
        "3 h 20 min",
    ]
    assert [wording.file_size(s) for s in (512, 3_400_000, 999_700)] == ["512 B", "3.4 MB", "1 MB"]
    assert [wording.signed_points(d) for d in (0.125, -0.03, 0.0)] == ["+12.5", "−3.0", "0.0"]


def test_truth_shows_this_run_and_every_backend(tmp_path: Path) -> None:
    inputs = inputs_with([], tmp_path)
    inputs.views = ("rgb", "flow", "pose")
    assert truth.section(inputs) is None
    errors = {"end-point error": 0.1, "end-point error on the person": 0.2}
    still = {f"{key}, still": 10 * value for key, value in errors.items()}
    write_json(tmp_path / "scores.json", {"flow": errors | still})
    backends = [
        {"view": "flow", "backend": "dis", "ms_per_frame": 4.0, "figures": errors, "absent": ""},
        {"view": "pose", "backend": "mmpose", "ms_per_frame": 0.0, "figures": {}, "absent": "not here"},
    ]
    write_json(tmp_path / "backends.json", {"videos": [], "backends": backends})
    page = truth.section(inputs)
    assert page is not None
    flow, pose = page.tables
    assert [(row.name, row.values, row.cost) for row in flow.rows] == [
        ("no flow at all", (1.0, 2.0), None),
        ("this run", (0.1, 0.2), None),
        ("dis", (0.1, 0.2), 4.0),
    ]
    assert pose.absent == [("mmpose", "not here")]
    assert (flow.timed, pose.timed) == (True, False)


def test_truth_shows_backends_on_videos_of_two_persons(tmp_path: Path) -> None:
    inputs = inputs_with([], tmp_path)
    inputs.views = ("mask", "pose")
    alone = {"detection rate": 1.0, "PCK@0.2": 0.9}
    several = {
        "persons found": 0.5,
        "persons found, the smaller": 0.25,
        "false persons per frame": 0.1,
        "PCK@0.2": 0.8,
    }
    row = {"view": "pose", "backend": "blazepose", "ms_per_frame": 4.0, "figures": alone, "absent": ""}
    write_json(tmp_path / "backends.json", {"videos": [], "backends": [row | {"several": several}]})
    page = truth.section(inputs)
    assert page is not None
    one, two = page.tables
    assert (one.view, [row.values for row in one.rows]) == ("pose", [(1.0, 0.9)])
    assert (two.view, two.timed) == ("pose, two persons in a frame", False)
    assert [(row.name, row.values) for row in two.rows] == [("blazepose", (0.5, 0.25, 0.1, 0.8))]
    write_json(tmp_path / "backends.json", {"videos": [], "backends": [row]})  # of an earlier version
    page = truth.section(inputs)
    assert page is not None
    assert [table.view for table in page.tables] == ["pose"]


def test_truth_names_a_damaged_file(tmp_path: Path) -> None:
    write_text(tmp_path / "scores.json", "{")
    page = truth.section(inputs_with([], tmp_path))
    assert page is not None
    assert "scores.json" in page.missing[0]


def with_features(
    results: Path, inputs: Inputs, folder: Path, change: Callable[[np.ndarray], np.ndarray]
) -> Inputs:
    """The results with other features of rgb."""
    for source in (results / "features").rglob("*.h5"):
        target = folder / source.relative_to(results)
        features = read_features(source)
        if target.stem == "rgb":
            features = dataclasses.replace(features, encoder=change(features.encoder))
        write_features(target, features)
    return dataclasses.replace(inputs, results=folder)


@pytest.mark.parametrize("noise", [0.0, 1e-8])
def test_a_collapsed_encoder_has_a_sentence_in_place_of_a_map(
    results: Path, inputs: Inputs, tmp_path: Path, noise: float
) -> None:
    rng = np.random.default_rng(0)
    changed = with_features(
        results, inputs, tmp_path, lambda x: np.float32(1 + noise * rng.normal(size=x.shape))
    )
    space = feature_space.section(changed)
    assert [view.name for view in space.views] == ["rgb", "flow", "mask", "pose", ENSEMBLE]
    assert space.views[0].separation == 0.5
    assert "All 8 test videos have the same features in rgb" in space.missing[0]
    page = relations.section(changed)
    assert "All classes have the same features in rgb" in page.missing[0]
    assert [row.agreeing for row in page.agreements] == [0, 0, 0]
    assert page.tree is not None
    html = render(changed)
    assert "All 8 test videos have the same features in rgb" in html
    assert not re.search(r"\bnan\b", html)


def test_test_videos_of_one_class_have_no_separation(inputs: Inputs) -> None:
    kept = {
        name: video
        if video.label == "box" or video.splits["1"] == "train"
        else dataclasses.replace(video, label="")
        for name, video in inputs.videos.items()
    }
    page = feature_space.section(dataclasses.replace(inputs, videos=kept))
    assert [view.separation for view in page.views] == [None] * 5
    assert "there is no separation" in page.missing[-1]
    html = render(dataclasses.replace(inputs, videos=kept))
    assert not re.search(r"\bnan\b", html)


@pytest.mark.parametrize(
    "change",
    [
        {"view": ["rgb"]},
        {"pretraining": None},
        {"top1": "high"},
        {"top1": 10**400},
        {"ci95": [1]},
        {"ci95": ["a", "b"]},
        {"n": "many"},
        {"coverage": [1]},
        {"r5": None},
        {"chance": {}},
    ],
)
def test_a_summary_with_something_else_in_it_is_a_sentence(tmp_path: Path, change: dict[str, object]) -> None:
    write_json(tmp_path / "summary.json", {"rows": [row(), row(split="2") | change]})
    inputs = load_inputs(tmp_path)
    assert inputs.rows == []
    assert "summary.json" in headline.section(inputs).missing[0]


@pytest.mark.parametrize("content", ["[]", '{"rows": 3}', "[" * 100_000, '{"rows": [{"top1": NaN}]}'])
def test_a_damaged_summary_is_a_sentence(tmp_path: Path, content: str) -> None:
    write_text(tmp_path / "summary.json", content)
    assert "summary.json" in load_inputs(tmp_path).missing["summary"]


def test_curves_survive_hostile_lines(tmp_path: Path) -> None:
    lines = [
        '{"epoch": 1, "loss": 2.5}',
        '{"epoch": NaN, "loss": 1}',
        '{"epoch": 1e300, "loss": 1}',
        f'{{"epoch": {10**400}, "loss": 1}}',
        f'{{"epoch": 2, "loss": {10**400}}}',
        '{"epoch": 2, "loss": 1e300, "learning_rate": 5e-324}',
        "[" * 100_000,
        "3",
        '{"epoch": "x", "loss": "y"}',
        '{"epoch": 3, "loss": 2.0}',
    ]
    write_text(tmp_path / "pretrain" / "cocon" / "log.jsonl", "\n".join(lines))
    with (tmp_path / "pretrain" / "cocon" / "log.jsonl").open("ab") as log:
        log.write(b'\n{"epoch": 4, "\xff')
    (run,) = curves.section(inputs_with([row()], tmp_path)).runs
    assert [panel.title for panel in run.panels] == ["Total loss"]


@pytest.mark.parametrize(
    "scores",
    [
        {"flow": 3},
        {"flow": {"end-point error": "small"}},
        {"flow": {"end-point error": None, "end-point error on the person": 1}},
        {"mask": {}},
        {"pose": []},
    ],
)
def test_figures_of_another_kind_are_a_sentence(tmp_path: Path, scores: dict[str, object]) -> None:
    inputs = inputs_with([], tmp_path)
    inputs.views = ("flow", "mask", "pose")
    write_json(tmp_path / "scores.json", scores)
    page = truth.section(inputs)
    assert page is not None
    assert f"The figures of {next(iter(scores))} cannot be shown" in page.missing[0]
    write_text(tmp_path / "scores.json", "[" * 100_000)
    write_json(tmp_path / "backends.json", {"backends": [{"view": "flow"}]})
    page = truth.section(inputs)
    assert page is not None
    assert "scores.json cannot be read" in page.missing[0]


def test_damaged_scores_are_a_sentence(results: Path, inputs: Inputs, tmp_path: Path) -> None:
    name = "evaluation/cocon/rgb/linear_split1.npz"
    (tmp_path / name).parent.mkdir(parents=True)
    content = (results / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    page = confusion.section(dataclasses.replace(inputs, results=tmp_path))
    assert any("linear_split1.npz is not a file of scores" in sentence for sentence in page.missing)

from pathlib import Path

import pytest

from cocon.evaluation.published import SOURCES, published


def test_the_paper_s_own_figures_on_ucf101() -> None:
    cocon = {
        (figure.judged, figure.pretrained_on, figure.network): figure.accuracy
        for figure in published("ucf101", "finetune")
        if figure.model == "CoCon" and not figure.note.startswith("ablation")
    }
    assert cocon["rgb", "UCF101", "R18, 128 px"] == pytest.approx(0.705)
    assert cocon["ensemble", "UCF101", "R18, 128 px"] == pytest.approx(0.824)
    assert cocon["rgb", "Kinetics-400", "R34, 224 px"] == pytest.approx(0.791)
    assert len(cocon) == 6


def test_what_was_not_published_is_left_out() -> None:
    dpc = [f for f in published("hmdb51") if f.model == "DPC" and f.pretrained_on == "UCF101"]
    assert dpc == []
    assert not [f for f in published("hmdb51") if f.note.startswith("ablation")]
    assert published("demo") == []
    assert {f.accuracy for f in published("hmdb51", "retrieval")} == {0.077, 0.232, 0.261}


def test_every_figure_has_a_source_and_beats_chance() -> None:
    for dataset, classes in (("ucf101", 101), ("hmdb51", 51)):
        for figure in published(dataset):
            assert figure.source in SOURCES
            assert 1 / classes < figure.accuracy < 1


def test_the_expectation_of_the_recipe_is_the_published_one(repository: Path) -> None:
    text = (repository / "config" / "paper.yaml").read_text()
    by_view = {
        f.judged: f"{100 * f.accuracy:.1f}"
        for f in published("ucf101", "finetune")
        if f.model == "CoCon" and f.views == 4
    }
    assert f"UCF101 RGB {by_view['rgb']} (" in text
    assert f"ensemble {by_view['ensemble']}, random initialisation" in text

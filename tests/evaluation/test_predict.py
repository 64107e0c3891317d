from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cocon.cli import main
from cocon.errors import DatasetError
from cocon.evaluation.classifier_file import ClassifierInfo, load_classifier, save_classifier
from cocon.evaluation.finetune import class_probabilities
from cocon.evaluation.metrics import Task
from cocon.files import read_csv
from cocon.models.classifier import Classifier
from cocon.shards import ShardSet
from cocon.training.checkpoint import load_encoder

CLASSES = ("jump", "run", "walk")


@pytest.fixture
def classifier(striped: Path) -> Path:
    network, info = load_encoder(striped / "mask.safetensors")
    torch.manual_seed(1)
    task = Task("demo", "random", "mask", "finetune", "1", 0)
    path = striped / "finetune_split1.safetensors"
    trained = Classifier(network, len(CLASSES), 0.5)
    save_classifier(path, trained, ClassifierInfo(task, CLASSES, "context", info.network, info.clip))
    return path


def _predict(striped: Path, *more: str, view: str = "mask", file: str = "finetune_split1") -> int:
    given = ["--classifiers", f"{view}={striped}/{file}.safetensors", "--shards", str(striped / "shards")]
    return main(["predict", *given, "--output", str(striped / "labels.csv"), "--device", "cpu", *more])


def test_every_video_of_the_shards_gets_the_label_of_its_windows(
    striped: Path, classifier: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _predict(striped) == 0
    assert "2 videos cannot be classified: run/test1, extra/0" in capsys.readouterr().err
    rows = list(read_csv(striped / "labels.csv"))
    assert len(rows) == 23
    loaded, info = load_classifier(classifier)
    shards = ShardSet.of_folder(striped / "shards" / "mask")
    expected = class_probabilities(
        loaded,
        shards,
        [row["video"] for row in rows],
        info.clip,
        device=torch.device("cpu"),
        batch_size=5,
        workers=0,
    )
    for row, p_C in zip(rows, expected, strict=True):
        assert row["label"] == CLASSES[p_C.argmax()]
        assert [float(row[f"p_{name}"]) for name in CLASSES] == pytest.approx(list(p_C), abs=1e-4)
        assert float(row["probability"]) == pytest.approx(p_C.max(), abs=1e-4)


def test_mistakes_get_a_sentence(striped: Path, classifier: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _predict(striped, file="mask") == 2
    assert "mask.safetensors is an encoder (mask), not a classifier" in capsys.readouterr().err
    assert _predict(striped, view="pose") == 2
    assert "a classifier of the view 'mask', not of 'pose'" in capsys.readouterr().err
    assert _predict(striped, "--settings", '{"ensemble": {"mask": 0}}') == 2
    assert "at least one must be above 0" in capsys.readouterr().err
    assert not (striped / "labels.csv").exists()


@pytest.mark.parametrize("weight", ["NaN", "Infinity", "-1"])
def test_weights_that_make_no_sense_are_refused(
    striped: Path, classifier: Path, weight: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _predict(striped, "--settings", f'{{"ensemble": {{"mask": {weight}}}}}') == 2
    assert "ensemble" in capsys.readouterr().err
    assert not (striped / "labels.csv").exists()


def test_probabilities_that_are_not_finite_name_the_video(striped: Path, classifier: Path) -> None:
    loaded, info = load_classifier(classifier)
    with torch.no_grad():
        loaded.linear.bias[0] = torch.nan
    shards = ShardSet.of_folder(striped / "shards" / "mask")
    with pytest.raises(DatasetError, match=r"probabilities of the view mask .* 'run/test0' for one"):
        class_probabilities(
            loaded, shards, ["run/test0"], info.clip, device=torch.device("cpu"), batch_size=5, workers=0
        )

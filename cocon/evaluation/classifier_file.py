"""Saves and loads trained classifiers, like the encoders of :mod:`cocon.training.checkpoint`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from cocon.config.schema import Clip, Network
from cocon.errors import CheckpointError
from cocon.evaluation.metrics import Task
from cocon.loading import as_type, distinct, reading
from cocon.models.classifier import Classifier
from cocon.models.network import build_network
from cocon.training.network_file import built_with, read_network, settings_in, write_network

_KIND = "classifier"


@dataclass(frozen=True)
class ClassifierInfo:
    """The metadata of a classifier.

    Attributes:
        task: what it was trained for: data set, pretraining, view, protocol, split and seed.
        classes: names of the classes, in the order of the logits.
        head: which features of the network are read.
        network: architecture of the network below.
        clip: the clips that it was trained on.
    """

    task: Task
    classes: tuple[str, ...]
    head: Literal["context", "encoder"]
    network: Network
    clip: Clip


def save_classifier(path: Path, classifier: Classifier, info: ClassifierInfo) -> None:
    """Write a classifier with all metadata needed to use it, atomically."""
    document = {
        "view": info.task.view,
        "task": asdict(info.task),
        "classes": list(info.classes),
        "head": info.head,
        "network": info.network.model_dump(mode="json"),
        "clip": info.clip.model_dump(mode="json"),
    }
    write_network(path, classifier, _KIND, document)


def load_classifier(path: Path, *, view: str | None = None) -> tuple[Classifier, ClassifierInfo]:
    """Build the classifier that a file describes, in evaluation mode, and load its weights.

    Args:
        path: a file of :func:`save_classifier`.
        view: the expected view; None: any.

    Raises:
        CheckpointError: when the file is missing, damaged, of another kind or of another view, or has weights
            that are not finite.
    """
    document, tensors = read_network(path, _KIND, "run `cocon finetune` first")
    found = document["view"]
    if view is not None and found != view:
        raise CheckpointError(f"{path} is a classifier of the view '{found}', not of '{view}'")
    network = settings_in(document, path, "network", Network)
    clip = settings_in(document, path, "clip", Clip)
    with reading(path, "readable classifier", CheckpointError, missing="", damaged="train it again"):
        task = as_type(Task, document["task"])
        classes = tuple(distinct(as_type(list[str], document["classes"]), "its classes"))
        head: Literal["context", "encoder"] = as_type(Literal["context", "encoder"], document["head"])  # type: ignore[arg-type]
        if task.view != found or not classes:
            raise ValueError("its metadata are inconsistent")
    classifier = built_with(
        path,
        tensors,
        network.of(found),
        lambda: Classifier(build_network(found, network), len(classes), 0.0, head=head),
    )
    return classifier.eval(), ClassifierInfo(task, classes, head, network, clip)

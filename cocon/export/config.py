"""``config.json`` of an exported encoder: all that its embeddings depend on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal, get_args

from pydantic import Field, ValidationError

from cocon.config.schema import Clip, Network, PositiveInt, Section
from cocon.errors import CheckpointError
from cocon.loading import in_short, read_object, reading
from cocon.views import VIEWS

NAME, CARD = "config.json", "README.md"
FORMAT: Final = "cocon-encoder"
VERSION = 1
Pooling = Literal["encoder", "encoder_max", "context"]
"""The choice among the features of ``cocon features`` that an embedding uses."""

POOLINGS: tuple[str, ...] = get_args(Pooling)


class Normalisation(Section):
    """The network input is ``(stored / 255 - mean) / std`` per channel."""

    mean: tuple[float, ...] = Field(description="a number per channel")
    std: tuple[float, ...] = Field(description="a number per channel")

    @classmethod
    def of(cls, view: str) -> Normalisation:
        """The normalisation of a view in this version."""
        return cls(mean=VIEWS[view].mean, std=VIEWS[view].std)


class ExportedView(Section):
    """One view of the encoder."""

    file: str = Field(description="its weights, safetensors")
    sha256: str = Field(description="of that file, hexadecimal")
    network: Network
    normalisation: Normalisation
    extraction: dict[str, Any] = Field(description="attribute `parameters` of the shards it was trained on")
    training: dict[str, Any] = Field(description="epoch, seed, configuration's hash, data fingerprint")


class EncoderConfig(Section):
    """The whole of ``config.json``; ``clip.crop`` has the exported views and no others."""

    format: Literal["cocon-encoder"] = Field(FORMAT, description="what identifies the file")
    version: PositiveInt = Field(VERSION, description="number of the format's version")
    pretraining: str = Field(description="random, stage1 or the preset of the loss")
    dataset: str = Field(description="name of the training data; empty: not told")
    embedding: Pooling = Field(description="which features an embedding is, see docs/export.md")
    clip: Clip
    views: dict[str, ExportedView] = Field(min_length=1, description="by name, in the order of an embedding")
    accuracy: list[dict[str, Any]] = Field(description="rows of summary.json")
    exported_with: dict[str, str] = Field(description="versions, and git revision if known")


def read_config(folder: Path) -> EncoderConfig:
    """The configuration of an exported encoder.

    Raises:
        CheckpointError: the file is missing, of a later version, or has another normalisation of a view than
            this version.
    """
    path = Path(folder) / NAME
    if not path.is_file():
        raise CheckpointError(
            f"{folder} is not an exported encoder: it has no {NAME}", "run `cocon export` first"
        )
    again = "export the encoder again"
    with reading(path, "readable configuration", CheckpointError, missing=again, damaged=again):
        document = read_object(path)
    if document.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not the configuration of an exported encoder", again)
    if document.get("version") != VERSION:
        found = str(document.get("version"))[:40]
        raise CheckpointError(
            f"{path} has version {found} of the format; this program reads {VERSION}",
            "use the version of cocon that exported it, or a later one",
        )
    try:
        config = EncoderConfig.model_validate(document)
    except ValidationError as error:
        raise CheckpointError(
            f"{path} has settings that this version does not support: {in_short(error)}",
            "use the version of cocon that exported it, or a later one",
        ) from error
    for view, exported in config.views.items():
        if view not in VIEWS or exported.normalisation != Normalisation.of(view):
            raise CheckpointError(
                f"{path} has a view '{view}' that is unknown or different in this version",
                "use the version of cocon that exported it",
            )
        if Path(exported.file).name != exported.file:
            raise CheckpointError(f"{path}: the file of '{view}' is not in this folder", again)
    crop = {view: size for view, size in config.clip.crop.items() if view in config.views}
    return config.model_copy(update={"clip": config.clip.model_copy(update={"crop": crop})})

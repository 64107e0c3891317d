"""Features of all videos from one frozen encoder: the file that cheap protocols read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from cocon.errors import DatasetError
from cocon.hdf5 import new_hdf5

ARRAYS = ("encoder", "encoder_max", "context")


@dataclass(frozen=True)
class Features:
    """Features of n videos, each (n, D) float32, averaged over the windows of a video.

    ``encoder`` and ``encoder_max`` are mean and maximum of z over blocks and locations; ``context`` is
    the spatial mean of the aggregator's last state over all blocks. ``windows`` (n,) counts windows.
    ``settings`` tells how they were made.
    """

    ids: list[str]
    encoder: np.ndarray
    encoder_max: np.ndarray
    context: np.ndarray
    windows: np.ndarray
    view: str
    pretraining: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def rows(self) -> dict[str, int]:
        """Row of each video by its id; a video without features is absent."""
        return {video: row for row, video in enumerate(self.ids)}

    def select(self, name: str, ids: Sequence[str]) -> np.ndarray:
        """The rows of the array called ``name`` for ``ids``, (len(ids), D).

        Raises:
            DatasetError: A feature is not a finite number.
        """
        values = np.asarray(getattr(self, name)[[self.rows[video] for video in ids]])
        if not np.isfinite(values).all():
            raise DatasetError(
                f"the {self.pretraining} features of the view {self.view} are not finite numbers",
                "the pretraining diverged: look at its loss, and lower the learning rate",
            )
        return values


def write_features(path: Path, features: Features) -> None:
    """Write ``features`` as HDF5, atomically."""
    with new_hdf5(path) as file:
        ids = [video.encode(errors="surrogateescape") for video in features.ids]
        file["ids"] = np.array(ids, dtype=np.bytes_)
        for name in ARRAYS:
            file[name] = np.asarray(getattr(features, name), dtype=np.float32)
        file["windows"] = np.asarray(features.windows, dtype=np.int32)
        file.attrs["view"] = features.view
        file.attrs["pretraining"] = features.pretraining
        file.attrs["settings"] = json.dumps(features.settings)


def read_features(path: Path) -> Features:
    """Read what `write_features` wrote.

    Raises:
        DatasetError: The file is missing or is no file of features.
    """
    try:
        with h5py.File(path, "r") as file:
            return Features(
                ids=[video.decode(errors="surrogateescape") for video in file["ids"][:]],
                **{name: file[name][:] for name in ARRAYS},
                windows=file["windows"][:],
                view=str(file.attrs["view"]),
                pretraining=str(file.attrs["pretraining"]),
                settings=json.loads(file.attrs["settings"]),
            )
    except FileNotFoundError as error:
        raise DatasetError(f"there is no file of features {path}", "run `cocon features` first") from error
    except (KeyError, OSError) as error:
        raise DatasetError(
            f"{path} is not a file of features ({error})", "pass a file that `cocon features` wrote"
        ) from error

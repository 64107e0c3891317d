"""Embeddings of videos in memory and on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cocon.errors import ConfigError
from cocon.files import atomic_path, write_csv
from cocon.hdf5 import new_hdf5

FORMAT = "cocon-embeddings"
MULTI_VIEW = "multi_view"
SUFFIXES = (".h5", ".npz", ".csv")


class VideoStatus(NamedTuple):
    """The status of a video: ok, repaired (what is missing) or skipped (why)."""

    status: str
    reason: str


@dataclass(frozen=True)
class Embeddings:
    """One row per video, or per window of a video.

    Attributes:
        ids: id of the video of each row, n of them.
        start: where it begins in the video, float64 (n,), seconds.
        end: where it ends.
        views: L2-normalised embeddings by view, float32 (n, D).
        videos: status by id of every input video, including those without a row.
    """

    ids: list[str]
    start: np.ndarray
    end: np.ndarray
    views: dict[str, np.ndarray]
    videos: dict[str, VideoStatus]

    @property
    def multi_view(self) -> np.ndarray:
        """The views side by side, (n, sum of D): dot products are sums of the views' cosines."""
        return np.concatenate(list(self.views.values()), axis=1)

    @property
    def skipped(self) -> dict[str, str]:
        """Why videos have no row, by id."""
        return {video: told.reason for video, told in self.videos.items() if told.status == "skipped"}


def joined(parts: Sequence[Embeddings]) -> Embeddings:
    """Embeddings of other videos, one after the other; at least one part."""
    return Embeddings(
        [video for part in parts for video in part.ids],
        np.concatenate([part.start for part in parts]),
        np.concatenate([part.end for part in parts]),
        {view: np.concatenate([part.views[view] for part in parts]) for view in parts[0].views},
        {video: status for part in parts for video, status in part.videos.items()},
    )


def check_output(path: Path) -> None:
    """Refuse an output file that cannot be written.

    Raises:
        ConfigError: its suffix is no known format.
    """
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"--output {path}: the suffix is not a known format", f"use {', '.join(SUFFIXES)}")


def write_embeddings(path: Path, embeddings: Embeddings, about: Mapping[str, Any]) -> None:
    """Write HDF5, NumPy's npz or CSV, by the suffix, atomically.

    HDF5 and npz have the same arrays: ``ids``, ``start``, ``end``, one per view, ``multi_view`` if there is
    more than one, and for all videos that were given ``video_ids``, ``video_status``, ``video_reason``. CSV
    has a line per row, with the views' columns side by side.

    Args:
        path: final name.
        embeddings: what to write.
        about: the encoder, JSON-like; the array ``encoder`` of HDF5 and npz holds it.
    """
    check_output(path)
    if path.suffix == ".csv":
        _write_csv(path, embeddings)
        return
    arrays = _arrays(embeddings) | {"encoder": np.array(json.dumps(about, sort_keys=True))}
    if path.suffix == ".npz":
        with atomic_path(path) as temporary:
            np.savez(temporary, allow_pickle=False, **arrays)
        return
    with new_hdf5(path) as file:
        file.attrs["format"] = FORMAT
        for name, array in arrays.items():
            text = array.dtype.kind == "U"
            file[name] = np.char.encode(array, "utf-8", "surrogateescape") if text else array


def _arrays(embeddings: Embeddings) -> dict[str, np.ndarray]:
    arrays = {"ids": np.array(embeddings.ids, np.str_), "start": embeddings.start, "end": embeddings.end}
    arrays |= embeddings.views
    if len(embeddings.views) > 1:
        arrays[MULTI_VIEW] = embeddings.multi_view
    statuses = list(embeddings.videos.values())
    return arrays | {
        "video_ids": np.array(list(embeddings.videos), np.str_),
        "video_status": np.array([told.status for told in statuses], np.str_),
        "video_reason": np.array([told.reason for told in statuses], np.str_),
    }


def _write_csv(path: Path, embeddings: Embeddings) -> None:
    columns = [f"{view}_{i}" for view, x_ND in embeddings.views.items() for i in range(x_ND.shape[1])]
    rows = (
        {
            "id": video,
            "start": f"{start:.6g}",
            "end": f"{end:.6g}",
            **embeddings.videos[video]._asdict(),
            # nine digits give back the same float32
            **{column: f"{value:.9g}" for column, value in zip(columns, vector, strict=True)},
        }
        for video, start, end, vector in zip(
            embeddings.ids, embeddings.start, embeddings.end, embeddings.multi_view, strict=True
        )
    )
    write_csv(path, rows, ["id", "start", "end", "status", "reason", *columns])

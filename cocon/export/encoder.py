"""Loads an exported encoder and computes embeddings of any videos, from one or several views."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from cocon.config.schema import Clip
from cocon.data.sampling import eval_windows
from cocon.errors import CheckpointError, ConfigError
from cocon.evaluation.windows import apply_to_windows, usable_videos
from cocon.export.config import EncoderConfig, read_config
from cocon.export.embedder import Embedder, load_embedder
from cocon.export.embeddings import Embeddings, VideoStatus, joined
from cocon.export.extraction import Machine, extracted
from cocon.files import sha256_of
from cocon.loading import check_finite
from cocon.messages import report
from cocon.shards import ShardSet, VideoInfo
from cocon.training.devices import resolve_device

log = logging.getLogger(__name__)
Videos = Sequence[str | os.PathLike[str]] | Mapping[str, Path]


class Encoder:
    """An exported encoder, ready to embed; made by :func:`load_encoder`.

    Attributes:
        config: ``config.json``.
        networks: by view; from network input (B, N, C, K, H, W) to features (B, D).
        device: where they compute.
    """

    def __init__(self, config: EncoderConfig, networks: Mapping[str, Embedder], device: torch.device) -> None:
        self.config = config
        self.networks = {view: network.to(device).eval() for view, network in networks.items()}
        self.device = device

    @property
    def views(self) -> list[str]:
        """The views that it has, in the order of a multi-view embedding."""
        return list(self.networks)

    def embed(
        self,
        videos: Videos,
        *,
        views: Sequence[str] | None = None,
        per_window: bool = False,
        batch_size: int = 16,
        videos_at_once: int = 32,
        threads: int | None = None,
        interpreters: Mapping[str, Path] | None = None,
        quiet: bool = True,
    ) -> Embeddings:
        """Decode videos, extract their views with the settings of training, and encode them.

        The encoder sees every half-overlapping window of a video. A video's embedding is the mean over its
        windows, L2-normalised.

        Args:
            videos: paths, which are the ids, too; or paths by id.
            views: some of the encoder's views; None: all.
            per_window: one row per window instead of one per video.
            batch_size: windows per forward pass.
            videos_at_once: so many are extracted, into a temporary folder, before they are encoded.
            threads: of the CPU for the extraction; None: all.
            interpreters: Python interpreter by name of a backend that is not installed in this one.
            quiet: print nothing unless something fails.

        Returns:
            A row per video or window, and the status of every video. One that cannot be decoded has no row.

        Raises:
            CoConError: there is no video, one is named twice, a view is unknown, or the extraction fails.
        """
        chosen = self._chosen(views)
        paths = videos_by_id(videos)
        if videos_at_once < 1 or batch_size < 1:
            raise ConfigError("the numbers of videos and of windows at a time must be at least 1")
        machine = Machine(self.device.type, threads, interpreters or {}, quiet)
        parameters = {view: self.config.views[view].extraction for view in chosen}
        rest, parts, done = iter(paths.items()), [], 0
        while part := dict(islice(rest, videos_at_once)):
            if not quiet and len(part) < len(paths):
                report(log, f"videos {done + 1} to {done + len(part)} of {len(paths)}")
            with extracted(part, parameters, machine) as shards:
                parts.append(self.encode(shards, list(part), per_window=per_window, batch_size=batch_size))
            done += len(part)
        return joined(parts)

    def encode(
        self,
        shards: Mapping[str, ShardSet],
        video_ids: Sequence[str],
        *,
        per_window: bool = False,
        batch_size: int = 16,
    ) -> Embeddings:
        """Embeddings of videos whose views are extracted already; arguments as of :meth:`embed`.

        Raises:
            DatasetError: embeddings are not finite numbers.
        """
        clip = self.config.clip
        usable = set.intersection(*(set(usable_videos(part, video_ids)) for part in shards.values()))
        ids = [video for video in video_ids if video in usable]
        infos = [next(iter(shards.values())).videos[video] for video in ids]
        windows = {view: self._windows(part, ids, batch_size) for view, part in shards.items()}
        times = [window_times(info, clip) for info in infos]
        if per_window:
            rows = [video for video, of_video in zip(ids, times, strict=True) for _ in of_video]
            spans_N2 = np.concatenate(times) if times else np.zeros((0, 2))
        else:
            rows = ids
            spans_N2 = np.array([(t[0, 0], t[-1, 1]) for t in times]).reshape(-1, 2)
        vectors = {}
        for view, of_videos in windows.items():
            dimensions = self.config.views[view].network.features
            # The same mean as in `cocon features`.
            means = of_videos if per_window else [w.mean(0, np.float64)[None] for w in of_videos]
            x_ND = np.concatenate([np.zeros((0, dimensions)), *means])
            check_finite(f"the embeddings of the view {view}", rows, x_ND, "leave these videos out")
            vectors[view] = l2_normalised(x_ND)
        statuses = {video: _status(shards, video) for video in video_ids}
        return Embeddings(rows, spans_N2[:, 0], spans_N2[:, 1], vectors, statuses)

    def _windows(self, shards: ShardSet, ids: Sequence[str], batch_size: int) -> list[np.ndarray]:
        """Features of the windows of each video, (W, D)."""
        network = self.networks[shards.view]
        judged = apply_to_windows(
            lambda x_BNCKHW: {"": network(x_BNCKHW)},
            shards,
            ids,
            self.config.clip,
            device=self.device,
            batch_size=batch_size,
        )
        rows: dict[str, list[np.ndarray]] = {video: [] for video in ids}
        for videos, outputs in judged:
            for video, y_D in zip(videos, outputs[""], strict=True):
                rows[video].append(y_D)
        return [np.stack(of_video) for of_video in rows.values()]

    def _chosen(self, views: Sequence[str] | None) -> list[str]:
        unknown = [view for view in views or () if view not in self.networks]
        if unknown:
            raise ConfigError(f"the encoder has no view '{unknown[0]}'", f"it has {', '.join(self.views)}")
        return [view for view in self.views if views is None or view in views]


def load_encoder(folder: str | os.PathLike[str], device: str = "auto") -> Encoder:
    """Load a folder of ``cocon export`` and verify its files.

    Args:
        folder: the exported encoder.
        device: ``auto`` (on a GPU if there is one), ``cpu`` or ``cuda``.

    Raises:
        CheckpointError: the folder is no exported encoder, or a file is missing or changed.
        ConfigError: there is no such device.
    """
    folder = Path(folder)
    config = read_config(folder)
    networks = {}
    for view, exported in config.views.items():
        path = folder / exported.file
        if not path.is_file():
            raise CheckpointError(f"{path} is missing", "export the encoder again")
        if sha256_of(path) != exported.sha256:
            raise CheckpointError(
                f"{path} is not the file that was exported (its sha256 differs)",
                "export the encoder again",
            )
        networks[view] = load_embedder(path, view, config)
    return Encoder(config, networks, resolve_device(device))


def videos_by_id(videos: Videos) -> dict[str, Path]:
    """Paths by id; the id of a bare path is the path as it was given.

    Raises:
        ConfigError: there is none, or one is named twice.
    """
    if isinstance(videos, str | os.PathLike):
        raise ConfigError(f"'{videos}' is one video, not several", "give a list of paths")
    pairs: Iterable[tuple[str, Path]] = (
        videos.items() if isinstance(videos, Mapping) else ((os.fspath(name), Path(name)) for name in videos)
    )
    found: dict[str, Path] = {}
    for video_id, path in pairs:
        if video_id in found:
            raise ConfigError(f"the video '{video_id}' is given twice")
        found[video_id] = path
    if not found:
        raise ConfigError("there is no video to embed")
    return found


def window_times(info: VideoInfo, clip: Clip) -> np.ndarray:
    """Begin and end of the windows of a video, (W, 2) in seconds; NaN when its frame rate is unknown."""
    spans_W2 = np.array([(window[0], window[-1] + 1) for window in eval_windows(info.frames, clip)])
    return spans_W2 / (info.fps or np.nan)


def l2_normalised(x_ND: np.ndarray) -> np.ndarray:
    """Rows of length 1, float32; a row of zeros stays one."""
    x_ND = x_ND.astype(np.float32)
    return np.asarray(x_ND / np.maximum(np.linalg.norm(x_ND, axis=1, keepdims=True), 1e-12))


def _status(shards: Mapping[str, ShardSet], video: str) -> VideoStatus:
    """The status in the first view in which the video is not ok."""
    infos = [part.videos[video] for part in shards.values()]
    worst = next((info for info in infos if not info.usable), None)
    worst = worst or next((info for info in infos if info.status != "ok"), infos[0])
    return VideoStatus(worst.status, worst.reason)

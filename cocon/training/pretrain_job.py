"""The arguments of ``cocon pretrain``, and checks on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cocon.config.schema import Stage
from cocon.data.batches import steps_per_epoch
from cocon.errors import ConfigError
from cocon.files import check_output
from cocon.pretrainings import PRESETS, STAGE1, WITHOUT_STAGE1
from cocon.training.settings import PretrainSettings


@dataclass(frozen=True)
class PretrainJob:
    """The arguments of ``cocon pretrain``.

    Attributes:
        manifest: the table of videos.
        shards: folder with one folder of shards per view.
        split: whose training videos are used.
        views: the views that are trained, together.
        stage: ``stage1`` (from scratch, L_cpc only) or ``stage2`` (from the encoders of ``init``).
        preset: terms of the loss; None: the stage's default.
        init: folder with ``<view>.safetensors`` to start from.
        output: folder for ``<view>.safetensors``.
        log: file for one row per epoch.
        state: folder for the states of unfinished runs.
        settings: clip, network and pretraining.
        seed: seeds everything random.
        resume: a checkpoint to resume from; None: the newest of this run, if there is one.
        shard_count: shards of a view; None: all that are there.
    """

    manifest: Path
    shards: Path
    split: str
    views: Sequence[str]
    stage: Literal["stage1", "stage2"]
    preset: str | None
    init: Path | None
    output: Path
    log: Path
    state: Path
    settings: PretrainSettings
    seed: int
    resume: Path | None = None
    shard_count: int | None = None

    @property
    def loss_preset(self) -> str:
        """The preset, or the stage's default."""
        return self.preset or ("cpc" if self.stage == "stage1" else "cocon")

    @property
    def pretraining(self) -> str:
        """The name of the result in tables."""
        return STAGE1 if self.stage == STAGE1 else self.loss_preset

    @property
    def stage_settings(self) -> Stage:
        """Batch size and learning rate."""
        stages = self.settings.pretraining
        return stages.stage1 if self.stage == "stage1" else stages.stage2

    def length(self, videos: int, processes: int) -> tuple[int, int]:
        """Epochs, and steps of the optimiser in each, with so many training videos.

        Raises:
            DatasetError: the videos do not fill a batch.
        """
        stage = self.stage_settings
        steps = steps_per_epoch(videos, stage.batch_size, accumulate=stage.accumulate, size=processes)
        return self.settings.pretraining.whole_epochs(self.stage, self.loss_preset, steps), steps

    def check(self) -> None:
        """Refuse contradicting arguments.

        Raises:
            ConfigError: naming the wrong argument.
            OutputError: a result file could not be written.
        """
        preset = self.loss_preset
        if self.stage == "stage1" and preset != "cpc":
            raise ConfigError(
                f"stage1 trains every view by itself; the preset '{preset}' has nothing to act on",
                "leave --preset out, or use --stage stage2",
            )
        if self.stage == "stage1" and self.init is not None:
            raise ConfigError("stage1 starts from scratch", "leave --init out, or use --stage stage2")
        if self.stage == "stage2" and self.init is None:
            raise ConfigError("stage2 needs encoders to start from", "give the folder of stage 1 as --init")
        clips, batch = PRESETS[preset].clips, self.stage_settings.batch_size
        if batch % clips:
            raise ConfigError(
                f"'{preset}' compares {clips} clips of each video, which do not fill a batch of {batch}",
                f"make pretraining.{self.stage}.batch_size a multiple of {clips}",
            )
        mixed = self.settings.pretraining.mixes_lengths
        if self.stage == "stage2" and preset in WITHOUT_STAGE1 and mixed:
            raise ConfigError(
                f"'{preset}' trains for as long as both stages, of which one has epochs, the other steps",
                "give pretraining.stage1 and stage2 both epochs, or both steps",
            )
        if len(set(self.views)) != len(self.views):
            raise ConfigError(f"a view is named twice: {' '.join(self.views)}")
        for path in (self.log, *(self.output / f"{view}.safetensors" for view in self.views)):
            check_output(path)

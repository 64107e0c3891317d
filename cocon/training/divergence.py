"""Stops a training when its loss or gradient is no longer finite."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cocon.errors import CoConError
from cocon.training.devices import World
from cocon.training.log import Row
from cocon.transfer import Late


class TrainingDivergedError(CoConError):
    """The loss or gradient is not finite."""


class StepValues:
    """Loss, other scalars and gradient norm of a step: means over its batches and over all processes.

    Reading them at once would leave a GPU idle. They are read while the next step runs. That step may compute
    with non-finite weights, but this step is read before anything is written, so none of it is kept.

    Args:
        names: of the values.
        means: the values, equal in all processes, so that all stop or none.
        video_ids: the videos of this process in the step.
        world: all processes.
        scaled: whether the loss is scaled: a non-finite gradient then skips the step and lowers the scale.
        place: epoch and step, for the message.
        section: of the settings, for the hint.
    """

    def __init__(
        self,
        names: Sequence[str],
        means: Late,
        video_ids: Sequence[str],
        world: World,
        *,
        scaled: bool,
        place: str,
        section: str,
    ) -> None:
        self._names, self._means = names, means
        self._video_ids, self._world, self._scaled = video_ids, world, scaled
        self._place, self._section = place, section

    def read(self) -> dict[str, float]:
        """The values by name; with a scaled loss the gradient norm of a skipped step is 0.

        All processes must call this at the same point.

        Raises:
            TrainingDivergedError: loss or gradient are not finite; the message lists the step's videos of all
                processes.
        """
        means = dict(zip(self._names, self._means.read(), strict=True))
        if not math.isfinite(means["loss"]):
            what = "loss"
        elif math.isfinite(means["gradient_norm"]):
            return means
        elif self._scaled:
            return means | {"gradient_norm": 0.0}
        else:
            what = "gradient"
        videos = [name for part in self._world.gather(list(self._video_ids)) for name in part]
        terms = ", ".join(f"{name} {value:.4g}" for name, value in means.items())
        raise TrainingDivergedError(
            f"the {what} is not finite in {self._place} ({terms}); videos of the batch: {', '.join(videos)}",
            f"lower the learning_rate of {self._section}, turn amp off, or look at these videos",
        )


def check_validation(row: Row, section: str) -> None:
    """Refuse an epoch whose validation loss is not finite.

    Args:
        row: of the epoch; the same in all processes.
        section: of the settings, for the hint.

    Raises:
        TrainingDivergedError: when it is not.
    """
    if not math.isfinite(row["validation/loss"]):
        raise TrainingDivergedError(
            f"the validation loss is not finite after epoch {row['epoch']}, although the training loss "
            f"is {row['loss']:.4g}",
            f"lower the learning_rate of {section}, turn amp off, or look at the videos held out",
        )

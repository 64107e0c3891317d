"""A training stops, with the cause in one sentence, when its loss or gradient is no longer a number."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cocon.errors import CoConError
from cocon.training.devices import World
from cocon.training.log import Row


class TrainingDivergedError(CoConError):
    """Loss or gradient are no longer numbers."""


def check_step(
    means: dict[str, float], video_ids: Sequence[str], world: World, *, scaled: bool, place: str, section: str
) -> None:
    """Refuse a step whose loss or gradient is not finite.

    Every process has the same means, so all of them stop, or none.

    Args:
        means: ``loss``, ``gradient_norm`` and the terms, over all processes; with ``scaled`` the norm of a
            step that is left out becomes 0.
        video_ids: the batch of this process.
        world: all processes.
        scaled: whether the loss is scaled: then a gradient that is not finite is left out, and the scale is
            lowered.
        place: epoch and step, for the message.
        section: of the settings, for the hint.

    Raises:
        TrainingDivergedError: with the videos of the batch in all processes.
    """
    if not math.isfinite(means["loss"]):
        what = "loss"
    elif math.isfinite(means["gradient_norm"]):
        return
    elif scaled:
        means["gradient_norm"] = 0.0
        return
    else:
        what = "gradient"
    videos = [name for part in world.gather(list(video_ids)) for name in part]
    terms = ", ".join(f"{name} {value:.4g}" for name, value in means.items())
    raise TrainingDivergedError(
        f"the {what} is not finite in {place} ({terms}); videos of the batch: {', '.join(videos)}",
        f"lower the learning_rate of {section}, turn amp off, or look at these videos",
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

"""Folds for cross-validation: videos that are tested once each, by groups that are never divided."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from cocon.errors import DatasetError

LEAVE_ONE_GROUP_OUT = "leave_one_group_out"


def divide(classes_of: Mapping[str, Sequence[str]], count: int) -> list[set[str]]:
    """Divide groups into folds of about the same number of videos, and of videos of each class.

    The largest group is dealt first, each to the fold with the fewest videos; among several, to that with the
    fewest of the group's classes. Groups of one size are dealt class by class. The result depends on nothing
    but the names, classes and sizes of the groups. Folds are in the order of their first groups.

    Args:
        classes_of: the class of each video, by group.
        count: number of folds.

    Returns:
        The groups of every fold; none is empty.

    Raises:
        DatasetError: there are fewer groups than folds.
    """
    if count > len(classes_of):
        raise DatasetError(
            f"folds: {count}, but the labelled videos have {_groups(len(classes_of))}",
            f"set folds to {len(classes_of)} or less" if len(classes_of) > 1 else "leave out the key 'folds'",
        )
    counts = {group: Counter(classes) for group, classes in classes_of.items()}
    folds: list[set[str]] = [set() for _ in range(count)]
    dealt: list[Counter[str]] = [Counter() for _ in range(count)]
    for group in sorted(counts, key=lambda group: (-counts[group].total(), min(counts[group]), group)):
        own = counts[group]

        def load(fold: int, own: Counter[str] = own) -> tuple[int, int, int]:
            return dealt[fold].total(), sum(n * dealt[fold][label] for label, n in own.items()), fold

        chosen = min(range(count), key=load)
        folds[chosen].add(group)
        dealt[chosen] += own
    return sorted(folds, key=min)


def folds_of(rows: Sequence[tuple[str, str]], folds: int | str) -> dict[str, str]:
    """The fold that tests each group, "1", "2", ...

    Args:
        rows: group and class of every video that is tested.
        folds: how many, or :data:`LEAVE_ONE_GROUP_OUT`, which tests every group alone.

    Raises:
        DatasetError: there are too few groups.
    """
    classes_of: dict[str, list[str]] = defaultdict(list)
    for group, label in rows:
        classes_of[group].append(label)
    if folds == LEAVE_ONE_GROUP_OUT:
        if len(classes_of) < 2:
            raise DatasetError(
                f"folds: {LEAVE_ONE_GROUP_OUT}, but the labelled videos have {_groups(len(classes_of))}",
                "give the videos of each person, scene or recording a group of their own",
            )
        divided = [{group} for group in sorted(classes_of)]
    else:
        divided = divide(classes_of, int(folds))
    return {group: str(number) for number, groups in enumerate(divided, start=1) for group in groups}


def _groups(count: int) -> str:
    return f"{count} group{'s' * (count != 1)}"

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cocon.config.schema import Pretraining
from cocon.data.selection import Selection, check_batches, choosing_videos, select_videos
from cocon.datasets.manifest import Video
from cocon.errors import DatasetError


def video(name: str, group: str = "", role: str = "train", label: str = "walk") -> Video:
    return Video(name, Path(f"{name}.mp4"), label, group, {"1": role, "2": "test"})


def shards(*usable: str, skipped: tuple[str, ...] = ()) -> Any:
    rows = {name: SimpleNamespace(usable=True) for name in usable}
    return SimpleNamespace(videos=rows | {name: SimpleNamespace(usable=False) for name in skipped})


PEOPLE = [video(f"p{person}_{take}", f"p{person}") for person in range(10) for take in range(4)]
ALL = {"rgb": shards(*(v.id for v in PEOPLE))}


def test_training_videos_of_the_split_labelled_or_not() -> None:
    videos = [video("a"), video("b", label=""), video("c", role="test"), video("d", role="validation")]
    selection = select_videos(videos, "1", {"rgb": shards("a", "b", "c", "d")}, 0, 0)
    assert selection.train == ["a", "b"]
    assert selection.validation == []
    assert selection.left_out == {}


def test_every_view_must_have_the_video() -> None:
    views = {"rgb": shards("a", "b", "c"), "flow": shards("a", "c", skipped=("d",)), "mask": shards("a", "d")}
    selection = select_videos([video(name) for name in "abcd"], "1", views, 0, 0)
    assert selection.train == ["a"]
    assert selection.left_out == {
        "not in the shards of flow, mask": 1,
        "not in the shards of mask": 1,
        "not in the shards of rgb": 1,
    }


def test_skipped_videos_are_reported() -> None:
    selection = select_videos([video("a"), video("b")], "1", {"rgb": shards("a", skipped=("b",))}, 0, 0)
    assert selection.train == ["a"]
    assert selection.left_out == {"skipped by the extraction of rgb": 1}


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.25, 0.9, 0.999])
def test_validation_holds_whole_groups(fraction: float) -> None:
    selection = select_videos(PEOPLE, "1", ALL, fraction, 0)
    assert sorted(selection.train + selection.validation) == sorted(v.id for v in PEOPLE)
    train, held_out = (
        {name.split("_")[0] for name in ids} for ids in (selection.train, selection.validation)
    )
    assert train
    assert held_out
    assert not train & held_out
    assert fraction * 40 <= len(selection.validation) < fraction * 40 + 4 or len(train) == 1


def test_validation_never_from_test() -> None:
    videos = [*PEOPLE, *(video(f"t{i}", f"t{i}", role="test") for i in range(20))]
    views = {"rgb": shards(*(v.id for v in videos))}
    selection = select_videos(videos, "1", views, 0.5, 0)
    assert not [name for name in selection.train + selection.validation if name.startswith("t")]


def test_the_seed_decides_who_is_held_out() -> None:
    assert select_videos(PEOPLE, "1", ALL, 0.2, 0) == select_videos(PEOPLE[::-1], "1", ALL, 0.2, 0)
    assert len({tuple(select_videos(PEOPLE, "1", ALL, 0.2, seed).validation) for seed in range(9)}) > 4


def test_videos_without_a_group_stand_for_themselves() -> None:
    videos = [video(f"v{i}") for i in range(20)]
    selection = select_videos(videos, "1", {"rgb": shards(*(v.id for v in videos))}, 0.25, 0)
    assert len(selection.validation) == 5


def test_one_group_cannot_be_divided() -> None:
    videos = [video("a", "one"), video("b", "one")]
    with pytest.raises(DatasetError, match="belong to one group"):
        select_videos(videos, "1", {"rgb": shards("a", "b")}, 0.1, 0)


def test_no_training_videos() -> None:
    with pytest.raises(DatasetError, match="split '2' has no training videos"):
        select_videos([video("a")], "2", {"rgb": shards("a")}, 0, 0)
    with pytest.raises(DatasetError, match="1 not in the shards of rgb"):
        select_videos([video("a")], "1", {"rgb": shards("b")}, 0, 0)
    with pytest.raises(DatasetError, match="no split '3'; there are: 1, 2"):
        select_videos([video("a")], "3", {"rgb": shards("a")}, 0, 0)


def test_names_that_are_no_utf8_can_be_held_out() -> None:
    videos = [video(f"{name}\udcff") for name in "abcd"]
    selection = select_videos(videos, "1", {"rgb": shards(*(v.id for v in videos))}, 0.5, 0)
    assert sorted(selection.train + selection.validation) == [v.id for v in videos]
    assert len(selection.validation) == 2


def pretraining(first: int, second: int, fraction: float = 0.0) -> Pretraining:
    stages = {"stage1": {"epochs": 1, "batch_size": first}, "stage2": {"epochs": 1, "batch_size": second}}
    return Pretraining.model_validate(stages | {"validation_fraction": fraction})


def test_batches_that_the_list_cannot_fill_are_known_before_anything_runs() -> None:
    videos = [*PEOPLE, video("test", role="test")]  # 40 to train on
    check_batches(videos, "1", pretraining(40, 20), 0, {"stage1": 1, "stage2": 2})
    with pytest.raises(DatasetError, match="40 training videos do not fill one batch of 41 clips") as error:
        check_batches(videos, "1", pretraining(41, 20), 0, {"stage1": 1, "stage2": 2})
    assert "pretraining.stage1.batch_size" in error.value.hint
    with pytest.raises(DatasetError, match="40 training videos do not fill one batch of 42 clips") as error:
        check_batches(videos, "1", pretraining(40, 21), 0, {"stage1": 1, "stage2": 2})
    assert "pretraining.stage2.batch_size" in error.value.hint
    check_batches(videos, "1", pretraining(99, 20), 0, {"stage2": 2})


def test_what_is_held_out_is_missing_in_the_batches() -> None:
    left = len(select_videos(PEOPLE, "1", ALL, 0.3, 7).train)
    check_batches(PEOPLE, "1", pretraining(left, 1, 0.3), 7, {"stage1": 1})
    with pytest.raises(DatasetError, match=f"{left} training videos, {40 - left} held out, do not fill"):
        check_batches(PEOPLE, "1", pretraining(left + 1, 1, 0.3), 7, {"stage1": 1})
    with pytest.raises(DatasetError, match="belong to one group"):
        check_batches(PEOPLE[:4], "1", pretraining(1, 1, 0.3), 7, {"stage1": 1})
    with pytest.raises(DatasetError, match="no training videos"):
        check_batches([video("a", role="test")], "1", pretraining(1, 1), 7, {"stage1": 1})


def labelled(classes: str, groups: int, split: str = "train") -> list[Video]:
    return [
        Video(f"{label}{group}", Path("x"), label, f"g{group}", {"1": split})
        for group in range(groups)
        for label in classes
    ]


def ids(videos: list[Video]) -> list[str]:
    return [video.id for video in videos]


def test_all_labelled_training_videos_choose_an_epoch() -> None:
    videos = [*labelled("ab", 4), Video("u", Path("x"), "", "g0", {"1": "train"})]
    chosen = choosing_videos(videos, Selection(ids(videos), [], {}), 100, 0)
    assert set(chosen.queries) == set(chosen.labels) == set(chosen.groups) == set(ids(videos)) - {"u"}
    assert all(chosen.labels[name] == (name[0] == "b") for name in chosen.labels)
    assert all(chosen.groups[name] == int(name[1]) for name in chosen.groups)
    again = choosing_videos(videos[::-1], Selection(ids(videos)[::-1], [], {}), 100, 0)
    assert again == chosen, "the order of the table changes nothing"


def test_no_label_of_a_test_video_is_read() -> None:
    """Also where it trains in the split that is pretrained on, and is tested in another one."""
    videos = [video("a0", "g0", label="a"), *labelled("ab", 3)[1:]]
    videos += [Video("b9", Path("x"), "b", "g9", {"1": "test"})]
    assert videos[0].splits == {"1": "train", "2": "test"}
    chosen = choosing_videos(videos, Selection(ids(videos), [], {}), 100, 0)
    assert set(chosen.labels) == {"b0", "a1", "b1", "a2", "b2"}


def test_videos_held_out_are_the_queries() -> None:
    videos = labelled("ab", 8)
    held_out = ["a2", "b2", "a5", "b5"]
    rest = [name for name in ids(videos) if name not in held_out]
    chosen = choosing_videos(videos, Selection(rest, held_out, {}), 100, 0)
    assert set(chosen.queries) == set(held_out)
    assert set(chosen.labels) == set(ids(videos))
    few = choosing_videos(videos, Selection(rest, held_out, {}), 8, 0)
    assert len(few.labels) == 8
    assert len(few.queries) == 2
    assert set(few.queries) < set(held_out)


def test_a_class_of_one_group_is_no_query() -> None:
    videos = [*labelled("ab", 3), Video("c0", Path("x"), "c", "g0", {"1": "train"})]
    chosen = choosing_videos(videos, Selection(ids(videos), [], {}), 100, 0)
    assert set(chosen.labels) - set(chosen.queries) == {"c0"}
    only = choosing_videos(videos, Selection(ids(videos)[:-1], ["c0"], {}), 100, 0)
    assert set(only.queries) == set(ids(videos)[:-1]), "the one held out cannot be found"


@pytest.mark.parametrize(
    ("videos", "found"),
    [
        ([video("a"), video("b")], "0 labelled ones, of 0 classes and 0 groups"),
        (labelled("a", 3), "3 labelled ones, of 1 classes and 3 groups"),
        (labelled("ab", 1), "2 labelled ones, of 2 classes and 1 groups"),
    ],
)
def test_without_labels_or_groups_no_epoch_can_be_chosen(videos: list[Video], found: str) -> None:
    with pytest.raises(DatasetError, match=f"there are {found}") as error:
        choosing_videos(videos, Selection(ids(videos), [], {}), 100, 0)
    assert "set pretraining.best_by to validation_loss" in error.value.hint
    probing = pretraining(1, 1).model_copy(update={"result": "best", "best_by": "probe"})
    with pytest.raises(DatasetError, match=f"there are {found}"):
        check_batches(videos, "1", probing, 0, {"stage1": 1})
    check_batches(videos, "1", pretraining(1, 1), 0, {"stage1": 1})

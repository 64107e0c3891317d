from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from cocon.config.schema import Hmdb51Dataset, Kinetics400Dataset, Ucf101Dataset
from cocon.datasets import hmdb51
from cocon.datasets.availability import advice, check_videos
from cocon.datasets.checks import check_files
from cocon.datasets.registry import list_videos
from cocon.errors import DatasetError

COMMON = {"recipe": "r", "shards": 1}


def ucf(lists: Path, videos: Path = Path("videos")) -> Ucf101Dataset:
    return Ucf101Dataset(kind="ucf101", videos=videos, lists=lists, splits=("1", "2", "3"), **COMMON)


def hmdb(lists: Path, videos: Path = Path("videos")) -> Hmdb51Dataset:
    return Hmdb51Dataset(kind="hmdb51", videos=videos, lists=lists, splits=("1", "2", "3"), **COMMON)


@pytest.fixture
def tiny_ucf(tmp_path: Path) -> Path:
    """Lists of the official form: CRLF, a number after training videos only."""
    for split in (1, 2, 3):
        train = "".join(
            f"{c}/v_{c}_g0{g}_c01.avi {n}\r\n" for n, c in ((1, "Run"), (2, "Walk")) for g in (1, 2)
        )
        (tmp_path / f"trainlist0{split}.txt").write_bytes(train.encode())
        (tmp_path / f"testlist0{split}.txt").write_bytes(
            b"Run/v_Run_g03_c01.avi\r\nWalk/v_Walk_g03_c01.avi\r\n\r\n"
        )
    return tmp_path


def test_official_figures_of_ucf101(shared_data: Path) -> None:
    videos = list_videos(ucf(shared_data / "splits" / "ucf101"))
    assert len(videos) == 13_320
    assert len({video.label for video in videos}) == 101
    for split, train, test in (("1", 9537, 3783), ("2", 9586, 3734), ("3", 9624, 3696)):
        assert Counter(video.splits[split] for video in videos) == {"train": train, "test": test}
    by_role = {role: {v.group for v in videos if v.splits["1"] == role} for role in ("train", "test")}
    assert not by_role["train"] & by_role["test"], "groups are not torn apart"


def test_official_figures_of_hmdb51(shared_data: Path) -> None:
    videos = list_videos(hmdb(shared_data / "splits" / "hmdb51"))
    assert len(videos) == 6_766
    assert len({video.label for video in videos}) == 51
    for split in "123":
        assert Counter(video.splits[split] for video in videos) == {"train": 3570, "test": 1530, "": 1666}


def test_a_ucf101_video(tiny_ucf: Path) -> None:
    video = next(v for v in list_videos(ucf(tiny_ucf)) if v.id == "Run/v_Run_g02_c01")
    assert video.path == Path("videos/Run/v_Run_g02_c01.avi")
    assert (video.label, video.group) == ("Run", "Run_g02")
    assert video.splits == {"1": "train", "2": "train", "3": "train"}


def test_a_missing_list_is_named(tiny_ucf: Path, tmp_path: Path) -> None:
    (tiny_ucf / "testlist02.txt").unlink()
    with pytest.raises(DatasetError, match=r"testlist02\.txt is missing") as error:
        list_videos(ucf(tiny_ucf))
    assert "TrainTestSplits" in error.value.hint
    with pytest.raises(DatasetError, match="no split lists in"):
        list_videos(hmdb(tmp_path / "nowhere"))


def test_hmdb51_lists_of_a_class_must_be_complete(tmp_path: Path) -> None:
    (tmp_path / "wave_test_split1.txt").write_text("a_wave_f_cm_np1_ba_med_0.avi 1 \n")
    with pytest.raises(DatasetError, match=r"wave_test_split2\.txt is missing"):
        list_videos(hmdb(tmp_path))


@pytest.mark.parametrize(
    ("name", "label", "film"),
    [
        ("50_FIRST_DATES_wave_f_cm_np1_fr_med_0.avi", "wave", "50_FIRST_DATES"),
        ("Fellowship_5_shake_hands_u_cm_np2_le_goo_1.avi", "shake_hands", "Fellowship_5"),
    ],
)
def test_clips_of_one_film_are_one_group(name: str, label: str, film: str) -> None:
    assert hmdb51.film_of(name, label) == film


@pytest.fixture
def tiny_kinetics(tmp_path: Path) -> Kinetics400Dataset:
    lists = tmp_path / "lists"
    lists.mkdir()
    header = "label,youtube_id,time_start,time_end,split\n"
    rows = "".join(f"{label},{label[:2]}-_{{0}},1,11,{{0}}\n" for label in ("tai chi", "using segway"))
    for name in ("train", "val"):
        (lists / f"{name}.csv").write_text(header + rows.format(name))
    return Kinetics400Dataset(kind="kinetics400", videos=tmp_path / "videos", lists=lists, **COMMON)


def test_kinetics_files_are_found_wherever_they_lie(tiny_kinetics: Kinetics400Dataset) -> None:
    elsewhere = tiny_kinetics.videos / "part_7" / "x"
    elsewhere.mkdir(parents=True)
    (elsewhere / "ta-_train_000001_000011.mp4").touch()
    videos = {video.id: video for video in list_videos(tiny_kinetics)}
    assert len(videos) == 4
    assert videos["train/ta-_train_000001_000011"].path == elsewhere / "ta-_train_000001_000011.mp4"
    assert videos["val/us-_val_000001_000011"].path.parent == tiny_kinetics.videos / "val" / "using_segway"
    assert videos["val/us-_val_000001_000011"].splits == {"1": "test"}
    assert videos["val/us-_val_000001_000011"].label == "using segway"


def test_kinetics_tables_must_have_their_columns(tiny_kinetics: Kinetics400Dataset) -> None:
    (tiny_kinetics.lists / "val.csv").write_text("label,id\na,b\n")
    with pytest.raises(DatasetError, match="no column 'youtube_id'"):
        list_videos(tiny_kinetics)
    (tiny_kinetics.lists / "val.csv").write_text("label,youtube_id,time_start,time_end,split\na,b\n")
    with pytest.raises(DatasetError, match=r"val\.csv, line 2: fewer cells than columns"):
        list_videos(tiny_kinetics)


@pytest.mark.parametrize(
    ("time", "works"), [("10", True), ("10.0", True), ("", False), ("1.5", False), ("x", False)]
)
def test_times_are_whole_seconds(tiny_kinetics: Kinetics400Dataset, time: str, works: bool) -> None:
    table = f"label,youtube_id,time_start,time_end,split\ntai chi,abc,{time},20,train\n"
    (tiny_kinetics.lists / "train.csv").write_text(table)
    if works:
        assert "train/abc_000010_000020" in [video.id for video in list_videos(tiny_kinetics)]
        return
    with pytest.raises(
        DatasetError, match=rf"train\.csv, line 2: the time '{time}' is not a whole number of seconds"
    ):
        list_videos(tiny_kinetics)


def test_of_two_clips_of_one_name_the_replacement_is_taken(tiny_kinetics: Kinetics400Dataset) -> None:
    """The folders are those that the scripts of the publisher make."""
    name = "ta-_train_000001_000011.mp4"
    for folder, content in (("a", b"broken"), ("replacement/x", b"whole"), ("z", b"broken too")):
        (tiny_kinetics.videos / folder).mkdir(parents=True)
        (tiny_kinetics.videos / folder / name).write_bytes(content)
    found = {video.id: video.path for video in list_videos(tiny_kinetics)}
    assert found["train/ta-_train_000001_000011"].read_bytes() == b"whole"


def test_two_clips_of_one_name_must_be_the_same(tiny_kinetics: Kinetics400Dataset) -> None:
    name = "ta-_train_000001_000011.mp4"
    for folder in ("a", "z"):
        (tiny_kinetics.videos / folder).mkdir(parents=True)
        (tiny_kinetics.videos / folder / name).write_bytes(b"clip")
    found = {video.id: video.path for video in list_videos(tiny_kinetics)}
    assert found["train/ta-_train_000001_000011"] == tiny_kinetics.videos / "a" / name
    (tiny_kinetics.videos / "z" / name).write_bytes(b"clap")
    with pytest.raises(DatasetError, match=r"two files with the same name differ: .*/a/.* and .*/z/"):
        list_videos(tiny_kinetics)
    (tiny_kinetics.videos / "z" / name).unlink()
    (tiny_kinetics.videos / "z" / name).symlink_to("gone")
    assert list_videos(tiny_kinetics)[0].path == tiny_kinetics.videos / "a" / name


def test_a_tenth_of_kinetics_may_be_missing_and_a_twentieth_of_others(
    tiny_kinetics: Kinetics400Dataset, tiny_ucf: Path
) -> None:
    header = "label,youtube_id,time_start,time_end,split\n"
    for name in ("train", "val"):
        rows = "".join(f"tai chi,{name}{number},1,11,{name}\n" for number in range(25))
        (tiny_kinetics.lists / f"{name}.csv").write_text(header + rows)
    videos = list_videos(tiny_kinetics)
    for video in videos[5:]:
        video.path.parent.mkdir(parents=True, exist_ok=True)
        video.path.touch()
    check_videos("k", tiny_kinetics, videos, 0.05)
    videos[-1].path.unlink()
    with pytest.raises(DatasetError, match="6 of 50 videos are missing"):
        check_videos("k", tiny_kinetics, videos, 0.05)
    check_videos("k", tiny_kinetics, videos, 0.2)
    own = ucf(tiny_ucf, tiny_ucf / "videos")
    for video in list_videos(own)[1:]:
        video.path.parent.mkdir(parents=True, exist_ok=True)
        video.path.touch()
    with pytest.raises(DatasetError, match="1 of 6 videos are missing"):
        check_videos("ucf101", own, list_videos(own), 0.05)


@pytest.mark.parametrize("name", ["testlist02.txt"])
def test_a_list_in_another_encoding_is_named(tiny_ucf: Path, name: str) -> None:
    (tiny_ucf / name).write_text("Run/v_Run_g03_c01.avi", encoding="utf-16")
    with pytest.raises(DatasetError, match=rf"{name} is written in UTF-16"):
        list_videos(ucf(tiny_ucf))


def test_missing_videos_are_counted_and_named(tiny_ucf: Path, tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    videos = list_videos(ucf(tiny_ucf, folder))
    with pytest.raises(DatasetError, match="6 of 6 videos are missing") as error:
        check_files(videos, 0.05, advice("ucf101", ucf(tiny_ucf, folder)))
    assert str(folder / "Run" / "v_Run_g01_c01.avi") in str(error.value)
    assert str(folder) in error.value.hint
    for video in videos[:5]:
        video.path.parent.mkdir(parents=True, exist_ok=True)
        video.path.touch()
    check_files(videos, 0.2, "")
    with pytest.raises(DatasetError, match="1 of 6"):
        check_files(videos, 0.1, "")


@pytest.mark.parametrize("section", [Ucf101Dataset, Hmdb51Dataset, Kinetics400Dataset])
def test_advice_names_the_target_and_the_folder(section: type) -> None:
    kind = {Ucf101Dataset: "ucf101", Hmdb51Dataset: "hmdb51"}.get(section, "kinetics400")
    settings = section(kind=kind, videos=Path("HERE"), lists=Path("l"), **COMMON)
    assert "get_mine" in advice("mine", settings)
    assert "HERE" in advice("mine", settings)

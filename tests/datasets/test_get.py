"""From archives of the official structure to videos under official names, with a server that fails."""

from __future__ import annotations

import hashlib
import io
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from cocon import download
from cocon.cli import main
from cocon.config.schema import Hmdb51Dataset, Kinetics400Dataset, Ucf101Dataset
from cocon.datasets import get as module
from cocon.datasets import hmdb51, kinetics400, ucf101
from cocon.datasets.get import get
from cocon.datasets.registry import list_videos
from cocon.datasets.source import Archive, Part
from cocon.download import Pin
from cocon.errors import DatasetError
from cocon.files import read_json
from tests.datasets.rar import hmdb51_archives, rar
from tests.http_server import FileServer, serving

HMDB_NAMES = {
    "wave": [f"A (1) & B's #2;_wave_u_cm_np1_ba_med_{n}.avi" for n in range(3)],
    "shake_hands": [f"Fellowship_{n}_shake_hands_u_cm_np2_le_goo_1.avi" for n in range(3)],
}
UCF_NAMES = [f"HandstandPushups/v_HandStandPushups_g0{n}_c01.avi" for n in (1, 2)]


def content_of(name: str) -> bytes:
    return f"the video {name}".encode()


def hmdb_archives() -> tuple[bytes, bytes]:
    """HMDB51's archives of the names above; a list has a training, a test and an unused video."""
    videos = {f"{c}/{name}": content_of(name) for c, names in HMDB_NAMES.items() for name in names}
    lists = {
        f"{label}_test_split{split}.txt": "".join(
            f"{name} {flag} \n" for name, flag in zip(names, (1, 2, 0), strict=True)
        ).encode()
        for label, names in HMDB_NAMES.items()
        for split in "123"
    }
    return hmdb51_archives(videos, lists)


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def ucf_lists() -> bytes:
    train, test = (f"{name}{number}\r\n".encode() for name, number in zip(UCF_NAMES, (" 1", ""), strict=True))
    files = {f"ucfTrainTestlist/trainlist0{split}.txt": train for split in "123"}
    files |= {f"ucfTrainTestlist/testlist0{split}.txt": test for split in "123"}
    return zipped(files | {"ucfTrainTestlist/classInd.txt": b"1 HandstandPushups\r\n"})


def served(archive: Archive, server: FileServer, content: bytes | None) -> Archive:
    """An archive as it is, but for its address and content; None: no server has it."""
    url = f"http://127.0.0.1:{server.server_port}/{archive.name}"
    if content is None:
        return replace(archive, urls=(url,))
    server.add(f"/{archive.name}", content)
    return replace(archive, urls=(url,), pin=Pin(len(content), hashlib.sha256(content).hexdigest()))


def replace_lists(monkeypatch: pytest.MonkeyPatch, module: ModuleType, lists: tuple[Part, ...]) -> None:
    """The lists of a data set come from elsewhere."""
    download = replace(module.SOURCE.download, lists=lists)
    monkeypatch.setattr(module, "SOURCE", replace(module.SOURCE, download=download))


def serve_lists(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, server: FileServer, content: bytes
) -> None:
    """The lists of a data set come from the server."""
    archive = module.SOURCE.download.lists[0][0]
    replace_lists(monkeypatch, module, ((served(archive, server, content),),))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "PAUSE", 0.001)
    with serving() as running:
        yield running


def settings_of(section: type, kind: str, folder: Path) -> Any:
    common = {"kind": kind, "recipe": "r", "shards": 1, "splits": ("1",)}
    return section(**common, videos=folder / "videos", lists=folder / "lists")


@pytest.fixture
def hmdb(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hmdb51Dataset:
    """HMDB51 in miniature on the server."""
    videos, lists = hmdb_archives()
    serve_lists(monkeypatch, hmdb51, server, lists)
    monkeypatch.setattr(hmdb51, "_VIDEOS", (served(hmdb51._VIDEOS[0], server, videos),))
    return settings_of(Hmdb51Dataset, "hmdb51", tmp_path)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_hmdb51_is_a_rar_of_rars(hmdb: Hmdb51Dataset, server: FileServer) -> None:
    server.limit = 500
    receipt = get(hmdb)
    assert (receipt["videos"], receipt["listed"]) == (6, 6)
    expected = {f"{c}/{name}": content_of(name) for c, names in HMDB_NAMES.items() for name in names}
    assert contents(hmdb.videos) == expected
    assert sorted(contents(hmdb.videos.parent / "archives")) == [
        "hmdb51_org.rar.json",
        "test_train_splits.rar.json",
    ]
    assert any(wanted for _, wanted in server.asked), "the connection broke and was resumed"
    asked = len(server.asked)
    assert get(hmdb) == receipt
    assert len(server.asked) == asked, "nothing is downloaded twice"


def test_a_killed_unpacking_goes_on_without_a_download(
    hmdb: Hmdb51Dataset, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(path: Path, *rest: object) -> int:
        if "org" in path.name:
            raise KeyboardInterrupt
        return unpack(path, *rest)

    unpack = module.unpack
    monkeypatch.setattr(module, "unpack", die)
    with pytest.raises(KeyboardInterrupt):
        get(hmdb)
    asked = len(server.asked)
    monkeypatch.setattr(module, "unpack", unpack)
    assert get(hmdb)["videos"] == 6
    assert len(server.asked) == asked
    assert not (hmdb.videos.parent / "archives" / "hmdb51_org.rar").exists(), "it was ours to remove"


def test_an_archive_put_in_place_is_used_and_kept(hmdb: Hmdb51Dataset, server: FileServer) -> None:
    archives = hmdb.videos.parent / "archives"
    archives.mkdir()
    (archives / "hmdb51_org.rar").write_bytes(server.files["/hmdb51_org.rar"])
    get(hmdb)
    assert {path for path, _ in server.asked} == {"/test_train_splits.rar"}
    assert (archives / "hmdb51_org.rar").is_file()


def test_another_archive_of_that_name_is_refused_but_can_be_forced(
    hmdb: Hmdb51Dataset, server: FileServer
) -> None:
    archives = hmdb.videos.parent / "archives"
    archives.mkdir()
    other = rar({name: b"another edition" for names in HMDB_NAMES.values() for name in names})
    (archives / "hmdb51_org.rar").write_bytes(other)
    with pytest.raises(DatasetError, match="not the published archive: it has") as error:
        get(hmdb)
    assert "--from" in error.value.hint
    receipt = get(hmdb, own=[archives / "hmdb51_org.rar"])
    assert [row["files"] for row in receipt["archives"]] == [6]
    assert set(contents(hmdb.videos).values()) == {b"another edition"}


def test_when_no_address_answers_the_error_says_what_to_put_where(
    hmdb: Hmdb51Dataset, server: FileServer
) -> None:
    del server.files["/hmdb51_org.rar"]
    with pytest.raises(DatasetError, match="no address has hmdb51_org") as error:
        get(hmdb)
    assert "404" in error.value.message
    assert f"put it into {hmdb.videos.parent / 'archives'}" in error.value.hint


def test_a_full_disk_is_noticed_before_the_download(
    hmdb: Hmdb51Dataset, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: SimpleNamespace(free=10))
    with pytest.raises(DatasetError, match="GB are free"):
        get(hmdb)
    assert server.asked == []


def test_what_cannot_be_unpacked_is_not_downloaded(
    hmdb: Hmdb51Dataset, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "libarchive", None)
    with pytest.raises(DatasetError, match="reading rar archives needs"):
        get(hmdb)
    assert server.asked == []


def test_without_libarchive_ucf101_comes_as_the_zip(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_zip = zipped({f"UCF101/{name.partition('/')[2]}": content_of(name) for name in UCF_NAMES})
    first, second = ucf101._VIDEOS
    alternatives = (served(first, server, b"a rar"), served(second, server, as_zip))
    serve_lists(monkeypatch, ucf101, server, ucf_lists())
    monkeypatch.setattr(ucf101, "_VIDEOS", alternatives)
    monkeypatch.setitem(sys.modules, "libarchive", None)
    assert get(settings_of(Ucf101Dataset, "ucf101", tmp_path))["videos"] == 2
    assert "/UCF101.rar" not in {path for path, _ in server.asked}


def test_a_folder_of_the_users_own(tmp_path: Path) -> None:
    """Class archives beside unpacked files, lists in folders: whatever is found is put in order."""
    _, lists = hmdb_archives()
    own = tmp_path / "own"
    (own / "x" / "wave").mkdir(parents=True)
    for name in HMDB_NAMES["wave"]:
        (own / "x" / "wave" / name).write_bytes(content_of(name))
    (own / "shake_hands.zip").write_bytes(zipped({n: content_of(n) for n in HMDB_NAMES["shake_hands"]}))
    (own / "splits.RAR").write_bytes(lists)
    settings = settings_of(Hmdb51Dataset, "hmdb51", tmp_path / "data")
    assert get(settings, own=[own])["videos"] == 6
    assert contents(settings.videos) == {
        f"{c}/{name}": content_of(name) for c, names in HMDB_NAMES.items() for name in names
    }


def test_what_lacks_videos_is_an_error(tmp_path: Path) -> None:
    _, lists = hmdb_archives()
    (tmp_path / "splits.rar").write_bytes(lists)
    with pytest.raises(DatasetError, match="6 of 6 listed videos were in no archive"):
        get(settings_of(Hmdb51Dataset, "hmdb51", tmp_path / "data"), own=[tmp_path / "splits.rar"])


@pytest.mark.parametrize("first_server_works", [True, False])
def test_ucf101_is_a_rar_or_else_the_flat_zip_of_a_mirror(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first_server_works: bool
) -> None:
    """The folder of a class may be written in another way than the class in the file's name."""
    as_rar = rar({f"UCF-101/{name}": content_of(name) for name in UCF_NAMES})
    as_zip = zipped({f"UCF101/{name.partition('/')[2]}": content_of(name) for name in UCF_NAMES})
    first, second = ucf101._VIDEOS
    alternatives = (
        served(first, server, as_rar if first_server_works else None),
        served(second, server, as_zip),
    )
    serve_lists(monkeypatch, ucf101, server, ucf_lists())
    monkeypatch.setattr(ucf101, "_VIDEOS", alternatives)
    settings = settings_of(Ucf101Dataset, "ucf101", tmp_path)
    receipt = get(settings)
    assert contents(settings.videos) == {name: content_of(name) for name in UCF_NAMES}
    assert sorted(path.name for path in settings.lists.iterdir())[0] == "classInd.txt"
    assert receipt["archives"][1]["archive"] == alternatives[not first_server_works].name


def test_kinetics400_is_many_tars_of_which_videos_are_missing(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = f"http://127.0.0.1:{server.server_port}"
    header = "label,youtube_id,time_start,time_end,split\n"
    for name in ("train", "val"):
        rows = "".join(f"tai chi,-{name}{n:02d},1,11,{name}\n" for n in range(20))
        server.add(f"/annotations/{name}.csv", (header + rows).encode())
        clips = {f"./-{name}{n:02d}_000001_000011.mp4": f"{name}{n}".encode() for n in range(19)}
        server.add(f"/{name}/part_0.tar.gz", tarred(clips))
        server.add(f"/{name}/k400_{name}_path.txt", f"{base}/{name}/part_0.tar.gz\n".encode())
    replaced = {"replacement_for_corrupted_k400/-train00_000001_000011.mp4": b"whole"}
    server.add("/replacement_for_corrupted_k400.tgz", tarred(replaced))
    monkeypatch.setattr(kinetics400, "_CVDF", base)
    lists = tuple((Archive(f"{n}.csv", (f"{base}/annotations/{n}.csv",)),) for n in ("train", "val"))
    replace_lists(monkeypatch, kinetics400, lists)
    name = "replacement_for_corrupted_k400.tgz"
    monkeypatch.setattr(kinetics400, "_REPLACEMENTS", Archive(name, (f"{base}/{name}",)))
    settings = settings_of(Kinetics400Dataset, "kinetics400", tmp_path)
    receipt = get(settings)
    assert (receipt["videos"], receipt["listed"]) == (38, 40)
    videos = {video.id: video.path for video in list_videos(settings)}
    assert videos["train/-train00_000001_000011"].read_bytes() == b"whole"
    assert videos["val/-val03_000001_000011"].read_bytes() == b"val3"
    assert not list((tmp_path / "archives").rglob("*.tar.gz")), "one part at a time lies on the disk"
    asked = len(server.asked)
    get(settings)
    assert len(server.asked) == asked


KINETICS_CLIP = "-train0_000001_000011.mp4"


@pytest.fixture
def kinetics(tmp_path: Path) -> Path:
    """A folder as the publisher's scripts make it, with a broken clip in ``train`` and no replacement."""
    own = tmp_path / "own"
    for name in ("train", "val"):
        (own / name).mkdir(parents=True)
        row = f"tai chi,-{name}0,1,11,{name}\n"
        (own / f"{name}.csv").write_text("label,youtube_id,time_start,time_end,split\n" + row)
        (own / name / f"-{name}0_000001_000011.mp4").write_bytes(b"broken")
    return own


def taken(own: Path, *others: Path) -> bytes:
    settings = settings_of(Kinetics400Dataset, "kinetics400", own.parent)
    get(settings, own=[own, *others])
    return next(settings.videos.rglob(KINETICS_CLIP)).read_bytes()


@pytest.mark.parametrize("form", ["folder", "archive", "archive of folders", "given alone"])
@pytest.mark.parametrize("content", [b"whole", b"whole!"])
def test_replacements_of_kinetics_are_taken(kinetics: Path, form: str, content: bytes) -> None:
    """Whatever their order by name, and also if they are as long as what they replace."""
    others = []
    match form:
        case "folder":
            (kinetics / "replacement" / "x").mkdir(parents=True)
            (kinetics / "replacement" / "x" / KINETICS_CLIP).write_bytes(content)
        case "archive":
            (kinetics / "replacement_for_corrupted_k400.tgz").write_bytes(tarred({KINETICS_CLIP: content}))
        case "archive of folders":
            members = {f"replacement/{KINETICS_CLIP}": content, f"train/{KINETICS_CLIP}": b"broken"}
            (kinetics / "all.tar.gz").write_bytes(tarred(members))
        case "given alone":
            others = [kinetics.parent / "replacement"]
            others[0].mkdir()
            (others[0] / KINETICS_CLIP).write_bytes(content)
    assert taken(kinetics, *others) == content
    assert taken(kinetics, *others) == content, "also the second time"


def test_two_files_of_one_name_must_be_the_same(kinetics: Path) -> None:
    """The larger, the later and the one in an archive are no better than the other."""
    (kinetics / "a.tar.gz").write_bytes(tarred({f"x/{KINETICS_CLIP}": b"broken"}))
    assert taken(kinetics) == b"broken"
    (kinetics / "a.tar.gz").write_bytes(tarred({f"x/{KINETICS_CLIP}": b"brokem"}))
    with pytest.raises(DatasetError, match="1 name stands for two files that differ") as error:
        taken(kinetics)
    assert f"{kinetics / 'train' / KINETICS_CLIP} (6 bytes)" in error.value.message
    assert f"x/{KINETICS_CLIP} of {kinetics / 'a.tar.gz'} (6 bytes)" in error.value.message
    (kinetics / "replacement").mkdir()
    (kinetics / "replacement" / KINETICS_CLIP).write_bytes(b"whole")
    assert taken(kinetics) == b"whole", "a replacement settles it"


def test_two_lists_of_one_name_must_be_the_same(kinetics: Path) -> None:
    (kinetics / "old").mkdir()
    (kinetics / "old" / "train.csv").write_text("label\n")
    with pytest.raises(DatasetError, match=r"(?s)two files that differ.*train\.csv"):
        taken(kinetics)


def test_a_file_in_its_place_is_not_replaced_by_another(kinetics: Path) -> None:
    """The folder that is given may be the one that the videos belong in."""
    settings = settings_of(Kinetics400Dataset, "kinetics400", kinetics.parent)
    settings = settings.model_copy(update={"videos": kinetics, "lists": kinetics})
    (kinetics / "a.tar.gz").write_bytes(tarred({KINETICS_CLIP: b"shorter"[:4]}))
    with pytest.raises(DatasetError, match="two files that differ"):
        get(settings, own=[kinetics])
    assert (kinetics / "train" / KINETICS_CLIP).read_bytes() == b"broken"


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    videos, lists = hmdb_archives()
    (tmp_path / "hmdb51_org.rar").write_bytes(videos)
    (tmp_path / "test_train_splits.rar").write_bytes(lists)
    section = "{kind: hmdb51, recipe: r, shards: 1, videos: v, lists: l}"
    (tmp_path / "config.yaml").write_text(f"datasets: {{mine: {section}}}\nrecipes: {{r: {{}}}}\n")
    monkeypatch.chdir(tmp_path)
    assert main(["data", "get", "mine", "--from", "hmdb51_org.rar", "test_train_splits.rar"]) == 0
    assert "mine: 6 of 6 videos are in v" in capsys.readouterr().err
    assert main(["data", "get", "yours"]) == 2
    assert "no data set 'yours'" in capsys.readouterr().err
    assert main(["data", "get", "mine", "--from", "nowhere", "--output", "r.json"]) == 2
    assert "there is no nowhere" in capsys.readouterr().err
    assert not Path("r.json").exists()
    assert main(["data", "get", "mine", "--from", ".", "--output", "r.json"]) == 0
    assert read_json(Path("r.json"))["videos"] == 6

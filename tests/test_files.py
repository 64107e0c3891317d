from __future__ import annotations

import errno
import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from cocon.errors import OutputError, ShardError
from cocon.files import (
    atomic_path,
    check_output,
    file_lock,
    fingerprint,
    no_room,
    read_csv,
    read_json,
    sha256_of,
    write_csv,
    write_json,
    write_text,
)


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "x.json"
    target.write_text("old")
    with pytest.raises(RuntimeError):  # noqa: SIM117, PT012
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            assert temporary.suffix == ".json"
            raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_json_and_csv_round_trip(tmp_path: Path) -> None:
    value = {"a": [1, 2.5, "ü", None], "name": "bad\udcff"}
    write_json(tmp_path / "deep" / "x.json", value)
    assert read_json(tmp_path / "deep" / "x.json") == value
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "nan.json", float("nan"))
    assert not (tmp_path / "nan.json").exists()
    write_csv(tmp_path / "x.csv", [{"a": "1,2", "b": "x\ny", "ignored": 1}, {"a": '"'}], ["a", "b"])
    assert read_csv(tmp_path / "x.csv") == [{"a": "1,2", "b": "x\ny"}, {"a": '"', "b": ""}]


def test_fingerprints_do_not_depend_on_order() -> None:
    assert fingerprint({"a": 1, "b": [1, 2]}) == fingerprint({"b": [1, 2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    # the published test vector (FIPS 180-2)
    assert sha256_of(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def _hold(path: Path, ready: object) -> None:
    with file_lock(path):
        ready.set()  # type: ignore[attr-defined]
        time.sleep(60)


def test_a_lock_keeps_others_out_until_its_process_dies(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    holder = context.Process(target=_hold, args=(tmp_path / "lock", ready))
    holder.start()
    assert ready.wait(20)
    with pytest.raises(BlockingIOError), file_lock(tmp_path / "lock", blocking=False):
        pass
    assert holder.pid is not None
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    with file_lock(tmp_path / "lock", blocking=False):
        assert (tmp_path / "lock").exists()
    assert not (tmp_path / "lock").exists()


def test_waiting_for_a_lock_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, entered = tmp_path / "lock", threading.Event()

    def second() -> None:
        with file_lock(path):
            entered.set()

    thread = threading.Thread(target=second)
    with caplog.at_level(logging.INFO), file_lock(path):
        thread.start()
        end = time.monotonic() + 10
        while not caplog.records and time.monotonic() < end:
            time.sleep(0.001)
        assert not entered.is_set()
    thread.join(10)
    assert entered.is_set()
    assert caplog.messages == [f"waiting for another process, which holds {path}"]


@pytest.fixture(params=["folder", "fifo", "socket", "device", "link", "loop"])
def special(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A path on which something other than a regular file lies."""
    path = tmp_path / "special.h5"
    if request.param == "folder":
        path.mkdir()
    elif request.param == "fifo":
        os.mkfifo(path)
    elif request.param == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
    elif request.param == "device":
        return Path(os.devnull)
    elif request.param == "link":
        path.symlink_to(os.devnull)
    else:
        path.symlink_to(path)
    return path


def test_only_a_regular_file_is_replaced(special: Path) -> None:
    before = special.lstat()
    for attempt in (lambda: check_output(special), lambda: write_text(special, "x")):
        with pytest.raises(OutputError, match=r"cannot be written: it is a "):
            attempt()
    after = special.lstat()
    assert (after.st_mode, after.st_ino, after.st_rdev) == (before.st_mode, before.st_ino, before.st_rdev)


def test_a_link_stands_for_its_file(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    for target in ("there.txt", "absent.txt"):
        (tmp_path / "other" / "there.txt").write_text("old")
        link = tmp_path / f"to_{target}"
        link.symlink_to(Path("other") / target)
        write_text(link, "new")
        assert link.is_symlink()
        assert (tmp_path / "other" / target).read_text() == "new"
    assert len(list((tmp_path / "other").iterdir())) == 2


def test_what_cannot_be_written_is_known_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "nowhere").symlink_to("absent/folder")
    for path, reason in {
        "n" * 240: "its name is too long",
        "ü" * 120: "its name is too long",
        f"new/{'n' * 300}/x.h5": "its name is too long",
        "/".join(["long"] * 2000): "too long",
        "file/x.h5": "file is not a folder",
        "file/deep/x.h5": "file is not a folder",
    }.items():
        with pytest.raises(OutputError, match=reason):
            check_output(tmp_path / path)
    check_output(tmp_path / "new" / "folder" / "x.h5")
    check_output(tmp_path / "nowhere" / "x.h5")
    write_text(tmp_path / ("n" * 239), "longest")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "n" * 239, "nowhere"]
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(OutputError, match="is not writable"):
        check_output(tmp_path / "x.h5")


@pytest.mark.parametrize("umask", [0o002, 0o022, 0o077])
def test_the_umask_gives_the_mode(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with atomic_path(tmp_path / "deep" / "x.st") as temporary:
            temporary.unlink(missing_ok=True)
            os.close(os.open(temporary, os.O_CREAT | os.O_WRONLY, 0o600))  # as safetensors does
        write_json(tmp_path / "y.json", 1)
    finally:
        os.umask(before)
    modes = [path.stat().st_mode & 0o777 for path in (tmp_path / "deep" / "x.st", tmp_path / "y.json")]
    assert modes == [0o666 & ~umask] * 2
    assert (tmp_path / "deep").stat().st_mode & 0o777 == 0o777 & ~umask


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (OSError(errno.ENOSPC, "full"), errno.ENOSPC),
        (OSError(errno.EDQUOT, "quota"), errno.EDQUOT),
        (
            OSError("file write failed: errno = 27, error message = 'File too large'"),
            errno.EFBIG,
        ),
        (
            Exception("while serializing: No space left on device (os error 28)"),
            errno.ENOSPC,
        ),
        (
            RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534"),
            errno.ENOSPC,
        ),
        (OSError(errno.EACCES, "denied"), 0),
        (RuntimeError("shapes differ"), 0),
        (OSError("errno = 2, error message = 'no such file'"), 0),
    ],
)
def test_a_full_disk_is_found_wherever_it_hides(error: Exception, number: int) -> None:
    assert no_room(error) == number
    outer = ValueError("no file")
    outer.__context__ = error
    assert no_room(outer) == number


def test_a_full_disk_is_said_of_the_final_name(tmp_path: Path) -> None:
    for error in (OSError(errno.ENOSPC, "full"), RuntimeError("inline_container.cc: unexpected pos 1 vs 2")):
        with pytest.raises(OSError) as caught, atomic_path(tmp_path / "x.pt"):  # noqa: PT011
            raise error
        assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path / "x.pt"))
        assert list(tmp_path.iterdir()) == []
    with pytest.raises(OSError, match="other") as caught, atomic_path(tmp_path / "x.pt"):
        raise OSError(errno.ENOSPC, "full", "other")
    with pytest.raises(ShardError, match="kept"), atomic_path(tmp_path / "x.pt"):
        raise ShardError("what is finished is kept") from OSError(errno.ENOSPC, "full")

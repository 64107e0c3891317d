from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cocon import locks
from cocon.errors import CoConError, ConfigError
from cocon.files import file_lock
from cocon.locks import hold
from cocon.machine import gpu_lease, host
from cocon.machine.host import keep_to_ourselves

NUMBERS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of this machine, for the locks of file systems that have none."""
    (tmp_path / "local").mkdir()
    monkeypatch.setattr(locks, "_local_folders", lambda: [tmp_path / "local"])
    return tmp_path / "local"


@pytest.fixture(params=NUMBERS, ids=os.strerror)
def lustre(
    request: pytest.FixtureRequest, tmp_path: Path, local: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A folder on a file system without flock."""
    flock, folder = fcntl.flock, tmp_path / "lustre"
    folder.mkdir()

    def without(descriptor: int, operation: int) -> None:
        if Path(os.readlink(f"/proc/self/fd/{descriptor}")).is_relative_to(folder):
            raise OSError(request.param, os.strerror(request.param))
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", without)
    monkeypatch.setattr(locks, "_warned", set())
    return folder


@pytest.mark.usefixtures("as_program")
def test_without_flock_the_machine_keeps_its_processes_apart(
    lustre: Path, local: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        with file_lock(lustre / "x.lock"), pytest.raises(BlockingIOError):  # noqa: SIM117
            with file_lock(lustre / "x.lock", blocking=False):
                pass
    with file_lock(lustre / "x.lock"), file_lock(lustre / "y.lock", blocking=False):
        pass
    assert list(lustre.iterdir()) == []
    assert list((local / "cocon-locks").iterdir()) == []
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, "it is said once"
    assert lines[0].startswith(f"warning: the file system of {lustre} has no locks (")
    assert "only processes of this machine are kept apart" in lines[0]


def test_without_flock_a_workflow_runs(lustre: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "_held", [])
    keep_to_ourselves(lustre)
    with pytest.raises(ConfigError, match="another run works in"):
        keep_to_ourselves(lustre)
    host._held[0].release()
    keep_to_ourselves(lustre)
    host._held[1].release()


def test_without_flock_no_device_is_given_twice(lustre: Path) -> None:
    first = gpu_lease.acquire(1, ["0", "1"], lustre / "gpus")
    second = gpu_lease.acquire(1, ["0", "1"], lustre / "gpus")
    assert (first.devices, second.devices) == (("0",), ("1",))
    first.release()
    third = gpu_lease.acquire(1, ["0", "1"], lustre / "gpus")
    assert third.devices == ("0",)
    for lease in (second, third):
        lease.release()


@pytest.mark.usefixtures("as_program")
def test_where_nothing_has_locks_runs_go_on_and_gpus_are_not_shared(
    lustre: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(locks, "_local_folders", lambda: [lustre])
    with file_lock(lustre / "x.lock"), file_lock(lustre / "x.lock", blocking=False):
        pass
    assert not (lustre / "x.lock").exists()
    assert "are not kept apart" in capsys.readouterr().err
    with pytest.raises(CoConError, match="no folder of this machine supports locks"):
        gpu_lease.acquire(1, ["0"], lustre / "gpus")


def test_a_file_that_vanishes_while_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The holder before removes its file between our open and our look at it."""
    path, flock, taken = tmp_path / "lock", fcntl.flock, []

    def vanishing(descriptor: int, operation: int) -> None:
        flock(descriptor, operation)
        taken.append(descriptor)
        if len(taken) == 1:
            path.unlink()
        if len(taken) == 2:
            path.unlink()
            path.touch()

    monkeypatch.setattr(fcntl, "flock", vanishing)
    before = len(os.listdir("/proc/self/fd"))
    lock = hold(path, wait=False)
    assert lock is not None
    assert len(taken) == 3
    assert os.path.samestat(os.stat(path), os.fstat(lock.descriptor))
    lock.release(remove=True)
    assert len(os.listdir("/proc/self/fd")) == before


def test_many_threads_never_hold_one_lock_together(tmp_path: Path) -> None:
    inside, most = [], []

    def work() -> None:
        for _ in range(40):
            with file_lock(tmp_path / "lock"):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 160


def test_other_errors_of_a_lock_are_not_hidden(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        hold(tmp_path / "absent" / "lock", wait=False)

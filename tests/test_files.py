from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from cocon.files import (
    atomic_path,
    file_lock,
    fingerprint,
    read_csv,
    read_json,
    sha256_of,
    write_csv,
    write_json,
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

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cocon.errors import CheckpointError, CoConError
from cocon.training import state as module
from cocon.training.provenance import provenance
from cocon.training.state import RunState, differences
from tests.damage import flips, mutants, refused
from tests.full_disk import files_up_to

OURS = {"run": {"stage": "stage1"}, "pretraining": {"loss": {"temperature": 0.005}}, "data": {"rgb": "ab"}}


def test_round_trip_and_the_newest_are_kept(tmp_path: Path) -> None:
    state = RunState(tmp_path, OURS, keep=2)
    assert state.newest() is None
    for step in (9, 10, 100):
        state.save({"weights": torch.full((3,), step), "rows": [{"loss": 0.5}]}, step)
    assert [path.name for path in sorted(state.folder.iterdir())] == [
        "step_000000010.pt",
        "step_000000100.pt",
    ]
    newest = state.newest()
    assert newest is not None
    content = state.load(newest)
    assert torch.equal(content["weights"], torch.full((3,), 100))
    assert content["rows"] == [{"loss": 0.5}]
    state.remove()
    assert not state.folder.exists()


def test_best_stays_beside_the_newest(tmp_path: Path) -> None:
    state = RunState(tmp_path, OURS, keep=1)
    state.save_best({"epoch": 1})
    for step in (1, 2):
        state.save({}, step)
    state.save_best({"epoch": 2})
    assert state.load_best() == {"epoch": 2}
    assert state.newest() == state.folder / "step_000000002.pt"


def test_a_checkpoint_says_where_it_comes_from(tmp_path: Path) -> None:
    stored = torch.load(RunState(tmp_path, OURS).save({}, 1), weights_only=True)
    assert stored["description"] == OURS
    assert stored["provenance"] == provenance()
    assert {"python", "torch", "cocon", "git"} <= stored["provenance"].keys()


def test_another_run_is_refused_with_the_differences(tmp_path: Path) -> None:
    path = RunState(tmp_path, OURS).save({}, 1)
    other = OURS | {"pretraining": {"loss": {"temperature": 0.07}}, "data": {"rgb": "cd"}}
    with pytest.raises(CheckpointError) as error:
        RunState(tmp_path, other).load(path)
    assert "pretraining.loss.temperature: 0.005 -> 0.07\n    data.rgb: ab -> cd" in error.value.message
    assert RunState(tmp_path, other).newest() is None
    assert list(RunState(tmp_path, other).relatives()) == [
        (path.parent, ["pretraining.loss.temperature: 0.005 -> 0.07", "data.rgb: ab -> cd"])
    ]
    elsewhere = OURS | {"run": {"stage": "stage2"}}
    assert list(RunState(tmp_path, elsewhere).relatives()) == []


def test_differences_of_missing_keys_and_of_many() -> None:
    assert differences({"a": 1}, {"a": 1, "b": {"c": None}}) == ["b.c: (default) -> None"]
    assert differences({}, {}) == []
    many = differences({str(i): i for i in range(20)}, {})
    assert many[-1] == "and 12 more"


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "text"])
def test_damage_is_noticed_and_set_aside(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    state = RunState(tmp_path, OURS)
    old = state.save({"weights": torch.zeros(1000)}, 1)
    new = state.save({"weights": torch.ones(1000)}, 2)
    content = bytearray(new.read_bytes())
    place = bytes(content).index(torch.ones(1000).numpy().tobytes()) + 2000
    content[place] ^= 1
    new.write_bytes({"truncated": content[:-100], "flipped": content, "empty": b"", "text": b"hello"}[damage])
    assert state.newest() == old
    assert "going back to the one before" in caplog.text
    assert not new.exists()
    assert new.with_name(new.name + ".damaged").exists()


def test_another_format(tmp_path: Path) -> None:
    state = RunState(tmp_path, OURS)
    path = tmp_path / "x.pt"
    torch.save({"version": 1, "content": {}}, path)
    with pytest.raises(CheckpointError, match="another version of this program"):
        state.load(path)


def test_one_process_at_a_time_and_other_runs_are_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    state, other = RunState(tmp_path, OURS), RunState(tmp_path, OURS | {"seed": 1})
    with state.locked(), other.locked():
        with pytest.raises(CoConError, match="another process is at work on this run") as error:
            RunState(tmp_path, OURS).locked().__enter__()
        assert str(state.folder) in error.value.message
    assert not list(tmp_path.iterdir()), "nothing is left of runs that saved nothing"
    with state.locked():
        state.save({}, 1)
    with RunState(tmp_path, OURS).locked():
        assert state.newest() == state.folder / "step_000000001.pt"


def test_a_lock_is_gone_with_its_process_and_what_it_forked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker of a killed process lives on for a moment."""
    monkeypatch.setattr(module, "PATIENCE", 30.0)
    code = f"""
import os, time
from pathlib import Path
from cocon.training.state import RunState
with RunState(Path({str(tmp_path)!r}), {OURS!r}).locked():
    if os.fork() == 0:
        time.sleep(0.5)
        os._exit(0)
    print(flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
        with RunState(tmp_path, OURS).locked():
            pass


def test_a_full_disk_costs_nothing_that_was_saved(tmp_path: Path) -> None:
    state = RunState(tmp_path, OURS)
    state.save({"weights": torch.zeros(10_000)}, 1)
    with files_up_to(10_000), pytest.raises(OSError, match=r"step_000000002\.pt"):
        state.save({"weights": torch.ones(10_000)}, 2)
    assert [path.name for path in state.folder.iterdir()] == ["step_000000001.pt"]


@pytest.mark.parametrize(
    "stored",
    [
        [1, 2],
        "text",
        torch.zeros(3),
        {},
        {"version": 2, "description": OURS},
        {"version": 2, "description": [1], "content": {}},
        {"version": 2, "description": OURS, "content": [1]},
    ],
)
def test_another_object_in_place_of_a_checkpoint(tmp_path: Path, stored: object) -> None:
    state = RunState(tmp_path, OURS)
    path = state.save({}, 1)
    torch.save(stored, path)
    with pytest.raises(CheckpointError, match="cannot be read") as error:
        state.load(path)
    assert str(path) in error.value.message
    assert "delete the folder" in error.value.hint
    list(RunState(tmp_path, OURS | {"data": {}}).relatives())  # passes over what it cannot read


def test_a_pickle_is_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "ran"),)

    state = RunState(tmp_path, OURS)
    path = state.save({}, 1)
    torch.save(Evil(), path)
    with pytest.raises(CheckpointError, match="cannot be read"):
        state.load(path)
    assert not (tmp_path / "ran").exists()


def test_a_flipped_bit_is_noticed_wherever_it_is(tmp_path: Path) -> None:
    state = RunState(tmp_path, OURS)
    path = state.save({"weights": torch.arange(50.0), "epoch": 3}, 1)
    content = path.read_bytes()

    def same(found: dict[str, object]) -> bool:
        return found["epoch"] == 3 and torch.equal(found["weights"], torch.arange(50.0))  # type: ignore[arg-type]

    for damaged in (*flips(content, 100), *mutants(content, 40)):
        refused(path, damaged, lambda: state.load(path), same)


def test_a_checkpoint_that_may_not_be_read_is_not_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = RunState(tmp_path, OURS)
    path = state.save({}, 1)

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(torch, "load", denied)
    with pytest.raises(CheckpointError, match="cannot be read: Permission denied"):
        state.newest()
    assert path.exists()

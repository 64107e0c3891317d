from __future__ import annotations

from pathlib import Path

import pytest

from cocon.training.log import Averages, Reporter, read_log, write_log


def test_averages() -> None:
    averages = Averages()
    averages.add({"loss": 1.0, "accuracy/rgb": 0.0})
    averages.add({"loss": 4.0, "accuracy/rgb": 0.5})
    assert averages.means() == {"loss": 2.5, "accuracy/rgb": 0.25}
    again = Averages(averages.sums, averages.count)
    again.add({"loss": 1.0, "accuracy/rgb": 1.0})
    assert again.means() == {"loss": 2.0, "accuracy/rgb": 0.5}


def test_log_round_trip(tmp_path: Path) -> None:
    rows = [{"epoch": 1, "loss": 0.1 + 0.2}, {"epoch": 2, "loss": 1e-9}]
    write_log(tmp_path / "log.jsonl", rows)
    assert read_log(tmp_path / "log.jsonl") == rows


def test_log_refuses_what_is_no_number(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_log(tmp_path / "log.jsonl", [{"loss": float("nan")}])


@pytest.mark.usefixtures("as_program")
def test_plain_lines_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = Reporter("cocon rgb")
    assert list(reporter.steps([1, 2], 0, 20, 0, 2)) == [1, 2]
    row = {"epoch": 3, "loss": 1.25, "validation/loss": 2.0, "accuracy/rgb": 0.5, "knn/rgb": 0.2}
    reporter.epoch({**row, "data_seconds": 0.26, "compute_seconds": 3.0}, 20)
    expected = "epoch 3/20, loss 1.250, validation 2.000, knn rgb 20%, rgb 50%, data 0.3 s, compute 3.0 s"
    assert capsys.readouterr().err == f"cocon rgb: {expected}\n"
    reporter.epoch({"epoch": 0, "step": 0, "linear/rgb": 0.3}, 20)
    assert capsys.readouterr().err == "cocon rgb: epoch 0/20, linear rgb 30%\n"


@pytest.mark.usefixtures("as_program")
def test_silent(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = Reporter("cocon rgb", silent=True)
    reporter.say("nothing")
    reporter.warn("nothing")
    assert list(reporter.steps([1], 0, 20, 0, 1)) == [1]
    assert capsys.readouterr().err == ""

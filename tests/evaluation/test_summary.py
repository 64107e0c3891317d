from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cocon.cli import main
from cocon.errors import DatasetError
from cocon.evaluation.metrics import Result, Task
from cocon.evaluation.summary import (
    format_tables,
    means_over_splits,
    read_results,
    read_summary,
    seen_sentence,
    write_summary,
)
from cocon.files import read_csv, read_json, write_json


def _result(pretraining: str, view: str, protocol: str, top1: float, split: str = "1") -> Result:
    recall = {5: 0.9, 10: 0.95} if protocol == "retrieval" else {}
    task = Task("demo", pretraining, view, protocol, split, 0)
    return Result(task, top1, (top1 - 0.1, top1 + 0.1), 0.975, 78, 0.1, recall)


RESULTS = [
    _result("cocon", "ensemble", "linear", 0.875),
    _result("cocon", "rgb", "linear", 0.5),
    _result("random", "rgb", "linear", 0.25),
    _result("cocon", "rgb", "retrieval", 0.375),
]


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{number}.json" for number in range(len(RESULTS))]
    for path, result in zip(paths, RESULTS, strict=True):
        write_json(path, result.row())
    return paths


def test_summary_has_the_rows_of_all_files_in_order(files: list[Path], tmp_path: Path) -> None:
    results = read_results(files)
    write_summary(results, tmp_path / "summary.json", tmp_path / "summary.csv")
    document = read_json(tmp_path / "summary.json")
    assert list(document) == ["rows", "means"]
    ordered = [(row["protocol"], row["pretraining"], row["view"]) for row in document["rows"]]
    assert ordered == [
        ("linear", "random", "rgb"),
        ("linear", "cocon", "rgb"),
        ("linear", "cocon", "ensemble"),
        ("retrieval", "cocon", "rgb"),
    ]
    keys = ["dataset", "pretraining", "view", "protocol", "split", "top1", "ci95", "coverage", "n"]
    assert list(document["rows"][0]) == [*keys, "chance", "seed"]
    assert list(document["rows"][3]) == [*keys, "chance", "seed", "r5", "r10"]
    assert read_summary(tmp_path / "summary.json") == results


def test_csv_has_one_number_per_column(files: list[Path], tmp_path: Path) -> None:
    write_summary(read_results(files), tmp_path / "summary.json", tmp_path / "summary.csv")
    rows = read_csv(tmp_path / "summary.csv")
    assert ",".join(rows[0]) == (
        "dataset,pretraining,view,protocol,split,top1,ci95_low,ci95_high,coverage,n,chance,seed,r5,r10"
    )
    assert (rows[0]["top1"], rows[0]["ci95_low"], rows[0]["r5"]) == ("0.25", "0.15", "")
    assert (rows[3]["ci95_high"], rows[3]["r10"]) == ("0.475", "0.95")


def test_table_is_aligned_and_in_per_cent() -> None:
    linear, retrieval = format_tables(RESULTS).split("\n\n")
    assert linear.splitlines() == [
        "demo: Linear probe, top-1, % (split 1, 78 test videos)",
        "pretraining          rgb     ensemble  cover",
        "--------------------------------------------",
        "random        25.0 ±10.0      -         98 %",
        "cocon         50.0 ±10.0   87.5 ±10.0   98 %",
        "chance        10.0         10.0",
    ]
    assert retrieval.splitlines()[0].startswith("demo: Retrieval, R@1, %")


def test_table_averages_over_splits() -> None:
    text = format_tables(
        [_result("cocon", "rgb", "linear", 0.5), _result("cocon", "rgb", "linear", 0.6, split="2")]
    )
    assert "mean ± sd of splits 1, 2" in text
    assert "55.0 ±7.1" in text  # sqrt(2) * 5


def test_means_over_splits_have_the_deviation_of_a_sample() -> None:
    means = means_over_splits(
        [_result("cocon", "rgb", "linear", value, split=split) for split, value in (("1", 0.5), ("2", 0.6))]
        + [_result("random", "rgb", "linear", 0.2)]
    )
    assert [(row["pretraining"], row["splits"]) for row in means] == [
        ("cocon", ["1", "2"]),
        ("random", ["1"]),
    ]
    assert (means[0]["top1"], means[0]["sd"]) == (pytest.approx(0.55), pytest.approx(0.05 * 2**0.5))
    assert (means[1]["top1"], means[1]["sd"]) == (0.2, None)


def test_coverage_of_a_row_is_a_range() -> None:
    results = [_result("cocon", view, "linear", 0.5) for view in ("rgb", "flow")]
    text = format_tables([results[0], replace(results[1], coverage=0.5)])
    assert text.splitlines()[3].endswith("50-98 %")


def test_same_row_twice_is_refused(files: list[Path], tmp_path: Path) -> None:
    write_json(tmp_path / "again.json", RESULTS[0].row())
    with pytest.raises(DatasetError, match=r"0\.json and .*again\.json contain the same row"):
        read_results([*files, tmp_path / "again.json"])


@pytest.mark.parametrize("text", ["{", "[]", '{"rows": 3}', '{"top1": 1}'])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(DatasetError):
        read_results([path])
    with pytest.raises(DatasetError):
        read_summary(path)


def test_command_writes_prints_and_shows(
    files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, table = tmp_path / "out" / "summary.json", tmp_path / "out" / "summary.csv"
    assert main(["summary", "--metrics", *map(str, files), "--output", str(out), "--csv", str(table)]) == 0
    written = capsys.readouterr().out
    assert "87.5 ±10.0" in written
    assert main(["summary", "--show", str(out)]) == 0
    assert capsys.readouterr().out == written
    assert json.loads(out.read_text())["rows"]


def test_command_explains_what_is_missing(
    files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["summary", "--metrics", str(files[0])]) == 2
    assert "give --output and --csv" in capsys.readouterr().err
    assert main(["summary", "--show", str(tmp_path / "none.json")]) == 2
    assert "there is no file" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"3",
        b"\xff\xfe",
        b'{"a": ' + b"[" * 100_000,
        b'{"rows": [{"top1": NaN}]}',
        b'{"rows": [1]}',
    ],
)
def test_damaged_files_get_a_sentence(
    files: list[Path], tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    files[1].write_bytes(content)
    output = ["--output", str(tmp_path / "s.json"), "--csv", str(tmp_path / "s.csv")]
    for arguments in (["--metrics", *map(str, files), *output], ["--show", str(files[1])]):
        assert main(["summary", *arguments]) == 2
        message = capsys.readouterr().err
        assert str(files[1]) in message
        assert "hint: " in message
    assert not (tmp_path / "s.json").exists()


def test_splits_are_counted_as_people_do(tmp_path: Path) -> None:
    results = [_result("cocon", "rgb", "linear", 0.5, str(split)) for split in range(1, 11)]
    paths = [tmp_path / f"{number}.json" for number in range(10)]
    for path, result in zip(paths, results[::-1], strict=True):
        write_json(path, result.row())
    found = read_results(paths)
    assert [result.task.split for result in found] == [str(split) for split in range(1, 11)]
    assert "mean ± sd of splits 1 to 10, 78 test videos" in format_tables(found)
    fewer = [replace(result, n=70 + number) for number, result in enumerate(found)]
    assert "mean ± sd of splits 1 to 10, 70-79 test videos" in format_tables(fewer)
    assert "mean ± sd of splits 1, 2, 4," in format_tables([found[n] for n in (3, 0, 1)])


def test_what_pretraining_has_seen_is_said(
    files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "summary.json"
    command = [
        "summary",
        "--metrics",
        *map(str, files),
        "--output",
        str(out),
        "--csv",
        str(tmp_path / "s.csv"),
    ]
    assert main([*command, "--seen", '{"2": [30, 60], "3": [1, 1000]}']) == 0
    said = (
        "Pretraining has seen test videos, without their labels: 30 of 60 of split 2, 1 of 1,000 of split 3."
    )
    assert said in capsys.readouterr().out
    assert read_json(out)["seen"] == {"2": [30, 60], "3": [1, 1000]}
    assert main(["summary", "--show", str(out)]) == 0
    assert said in capsys.readouterr().out
    assert seen_sentence({"2": (6, 6), "1": (3, 9)}).endswith(": all of split 2, 3 of 9 of split 1.")
    ten = {str(split): (6, 6) for split in (10, *range(1, 10))}
    assert seen_sentence(ten).endswith(": all of splits 1 to 10.")
    assert main([*command, "--seen", "{}"]) == 0
    assert "Pretraining has seen" not in capsys.readouterr().out
    assert "seen" not in read_json(out)

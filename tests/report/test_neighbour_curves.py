"""Several trainings in one figure, from logs whose numbers can be averaged by hand."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from cocon.cli import main
from cocon.errors import ConfigError, DatasetError
from cocon.files import write_text
from cocon.pretrainings import PRESETS
from cocon.report.neighbour_curves import Curve, curves_of, read_log
from cocon.report.neighbour_figure import write_figure

SVG = "{http://www.w3.org/2000/svg}"
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a log: ``shares[view]`` of epoch 0, 1, ... (None: not measured), of so many steps each."""

    def write(
        run: str, name: str, shares: dict[str, list[float | None]], steps: int = 10, chance: float = 0.25
    ) -> Path:
        rows = []
        for epoch in range(max(map(len, shares.values()))):
            row = {"epoch": epoch, "step": steps * epoch, "loss": 1.0, "knn/rgb": 0.9}
            found = {f"neighbours/{v}": s[epoch] for v, s in shares.items() if s[epoch] is not None}
            rows.append(row | found | ({"neighbours/chance": chance} if found else {}))
        path = tmp_path / run / "pretrain" / name
        write_text(path, "".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write


def curves(*paths: Path) -> list[Curve]:
    return curves_of([read_log(path) for path in paths])


def test_means_and_deviations_over_runs(write: Write) -> None:
    one = write("", "nce/log.jsonl", {"rgb": [0.2, None, 0.4], "mask": [0.5, 0.5, 0.5]})
    two = write("seed1", "nce/log.jsonl", {"rgb": [0.4, None, 0.6], "mask": [0.5, 0.5, 0.5]}, steps=12)
    sd = pytest.approx([0.02**0.5, 0.02**0.5])
    assert curves(one, two) == [
        Curve("nce", "rgb", [0, 22], pytest.approx([0.3, 0.5]), sd, 2),
        Curve("nce", "mask", [0, 11, 22], [0.5, 0.5, 0.5], [0, 0, 0], 2),
    ]
    assert curves(two) == [
        Curve("nce", "rgb", [0, 24], [0.4, 0.6], [], 1),
        Curve("nce", "mask", [0, 12, 24], [0.5, 0.5, 0.5], [], 1),
    ]


def test_epochs_that_only_some_runs_have_measured_are_left_out(write: Write) -> None:
    one = write("", "nce/log.jsonl", {"rgb": [0.2, 0.3, 0.4]})
    two = write("seed1", "nce/log.jsonl", {"rgb": [0.2, None, 0.4, 0.5]})
    assert curves(one, two)[0].steps == [0, 20]


def test_what_goes_on_from_stage_1_begins_after_its_steps(write: Write) -> None:
    rgb = write("", "stage1/rgb.log.jsonl", {"rgb": [0.2, 0.3]}, steps=7)
    mask = write("", "stage1/mask.log.jsonl", {"mask": [None, None]}, steps=9)
    cocon = write("", "cocon/log.jsonl", {"rgb": [0.3, 0.6], "mask": [0.3, 0.6]})
    cmc = write("", "cmc/log.jsonl", {"rgb": [0.1, 0.2, 0.3]})
    found = {(curve.pretraining, curve.view): curve.steps for curve in curves(cmc, cocon, rgb, mask)}
    assert found == {
        ("stage1", "rgb"): [0, 7],
        ("cocon", "rgb"): [7, 17],
        ("cocon", "mask"): [9, 19],
        ("cmc", "rgb"): [0, 10, 20],
    }
    assert list(found) == [("stage1", "rgb"), ("cocon", "rgb"), ("cocon", "mask"), ("cmc", "rgb")]
    with pytest.raises(ConfigError, match=r"cocon/log.jsonl goes on from stage 1") as error:
        curves(cmc, cocon, rgb)
    assert str(mask) in error.value.hint


def test_runs_have_stages_1_of_their_own(write: Write) -> None:
    paths = []
    for run, steps in (("", 10), ("seed1", 20)):
        paths.append(write(run, "stage1/rgb.log.jsonl", {"rgb": [None, None]}, steps=steps))
        paths.append(write(run, "cpc/log.jsonl", {"rgb": [0.1, 0.2]}))
    assert curves(*paths)[0].steps == [15, 25]


@pytest.mark.parametrize(
    ("name", "text", "error", "message"),
    [
        ("nce/rgb.log.jsonl", "{}", ConfigError, "is not the log of a pretraining by its name"),
        ("stage1/log.jsonl", "{}", ConfigError, "is not the log of a pretraining by its name"),
        ("nce/log.jsonl", "", DatasetError, "it has no row"),
        ("nce/log.jsonl", "what\n", DatasetError, "it has no row"),
        ("nce/log.jsonl", '{"epoch": 1}\n', DatasetError, "no entry 'step'"),
        ("nce/log.jsonl", '{"epoch": 1, "step": 2, "neighbours/rgb": 3}\n', DatasetError, "from 0 to 1"),
        ("nce/log.jsonl", '{"epoch": 1, "step": 2, "neighbours/rgb": "x"}\n', DatasetError, "from 0 to 1"),
    ],
)
def test_other_files_get_a_sentence(
    tmp_path: Path, name: str, text: str, error: type[Exception], message: str
) -> None:
    write_text(tmp_path / name, text)
    with pytest.raises(error, match=message):
        read_log(tmp_path / name)


def drawn(path: Path) -> tuple[ElementTree.Element, list[str]]:
    """The figure, and its texts but those of the axes."""
    root = ElementTree.fromstring(path.read_text())
    return root, [text.text or "" for text in root.iter(f"{SVG}text") if text.get("class") != "tick"]


def points(element: ElementTree.Element) -> list[tuple[float, ...]]:
    return [tuple(map(float, pair.split(","))) for pair in element.get("points", "").split()]


def of_class(root: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    return (element for element in root.iter() if name in element.get("class", "").split())


def test_a_panel_per_view_with_a_line_per_pretraining(write: Write, tmp_path: Path) -> None:
    logs = []
    for run, more in (("", 0.0), ("seed1", 0.1)):
        logs.append(write(run, "stage1/rgb.log.jsonl", {"rgb": [0.2, 0.3]}))
        logs.append(write(run, "stage1/mask.log.jsonl", {"mask": [0.2, 0.3]}))
        both = {view: [0.3 + more, 0.5 + more, 0.6 + more] for view in ("rgb", "mask")}
        logs.append(write(run, "cocon/log.jsonl", both, chance=0.2 + more))
        logs.append(write(run, "nce/log.jsonl", {view: [0.3, 0.2 + more] for view in both}))
        logs.append(write(run, "cmc/log.jsonl", {"rgb": [None, None]}))
    write_figure(tmp_path / "a.svg", logs)
    root, texts = drawn(tmp_path / "a.svg")
    about = "means of 2 runs, band: standard deviation; grey: stage 1; dotted: chance, 25 %"
    assert texts == [
        "Same class among the 5 nearest videos",
        about,
        *("rgb", "cocon", "nce", "mask", "cocon", "nce"),
        "not measured (see probe_every): cmc",
    ]
    assert len(list(of_class(root, "line"))) == len(list(of_class(root, "band"))) == 2 * 3
    assert len(list(of_class(root, "chance"))) == 2
    # cocon of rgb: from 35 to 65 % over 20 steps, after the 10 of stage 1; a band of 7 points each way.
    of_cocon = list(of_class(root, "of-heat"))
    (x0, y0), (x1, y1), (x2, y2) = points(next(e for e in of_cocon if "line" in e.get("class", "")))
    (grey_x, _), (grey_end, _) = points(next(of_class(root, "of-quiet")))[:2]
    assert (x0, x1 - x0, x2 - x1) == pytest.approx([grey_end] + [grey_end - grey_x] * 2, abs=0.11)
    chance = float(next(of_class(root, "chance")).get("y1", ""))
    per_share = (chance - y2) / 0.4
    assert (chance - y0, chance - y1) == pytest.approx((0.1 * per_share, 0.3 * per_share), abs=0.11)
    edges = points(next(e for e in of_cocon if "band" in e.get("class", "")))
    assert edges[-1][1] - edges[0][1] == pytest.approx(2 * 0.005**0.5 * per_share, abs=0.21)


def test_single_runs_have_no_band_and_nothing_measured_is_a_sentence(write: Write, tmp_path: Path) -> None:
    one = write("", "nce/log.jsonl", {"rgb": [0.2, 0.3]})
    none = write("seed1", "nce/log.jsonl", {"rgb": [None, None]})
    write_figure(tmp_path / "a.svg", [one, none, one])
    root, texts = drawn(tmp_path / "a.svg")
    assert texts[1] == "one run each; dotted: chance, 25 %"
    assert texts[-1] == "not measured (see probe_every): nce (1 of 2 runs)"
    assert not list(of_class(root, "band"))
    assert write_figure(tmp_path / "a.svg", [none]) == []
    _, texts = drawn(tmp_path / "a.svg")
    assert texts[1:] == ["no run has been measured", "not measured (see probe_every): nce"]


def test_the_largest_figure_is_small_readable_and_the_same_each_time(write: Write, tmp_path: Path) -> None:
    """All presets, four views, three seeds, 300 measurements."""
    logs = []
    for seed in range(3):
        shares = {v: [0.3 + 0.001 * epoch + 0.01 * seed for epoch in range(300)] for v in "abcd"}
        views = {"rgb": shares["a"], "flow": shares["b"], "mask": shares["c"], "pose": shares["d"]}
        logs += [write(f"seed{seed}", f"stage1/{v}.log.jsonl", {v: s}) for v, s in views.items()]
        logs += [write(f"seed{seed}", f"{preset}/log.jsonl", views) for preset in PRESETS]
    write_figure(tmp_path / "a.svg", logs)
    text = (tmp_path / "a.svg").read_text()
    assert len(text) < 100_000
    assert "var(" not in text, "a viewer of pictures knows no variables"
    assert min(float(size) for size in re.findall(r"(?:font:|font-size:) *([\d.]+)px", text)) >= 12
    root, _ = drawn(tmp_path / "a.svg")
    names = [element.get("class", "") for element in of_class(root, "name")]
    assert len(set(names)) == len(PRESETS), "two presets of one colour"
    assert len(names) == 4 * len(PRESETS)
    write_figure(tmp_path / "b.svg", reversed(logs))
    assert (tmp_path / "b.svg").read_text() == text


def test_on_the_command_line(write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for run, more in (("", 0.0), ("seed1", 0.1)):
        for name in ("nce", "cmc"):
            write(run, f"{name}/log.jsonl", {"rgb": [0.3, 0.5 + more]})
    pattern = f"{tmp_path}/{{,seed1/}}pretrain/{{nce,cmc}}/log.jsonl"
    assert main(["curves", "--logs", pattern, "--output", str(tmp_path / "a.svg")]) == 0
    said = "30.0 to 55.0 ± 7.1 % of the nearest videos are of the same class"
    assert capsys.readouterr().out == f"rgb, cmc: {said}\nrgb, nce: {said}\n"
    missing = f"{tmp_path}/seed9/pretrain/nce/log.jsonl"
    assert main(["curves", "--logs", missing, "--output", str(tmp_path / "a.svg")]) == 2
    assert f"there is no log of a pretraining {missing}" in capsys.readouterr().err

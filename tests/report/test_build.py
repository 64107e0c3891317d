import argparse
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from cocon.commands import report as command
from cocon.errors import ConfigError
from cocon.report.build import render, write_report
from cocon.report.inputs import Inputs, load_inputs

SECTIONS = ("headline", "setup", "curves", "sheets", "confusion", "neighbours", "space", "relations",
            "alignment", "resources", "status")  # fmt: skip
VOID = {"meta", "img", "br", "input", "hr"}


class Page(HTMLParser):
    """All tags with their attributes; fails on tags that are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def ids(self, tag: str) -> list[str | None]:
        return [attributes.get("id") for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def html(inputs: Inputs) -> str:
    return render(inputs)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_every_section_is_there_in_order(page: Page) -> None:
    assert tuple(page.ids("section")) == SECTIONS
    anchors = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert anchors == [f"#{key}" for key in SECTIONS]


def test_nothing_is_fetched(html: str, page: Page) -> None:
    assert not re.search(r"https?:|//[a-z]+\.|@import|\bfetch\(", html)
    assert not {"link", "iframe", "object", "embed", "base"} & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        assert (attributes.get("src") or "data:").startswith("data:")
        assert (attributes.get("href") or "#").startswith("#")
    assert all(url.startswith("data:image/") for url in re.findall(r"url\(([^)]*)\)", html))
    policies = [a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policies[0].startswith("default-src 'none'")


def test_hostile_names_are_text(html: str, page: Page) -> None:
    assert "wave/&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<script>alert" not in html
    assert "&lt;moov atom not found&gt;" in html
    assert sum(tag == "script" for tag, _ in page.tags) == 1
    assert not [key for _, attributes in page.tags for key in attributes if key.startswith("on")]


def test_accuracies_sort_by_their_values(html: str, page: Page) -> None:
    sorts = [attributes["data-sort"] for tag, attributes in page.tags if attributes.get("class") == "sort"]
    assert set(sorts) == {"text", "number"}
    first = html[html.index('<table class="accuracies">') :]
    first = first[: first.index("</table>")]
    values = [
        float(value) for value in re.findall(r'class="number(?: best)?" data-value="([\d.]+)" title', first)
    ]
    shown = [float(value) for value in re.findall(r'<span class="value">([\d.]+)</span><small', first)]
    assert len(values) == 15
    assert [round(100 * value, 1) for value in values] == shown
    assert "±" in first


def test_an_empty_results_folder_gives_sentences(tmp_path: Path) -> None:
    html = render(load_inputs(tmp_path, title="nothing <yet>"))
    page = Page(html)
    assert tuple(page.ids("section")) == SECTIONS
    assert "nothing &lt;yet&gt;" in html
    parts = re.split(r'<section id="', html)[1:]
    assert len(parts) == len(SECTIONS)
    for part in parts:
        assert re.search(r'<p class="missing">[A-Z][^<]+\.</p>', part), part[:300]


@pytest.mark.parametrize(
    "paths",
    [
        ("manifest.csv", "pretrain/cocon/log.jsonl", "benchmarks/index.tsv", "shards/flow/00000.h5"),
        ("summary.json", "evaluation/cocon/rgb/retrieval_split1.npz", "pretrain/cocon/rgb.safetensors"),
        ("shards/rgb/00000.h5", "evaluation/cocon/rgb/linear_split1.npz", "pretrain/stage1/rgb.log.jsonl"),
    ],
)
def test_damaged_files_cost_their_part_only(paths: tuple[str, ...], results: Path, tmp_path: Path) -> None:
    shutil.copytree(results, tmp_path / "fake")
    for path in paths:
        damaged = tmp_path / "fake" / path
        damaged.write_bytes(damaged.read_bytes()[:17])
    html = render(load_inputs(tmp_path / "fake"))
    assert tuple(Page(html).ids("section")) == SECTIONS
    assert 'class="missing"' in html
    assert 'class="queries"' in html


def test_views_that_are_not_asked_for_are_left_out(results: Path) -> None:
    html = render(load_inputs(results, views=["flow"]))
    names = set(re.findall(r'<span class="strip-name">(\w+)', html))
    assert names == {"flow"}


def test_a_name_that_is_not_utf8_does_not_stop_the_report(tmp_path: Path) -> None:
    inputs = load_inputs(tmp_path, title="odd \udcff name")
    write_report(inputs, tmp_path / "report.html")
    assert "odd ? name" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("as_program")
def test_the_command_writes_the_file(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    output = tmp_path / "deep" / "report.html"
    command.run(parser.parse_args(["--results", str(results), "--title", "Demo", "--output", str(output)]))
    assert "<h1>Demo</h1>" in output.read_text(encoding="utf-8")
    assert str(output) in capsys.readouterr().err
    assert [path.name for path in output.parent.iterdir()] == ["report.html"]


def test_the_command_wants_a_folder_of_results(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    with pytest.raises(ConfigError, match="no folder"):
        command.run(parser.parse_args(["--results", str(tmp_path / "none")]))


def browse(html: str, folder: Path) -> tuple[str, str, set[str]]:
    """The document after its script ran in Chromium, the console's messages, and what else was asked for."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("Chromium is not installed")
    page = folder / "page.html"
    page.write_text(html, encoding="utf-8")
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         f"--user-data-dir={folder / 'profile'}", f"--log-net-log={folder / 'net.json'}",
         "--enable-logging=stderr", "--virtual-time-budget=2000", "--dump-dom", page.as_uri()],
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    events = json.loads((folder / "net.json").read_text())["events"]
    started = [event["params"] for event in events if "initiator" in event.get("params", {})]
    # Chromium itself asks for updates; such a request has no page that it comes from.
    asked = {params["url"] for params in started if params["initiator"] != "not an origin"}
    console = "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)
    return done.stdout, console, {url for url in asked if not url.startswith("data:")} - {page.as_uri()}


def test_the_script_runs_under_its_policy_and_asks_for_nothing(html: str, tmp_path: Path) -> None:
    document, console, asked = browse(html, tmp_path)
    assert console == ""
    assert asked == set()
    assert 'class="tabs live"' in document
    assert 'id="confusion-2" aria-labelledby="confusion-tab-2" hidden' in document


def test_a_request_would_be_noticed(tmp_path: Path) -> None:
    _, _, asked = browse('<img src="http://127.0.0.1:9/picture.png">', tmp_path)
    assert asked == {"http://127.0.0.1:9/picture.png"}


def clicked(html: str, clicks: str, folder: Path) -> str:
    """The document after ``clicks``, a script of the test's own."""
    unlocked = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", html)
    document, console, asked = browse(
        unlocked.replace("</body>", f"<script>{clicks}</script></body>"), folder
    )
    assert console == ""
    assert asked == set()
    return document


def test_clicks_sort_enlarge_and_change_tabs(html: str, tmp_path: Path) -> None:
    document = clicked(
        html,
        """
        document.querySelectorAll(".accuracies .sort")[1].click();
        document.querySelectorAll(".shot")[2].click();
        document.querySelector("#enlarged [data-step='1']").click();
        document.getElementById("confusion-tab-2").click();
        """,
        tmp_path,
    )
    table = document[document.index('<table class="accuracies">') :]
    column = [
        float(v) for v in re.findall(r'<tr>\s*<th scope="row"[^>]*>.*?data-value="([\d.]+)"', table, re.S)[:3]
    ]
    assert column == sorted(column, reverse=True)
    assert 'aria-sort="descending"' in table
    dialog = document[document.index('<dialog id="enlarged"') :]
    assert re.match(r"<dialog[^>]* open", dialog)
    assert dialog[: dialog.index("</dialog>")].count("<img") == 4
    assert "box/box_s04 · frame 4" in dialog
    assert re.search(r'id="confusion-1"[^>]* hidden', document)
    assert not re.search(r'id="confusion-2"[^>]* hidden', document)


def test_a_class_of_the_maps_is_lit_and_a_drawing_enlarged(html: str, tmp_path: Path) -> None:
    document = clicked(
        html,
        """
        document.querySelector(".choice[data-class='jump']").click();
        document.querySelector(".heatmaps .enlarge").click();
        """,
        tmp_path,
    )
    faint = re.findall(r'<path class="cloud class-\d faint" data-class="(\w+)"', document)
    assert sorted(set(faint)) == ["box", "walk", "wave"]
    assert len(faint) == 3 * 5
    assert re.findall(r'data-class="(\w+)" aria-pressed="true"', document) == ["jump"]
    dialog = document[document.index('<dialog id="enlarged"') :]
    dialog = dialog[: dialog.index("</dialog>")]
    assert re.match(r'<dialog[^>]* class="drawing"', dialog)
    assert '<svg class="heatmap"' in dialog
    assert "Cosines of blocks, rgb: rows box/box_s04, columns box/box_s05" in dialog

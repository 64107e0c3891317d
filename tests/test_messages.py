from __future__ import annotations

import argparse
import ast
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import Dataset

import cocon.cli
import view_extractors.cli
from cocon import messages
from cocon.data.loader import Loader
from cocon.machine.launch import Layout, step
from cocon.renderer.progress import progress_of
from cocon.workers import worker_pool

ROOT = Path(__file__).parents[1]
QUIETLY, USUALLY, VERBOSELY = "-q", "", "-v"
DETAIL = re.compile(r"\d\d:\d\d:\d\d (cocon|view_extractors)\.[\w.]+( \(\S+\))?: ")
SETTINGS = "{kind: folder, recipe: r, shards: 1, videos: v, table: table.csv}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two videos in a table, neither of which can be decoded."""
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "a.mp4").write_bytes(b"no video")
    (tmp_path / "table.csv").write_text("video,label,split\na.mp4,walk,train\ngone.mp4,run,test\n")
    (tmp_path / "config.yaml").write_text(f"datasets: {{mine: {SETTINGS}}}\nrecipes: {{r: {{}}}}\n")
    return tmp_path


def run(folder: Path, *arguments: str) -> tuple[int, list[str], list[str], list[str]]:
    """Exit status, lines on standard output, and those on standard error: messages and details."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", *(argument for argument in arguments if argument)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)
    told = done.stderr.splitlines()
    details = [line for line in told if DETAIL.match(line)]
    return done.returncode, done.stdout.splitlines(), [line for line in told if line not in details], details


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("option", [QUIETLY, USUALLY, VERBOSELY])
def test_a_command_that_writes_a_file_prints_nothing(folder: Path, option: str, place: str) -> None:
    words = [option, "index"] if place == "before" else ["index", option]
    status, printed, told, details = run(folder, "cocon", *words, "--settings", SETTINGS, "--output", "m.csv")
    assert (status, printed) == (0, [])
    assert told == ([] if option == QUIETLY else ["m.csv: 2 videos, 2 classes"])
    assert (folder / "m.csv").exists()
    if option == VERBOSELY:
        first, *others = [DETAIL.sub("", line, count=1) for line in details]
        assert re.match(r"cocon \S+, Python \S+: .*\bindex\b.* --output m.csv$", first)
        assert "wrote m.csv" in others
        assert others[-1].startswith("done in ")
    else:
        assert details == []


def test_results_are_printed_whatever_is_chosen(folder: Path) -> None:
    printed = {}
    for option in (QUIETLY, USUALLY, VERBOSELY):
        status, printed[option], told, details = run(folder, "cocon", "data", "check", "mine", option)
        assert status == 2
        error = [line for line in told if not line.startswith("read ")]
        assert error[0].startswith("cocon data: "), "errors are shown at every level"
        assert told[: len(told) - len(error)] == (
            [] if option == QUIETLY else ["read 1 of 2 videos", "read 2 of 2 videos"]
        )
        assert bool(details) == (option == VERBOSELY)
    assert any("gone.mp4" in line for line in printed[USUALLY])
    assert printed[QUIETLY] == printed[USUALLY] == printed[VERBOSELY]


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("option", [QUIETLY, USUALLY, VERBOSELY])
def test_a_skipped_video_is_a_warning(folder: Path, option: str, place: str) -> None:
    words = [option, "rgb"] if place == "before" else ["rgb", option]
    arguments = ["v/a.mp4", "--output", "x.h5", "--max-failed-fraction", "1", "--threads", "1"]
    status, printed, told, details = run(folder, "view_extractors", *words, *arguments)
    assert (status, printed) == (0, [])
    assert told[0].startswith("warning: [1/1] a: 0 frames, SKIPPED (cannot be opened as a video")
    assert len(told) == 1 if option == QUIETLY else told[1].startswith("0 ok, 0 repaired, 1 skipped")
    modules = {line.split()[1] for line in details}
    expected = {"view_extractors.pipeline.run:", "view_extractors.pipeline.stages:", "cocon.files:"}
    assert modules >= expected if option == VERBOSELY else not modules


@pytest.mark.parametrize("main", [cocon.cli.main, view_extractors.cli.main])
def test_not_both(main: Callable[[list[str]], int], capsys: pytest.CaptureFixture[str]) -> None:
    command = "index" if main is cocon.cli.main else "backends"
    with pytest.raises(SystemExit):
        main([command, "-v", "-q"])
    assert "-q/--quiet: not allowed with argument -v/--verbose" in capsys.readouterr().err


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from parsers(inner)


def test_every_command_has_the_options() -> None:
    found = [*parsers(cocon.cli.build_parser(None)), *parsers(view_extractors.cli._parser())]
    assert len(found) > len(cocon.cli.COMMANDS) + 5
    for parser in found:
        assert {"-v", "--verbose", "-q", "--quiet"} <= parser._option_string_actions.keys(), parser.prog


def state() -> list[tuple[Any, ...]]:
    names = (None, "cocon", "view_extractors")
    loggers = [logging.getLogger(name) for name in names]
    return [(logger.level, logger.propagate, list(logger.handlers)) for logger in loggers]


def test_a_program_called_from_python_leaves_logging_as_it_was(folder: Path) -> None:
    before = state()
    settings = ["--settings", SETTINGS.replace("v,", f"{folder}/v,").replace("table.", f"{folder}/table.")]
    assert cocon.cli.main(["index", "-v", *settings, "--output", str(folder / "m.csv")]) == 0
    assert state() == before
    assert cocon.cli.main(["index", "-q", "--settings", "{}", "--output", str(folder / "m.csv")]) == 2
    assert state() == before


def test_where_a_package_sets_up_the_root_logger_nothing_is_shown_twice(folder: Path) -> None:
    code = "import logging, sys; from cocon.cli import main; logging.basicConfig(level=20); sys.exit(main())"
    command = [sys.executable, "-c", code, "index", "--settings", SETTINGS, "--output", "m.csv"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)
    assert done.stderr == "m.csv: 2 videos, 2 classes\n"


def test_names_in_messages_are_shown_and_not_executed(capsys: pytest.CaptureFixture[str]) -> None:
    with messages.of_command(argparse.Namespace(), "a test", []):
        logging.getLogger("cocon.x").info("%s", "\x1b]0;owned\x07")
        logging.getLogger("view_extractors.x").warning("%s", "\udcff")
        logging.getLogger("another.x").info("not ours")
    assert capsys.readouterr().err == "\\x1b]0;owned\\x07\nwarning: \\xff\n"


@pytest.mark.parametrize(("level", "shown"), [(logging.INFO, True), (logging.WARNING, False)])
def test_bars_and_messages_between_them(
    level: int, shown: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with messages.of_command(argparse.Namespace(message_level=level), "a test", []):
        for _ in progress_of(iter("ab"), 2, 2):
            logging.getLogger("cocon.x").warning("between")
    written = capsys.readouterr().err
    assert ("rendering clips" in written) == shown
    assert written.count("warning: between\n") == 2
    assert not re.search(r"clips[^\r]*warning", written), "the bar is taken away before"


def test_no_bar_without_a_terminal_but_lines(as_program: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress_of(iter("ab"), 2, 2)) == ["a", "b"]
    assert capsys.readouterr().err == "rendered 1 of 2 clips\nrendered 2 of 2 clips\n"


class Items(Dataset[int]):
    def __getitem__(self, key: int) -> int:
        logging.getLogger("cocon.x").info("info 0")
        logging.getLogger("cocon.x").debug("detail 0")
        return key

    def __len__(self) -> int:
        return 1


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO, logging.WARNING])
@pytest.mark.parametrize("kind", ["pool", "loader"])
def test_worker_processes_show_as_much(level: int, kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    with messages.of_command(argparse.Namespace(message_level=level), "a test", []):
        if kind == "pool":
            with worker_pool(1) as pool:
                log = logging.getLogger(
                    "cocon.x"
                )  # the workers get no function of this module: it imports torch
                pool.submit(log.info, "info 0").result()
                pool.submit(log.debug, "detail 0").result()
        else:
            assert len(list(Loader(Items(), workers=1))) == 1
    lines = capfd.readouterr().err.splitlines()
    assert ("info 0" in lines) == (level <= logging.INFO)
    details = [line for line in lines if re.search(r" cocon\.x \(\S*Process-\S+\): detail 0$", line)]
    assert len(details) == (level == logging.DEBUG)
    begun = [line for line in lines if re.search(r"(started as|worker 0 is) process \d+$", line)]
    assert len(begun) == (level == logging.DEBUG)


@pytest.mark.parametrize(
    ("level", "options"),
    [
        (logging.NOTSET, []),
        (logging.DEBUG, ["--verbose"]),
        (logging.INFO, []),
        (logging.WARNING, ["--quiet"]),
    ],
)
def test_other_programs_are_given_the_same_option(
    level: int, options: list[str], as_program: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    logging.getLogger("cocon").setLevel(level)
    assert messages.as_options() == options
    line = step(Layout(), "7", ["my", "command"])
    assert line[line.index("cocon") + 1 :] == ["rank", *options, "--gpus", "0", "--", "my", "command"]


def test_what_a_caller_asks_for_goes_where_logging_is_set_up(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    log = logging.getLogger("cocon.x")
    messages.report(log, "100% printed")
    assert (caplog.messages, capsys.readouterr().err) == ([], "100% printed\n")
    with caplog.at_level(logging.INFO):
        messages.report(log, "100% logged")
    assert (caplog.messages, capsys.readouterr().err) == (["100% logged"], "")
    with messages.of_command(argparse.Namespace(message_level=logging.WARNING), "a test", []):
        messages.report(log, "not wanted")
    assert capsys.readouterr().err == ""


# ------------------------------------------------------------------------------------ of the source

#: where results are printed, beside the commands
PRINTS = {
    "cocon/datasets/check.py",
    "view_extractors/cli.py",
    "view_extractors/pipeline/estimate.py",
    "view_extractors/scoring/comparison.py",
}
#: errors of a whole program, and messages
WRITES_ERRORS = {"cocon/boundary.py", "cocon/messages.py"}


def calls(text: str) -> Iterator[ast.Call]:
    return (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))


def faults(name: str, text: str) -> list[str]:
    """What a module does that it should leave to others."""
    found = []
    for call in calls(text):
        called, keywords = ast.unparse(call.func), {each.arg for each in call.keywords}
        written = f"{name}:{call.lineno} {called}"
        if called == "print" and name != "cocon/terminal.py":
            found.append(f"{written}: use say or logging")
        if called == "say" and "file" in keywords and name not in WRITES_ERRORS:
            found.append(f"{written} with file: use logging")
        prints = name in PRINTS | WRITES_ERRORS or name.startswith("cocon/commands/")
        if called == "say" and not prints:
            found.append(f"{written}: use logging")
        if called.endswith((".stderr.write", ".stdout.write", "tqdm.write", "basicConfig", "warnings.warn")):
            found.append(f"{written}: use logging")
        if called.startswith("logging.") and called.rpartition(".")[2] in (
            *("debug", "info", "warning", "error", "exception", "critical", "log"),
        ):
            found.append(f"{written} logs to the root logger")
        if called == "logging.getLogger" and name != "cocon/messages.py":
            given = [ast.unparse(argument) for argument in call.args]
            if given != ["__name__"]:
                found.append(f"{written}({', '.join(given)}): a logger has the name of its module")
    return found


def test_modules_log_and_only_commands_print(repository: Path) -> None:
    """Nothing but ``say`` and its callers write: a name of a file or a video may be in any line."""
    found = []
    for package in ("cocon", "view_extractors"):
        for path in sorted((repository / package).rglob("*.py")):
            name = path.relative_to(repository).as_posix()
            found += faults(name, path.read_text())
    assert found == []


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("print('x', file=sys.stderr)", "print: use say or logging"),
        ("say('x', file=sys.stderr)", "say with file: use logging"),
        ("say('x')", "say: use logging"),
        ("sys.stderr.write('x')", "sys.stderr.write: use logging"),
        ("logging.warning('x')", "logging.warning logs to the root logger"),
        ("logging.basicConfig()", "logging.basicConfig: use logging"),
        ("log = logging.getLogger()", "logging.getLogger(): a logger has the name of its module"),
    ],
)
def test_such_a_line_is_found(line: str, fault: str) -> None:
    assert f"cocon/models/x.py:1 {fault}" in faults("cocon/models/x.py", line)

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cocon.boundary import EXIT_STATUS, explain, run
from cocon.cli import main
from cocon.errors import CoConError
from cocon.shards import ShardWriter
from view_extractors.cli import main as extractors

ROOT = Path(__file__).parents[1]


def fails_with(error: BaseException) -> int:
    def command() -> None:
        raise error

    return run(command, "cocon test")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(errno.ENOSPC, "x", "a.h5"), "a.h5 cannot be written: No space left on device"),
        (OSError(errno.EDQUOT, "x", "a.h5"), "a.h5 cannot be written: Disk quota exceeded"),
        (OSError(errno.EFBIG, "x", b"a\xff.h5"), r"a\xff.h5 cannot be written: File too large"),
        (OSError(errno.ENOSPC, "x"), "a file cannot be written: No space left on device"),
        (OSError(errno.EROFS, "Read-only file system", "r"), "r: Read-only file system"),
        (PermissionError(errno.EACCES, "Permission denied", Path("m.csv")), "m.csv: Permission denied"),
        (FileNotFoundError(errno.ENOENT, "No such file", "m.csv"), "m.csv: No such file"),
        (OSError(errno.EXDEV, "Invalid link", "a", None, "b"), "a -> b: Invalid link"),
        (OSError(errno.EMFILE, "Too many open files"), "a file: Too many open files"),
        (MemoryError(), "not enough memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "not enough memory"),
        (RuntimeError("inline_container.cc . unexpected pos 1 vs 0"), "a file cannot be written: No space"),
        (CoConError("\x1b[2Jfile\nis bad"), "\\x1b[2Jfile\nis bad"),
    ],
)
def test_what_a_user_can_mend_is_a_sentence(
    error: Exception, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fails_with(error) == 2
    assert capsys.readouterr().err.startswith(f"cocon test: {line}")


@pytest.mark.parametrize("error", [ValueError("x"), OSError("x"), RuntimeError("x"), BrokenPipeError("x")])
def test_a_bug_keeps_its_traceback(error: Exception) -> None:
    with pytest.raises(type(error), match="x"):
        fails_with(error)
    assert explain(error) is None


def test_a_traceback_is_shown_and_not_executed() -> None:
    code = "import cocon.boundary as b; b.run(lambda: {}['\\x1b[2J\\udcff'], 'test')"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.startswith("Traceback (most recent call last):\n")
    assert result.stderr.splitlines()[-1] == r"KeyError: '\x1b[2J\udcff'"
    code = "import cocon.boundary as b; b.run(lambda: exec('raise ValueError(chr(27))'), 'test')"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stderr.splitlines()[-1] == r"ValueError: \x1b"


def test_memory_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    told = explain(torch.OutOfMemoryError("CUDA out of memory"))
    assert told is not None
    assert told.hint.startswith("use smaller batches")


def test_an_error_has_its_own_status_and_notes(capsys: pytest.CaptureFixture[str]) -> None:
    error = CoConError("stopped", "run it again")
    error.exit_code = 75
    error.add_note("of video 'x'")
    assert fails_with(error) == 75
    assert capsys.readouterr().err == "cocon test: stopped\n  hint: run it again\n  of video 'x'\n"


@pytest.mark.parametrize(
    ("number", "status", "name"), [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")]
)
def test_a_signal_is_one_line(
    number: signal.Signals, status: int, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(number)
    assert run(lambda: signal.raise_signal(number), "cocon test") == status
    assert capsys.readouterr().err == f"stopped by {name}\n"
    assert signal.getsignal(number) is before
    assert fails_with(KeyboardInterrupt()) == 130


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert run(lambda: signal.raise_signal(signal.SIGINT), "cocon test") == 0
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    """A shard whose skipped video has escape sequences and a byte that is no UTF-8 in its name."""
    path = tmp_path / "x\x1b[31m.h5"
    names = ["\x1b]0;owned\x07\nx", os.fsdecode(b"bad\xff"), "läuft"]
    with ShardWriter(path, view="rgb", video_ids=names, parameters={"a": "\x1b[2J"}, codec="jpeg") as writer:
        for name in names:
            writer.skip(name, f"no such file: {name}")
        writer.finish(max_failed_fraction=1)
    return path


@pytest.mark.parametrize(
    "arguments", [["info"], ["info", "--json"], ["show", "--status"], ["verify"]], ids=" ".join
)
def test_names_are_shown_and_not_executed(
    shard: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    action, *options = arguments
    assert main(["shards", action, str(shard), *options]) == 0
    out = capsys.readouterr().out
    assert out.isprintable() or set(filter(lambda c: not c.isprintable(), out)) == {"\n"}
    if action == "show":
        assert len(out.splitlines()) == 4
        assert r"\x1b]0;owned\x07\nx" in out
        assert r"bad\xff" in out
        assert "läuft" in out
    capsys.readouterr()
    assert main(["shards", "verify", f"{shard}\x1b[1m"]) == 2
    told = capsys.readouterr()
    assert "\x1b" not in told.out + told.err


def test_wrong_arguments_are_shown_and_not_executed(capsys: pytest.CaptureFixture[str]) -> None:
    for program, command in (
        (main, ["shards", "info", "x.h5", "--\x1b[2J"]),
        (extractors, ["backends", "\x1b[2J"]),
    ):
        with pytest.raises(SystemExit):
            program(command)
        error = capsys.readouterr().err
        assert r"\x1b[2J" in error
        assert "\x1b" not in error


def in_shell(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"], capture_output=True, text=True, env=environment
    )


def test_nobody_reads_the_output(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    long = {str(number): "long " * 100 for number in range(50)}
    with ShardWriter(path, view="rgb", video_ids=[], parameters=long, codec="jpeg") as writer:
        writer.finish()
    for end, status in (("| head -1", 141), ("2>&1 | head -1", 141), (">/dev/full", 2), (">&-", 0)):
        result = in_shell(f"'{sys.executable}' -m cocon shards info {f'{path} ' * 20}{end}")
        assert result.returncode == status, (end, result.stderr)
        told = "cocon shards: standard output cannot be written: No space left on device"
        assert (told in result.stderr) == (status == 2), end
        assert "Traceback" not in result.stderr
        assert "Exception ignored" not in result.stderr


def test_both_programs_document_every_status(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert EXIT_STATUS in capsys.readouterr().out
    assert in_shell(f"'{sys.executable}' -m cocon --help | head -c 1").stderr == ""
    page = (ROOT / "docs" / "commands.md").read_text()
    for line in EXIT_STATUS.splitlines()[1:]:
        assert f"| {line.split()[0]} |" in page


def test_the_boundary_is_light() -> None:
    code = "import sys, cocon.boundary; print([m for m in ('torch', 'h5py', 'numpy') if m in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert result.stdout.strip() == "[]"

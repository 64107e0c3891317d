from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from cocon.messages import of_command

REPOSITORY = Path(__file__).parent.parent


def pytest_configure() -> None:
    """Ctrl-C interrupts, also where a shell started the tests in its background, with SIGINT ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole workflows first: they take minutes, and other files fill the other processes meanwhile."""
    items.sort(key=lambda item: item.get_closest_marker("e2e") is None)


# Read when Triton is imported, which torchvision does: without a GPU its kernels run in its interpreter.
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture
def as_program(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Messages are shown, as while a command runs."""
    with of_command(argparse.Namespace(), "a test", []):
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real clips (clips/<data set>/<class>/*) and official split lists (splits/<data set>/*)."""
    path = Path(os.environ.get("COCON_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (path / "clips").is_dir():
        pytest.skip(f"no real clips in {path}; COCON_SHARED_DATA can name another folder")
    return path

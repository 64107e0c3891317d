"""Arguments that several commands share, and their conversion."""

from __future__ import annotations

import argparse
import os

from cocon.config.load import parse_settings
from cocon.errors import CoConError
from view_extractors.base import Extractor, Resources
from view_extractors.registry import backends_of, extractor_class, section_of


def available_cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))


def add_machine_arguments(parser: argparse.ArgumentParser, threads: bool = True) -> None:
    """Add ``--device``, ``--batch-size`` and, with ``threads``, ``--threads`` (otherwise 1)."""
    add = parser.add_argument_group("machine").add_argument
    if threads:
        add(
            "--threads",
            type=int,
            default=available_cores(),
            metavar="N",
            help="CPU threads of the network; decoding and writing have their own threads, but with 1 the "
            "stages take turns on one core, unless the network is on a GPU (default: all cores, %(default)s)",
        )
    else:
        parser.set_defaults(threads=1)
    add(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="device of the networks; auto (the default): a GPU if there is one",
    )
    add(
        "--batch-size",
        type=int,
        metavar="B",
        help="frames that a network processes at once (default: 64 on a GPU, else 16); fewer if frames are "
        "large, and halved if the GPU's memory is too small",
    )


def resources_of(options: argparse.Namespace) -> Resources:
    """Threads and device; a number below 1 is an error."""
    for name in ("threads", "batch_size"):
        if getattr(options, name) is not None and getattr(options, name) < 1:
            raise CoConError(f"--{name.replace('_', '-')} must be at least 1")
    return Resources(options.threads, options.device)


def extractor_of(view: str, settings: str) -> Extractor:
    """The extractor of a view with the settings given on the command line."""
    backends_of(view)  # raises an error for an unknown view
    section = parse_settings(settings, section_of(view))
    return extractor_class(view, getattr(section, "backend", None))(section)

"""Extracts views of videos with the settings of an encoder's training shards.

The extractors are a separate program: it runs in another process, if needed with another Python.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cocon import messages
from cocon.config.load import dump_settings
from cocon.config.schema import Extraction, ViewExtraction
from cocon.errors import CheckpointError, ShardError
from cocon.files import write_csv
from cocon.loading import in_short
from cocon.shards import ShardSet
from cocon.shards.parameters import VERSIONS, differences
from cocon.versions import extraction_version

log = logging.getLogger(__name__)
_CODE = Path(__file__).parents[2]


@dataclass(frozen=True)
class Machine:
    """The resources of the extraction.

    Attributes:
        device: where networks run: ``auto``, ``cpu`` or ``cuda``.
        threads: of the CPU; None: all.
        interpreters: Python interpreter by name of the backend, if not this one.
        quiet: print nothing unless something fails.
    """

    device: str = "auto"
    threads: int | None = None
    interpreters: Mapping[str, Path] = field(default_factory=dict)
    quiet: bool = False


def settings_of(view: str, parameters: Mapping[str, Any]) -> str:
    """The extraction settings, as JSON, that reproduce shards with these ``parameters``.

    Raises:
        CheckpointError: the parameters have a setting or a backend version that this program lacks.
    """
    section = Extraction.model_fields[view].annotation
    assert isinstance(section, type)
    assert issubclass(section, ViewExtraction)
    names = {entry.alias or name for name, entry in section.model_fields.items()}
    try:
        settings = section.model_validate({key: parameters[key] for key in names & parameters.keys()})
    except ValidationError as error:
        raise CheckpointError(
            f"the extraction of {view} has unknown settings: {in_short(error)}",
            "use the version of cocon that it was extracted with, or extract it again",
        ) from error
    if "short_side" not in parameters:  # which every view has; other keys may be newer than the shards
        raise CheckpointError(
            f"the extraction settings of {view} are incomplete: short_side is missing",
            "extract it again with this version",
        )
    backend = getattr(settings, "backend", "")
    version = extraction_version(view, backend)
    if parameters.get("version", 1) != version:
        raise CheckpointError(
            f"{view} was extracted with version {parameters.get('version', 1)} of {backend or view}, "
            f"this is version {version}",
            "use the version of cocon that it was extracted with, or extract it again",
        )
    return dump_settings(settings)


@contextlib.contextmanager
def extracted(
    videos: Mapping[str, Path], parameters: Mapping[str, Mapping[str, Any]], machine: Machine
) -> Iterator[dict[str, ShardSet]]:
    """Extract views into a temporary folder, which lives as long as the context.

    Args:
        videos: path of every video by its id.
        parameters: those of the shards that the encoder was trained on, by view.
        machine: device, threads and interpreters.

    Yields:
        The shards by view, with a row for every video; one that cannot be decoded is skipped.

    Raises:
        ShardError: the extraction failed as a whole.
        CheckpointError: its result is not what the encoder was trained on (settings, weights).
    """
    with tempfile.TemporaryDirectory(prefix="cocon-embed-") as temporary:
        folder = Path(temporary)
        manifest = folder / "manifest.csv"
        write_csv(manifest, [{"id": key, "path": path} for key, path in videos.items()], ["id", "path"])
        for python, views in _passes(parameters, machine).items():
            _run(python, manifest, {view: parameters[view] for view in views}, machine)
        shards = {view: ShardSet([folder / f"{view}.h5"]) for view in parameters}
        for view, shard_set in shards.items():
            _compare(view, parameters[view], shard_set.shards[0].parameters)
        yield shards


def _passes(parameters: Mapping[str, Mapping[str, Any]], machine: Machine) -> dict[str, list[str]]:
    """The views by the Python that extracts them; those of one Python decode the videos once."""
    passes: dict[str, list[str]] = {}
    for view, known in parameters.items():
        python = machine.interpreters.get(str(known.get("backend")), sys.executable)
        passes.setdefault(str(python), []).append(view)
    return passes


def _run(python: str, manifest: Path, parameters: Mapping[str, Mapping[str, Any]], machine: Machine) -> None:
    settings = {view: settings_of(view, known) for view, known in parameters.items()}
    first, *others = settings
    command = [python, "-m", "view_extractors", *messages.as_options(), first, "--manifest", str(manifest)]
    command += ["--output", str(manifest.with_name(f"{first}.h5")), "--settings", settings[first]]
    for view in others:
        command += ["--also", view, str(manifest.with_name(f"{view}.h5"))]
        command += ["--also-settings", view, settings[view]]
    command += ["--max-failed-fraction", "1", "--device", machine.device]
    if machine.threads is not None:
        command += ["--threads", str(machine.threads)]
    log.debug("running %s", shlex.join(command))
    quietly = subprocess.PIPE if machine.quiet else None
    try:
        result = subprocess.run(
            command, env=_environment(), stderr=quietly, text=True, errors="replace", check=False
        )
    except OSError as error:
        raise ShardError(f"{python} cannot be started: {error.strerror}") from error
    if result.returncode:
        told = (result.stderr or "").strip().splitlines()[-10:] or ["its message stands above"]
        raise ShardError(
            f"the extraction of {', '.join(settings)} ended with exit status {result.returncode}: "
            + "\n    ".join(told)
        )


def _environment() -> dict[str, str]:
    """The environment of the process; lets another Python find a checkout of this project."""
    if _CODE.name in ("site-packages", "dist-packages"):
        return dict(os.environ)
    path = os.pathsep.join(filter(None, [str(_CODE), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path}


def _compare(view: str, expected: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    different = differences({k: v for k, v in expected.items() if k not in VERSIONS}, found)
    if different:
        listed = "".join(f"\n    {key}: {change}" for key, change in different.items())
        raise CheckpointError(
            f"this version extracts {view} differently than for the training of the encoder:{listed}",
            "use the version of cocon that the encoder was trained with",
        )

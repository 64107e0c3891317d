"""The header of results that compare the test videos of one split in several views."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cocon.files import write_json
from cocon.loading import as_type


@dataclass(frozen=True)
class Compared:
    """The compared data.

    Attributes:
        dataset: its name.
        pretraining: what the encoders of all views were trained with.
        split: whose test videos.
        seed: of the encoders.
    """

    dataset: str
    pretraining: str
    split: str
    seed: int

    def write(self, path: Path, found: Mapping[str, Any]) -> None:
        """Write the header and the results as one JSON object."""
        write_json(path, asdict(self) | dict(found))


def check_head(document: Mapping[str, Any]) -> None:
    """The header of what :meth:`Compared.write` wrote; for use within :func:`cocon.loading.reading`.

    Raises:
        ValueError: it is something else.
        KeyError: an entry is missing.
    """
    for key, kind in (("pretraining", str), ("split", str), ("seed", int)):
        as_type(kind, document[key])

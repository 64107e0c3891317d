"""How documents are serialised and identified."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from cocon.config.selection import Document
from cocon.versions import STAGES


def canonical(document: Mapping[str, Any]) -> str:
    """A document as JSON that is equal for equal documents."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def fingerprint_of(document: Mapping[str, Any]) -> str:
    """16 hexadecimal digits that identify a document."""
    return hashlib.sha256(canonical(document).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def of_stage(stage: str, settings: Document | None = None) -> Document:
    """A result that depends on the version of its stage, some settings, and files."""
    return {"version": STAGES[stage], "settings": settings or {}}

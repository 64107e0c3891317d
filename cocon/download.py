"""Downloads pinned files; resumes broken connections and verifies size and hash."""

from __future__ import annotations

import logging
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from cocon.errors import AssetError
from cocon.files import full_disk_named, no_room, sha256_of
from cocon.versions import __version__

log = logging.getLogger(__name__)

#: seconds without a byte after which a connection counts as broken
TIMEOUT = 60
#: attempts in a row without a new byte before an address is given up
ATTEMPTS = 4
#: seconds before the second attempt; doubled for each further one
PAUSE = 2.0


class RefusedError(AssetError):
    """The server responds but does not have the file: a retry would not help."""


@dataclass(frozen=True)
class Pin:
    """The expected size and hash of a file.

    Attributes:
        size: bytes; 0 if it was not published.
        sha256: hexadecimal; empty if it was not published.
    """

    size: int = 0
    sha256: str = ""

    def fault(self, path: Path) -> str:
        """The mismatch of a file; empty if there is none."""
        if self.size and path.stat().st_size != self.size:
            return f"it has {path.stat().st_size:,} bytes, not {self.size:,}"
        found = sha256_of(path) if self.sha256 else ""
        return f"its sha256 is {found}, not {self.sha256}" if found != self.sha256 else ""


def fetch_rest(url: str, partial: Path, size: int = 0) -> None:
    """Get the bytes of ``url`` that ``partial`` lacks, in one attempt.

    A server that cannot resume sends the file from its start, which then replaces what was there.

    Args:
        url: of the whole file.
        partial: what earlier attempts got; need not exist.
        size: bytes of the whole file; 0 if unknown. A file of another size is refused before it is read.

    Raises:
        RefusedError: the server does not have this file.
        AssetError: it cannot be reached, or the connection broke; what came is kept.
        OSError: the disk is full; what came is kept.
    """
    have = partial.stat().st_size if partial.exists() else 0
    headers = {"User-Agent": f"cocon/{__version__}"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT) as answer:
            resumed = answer.status == 206
            length = answer.headers.get("Content-Length")
            expected = int(length) + have * resumed if length else None
            log.debug("%s: status %d, %s bytes to come after %d", url, answer.status, length, have * resumed)
            if size and expected and expected != size:
                raise RefusedError(f"{url} has {expected:,} bytes, not {size:,}")
            with full_disk_named(partial), partial.open("ab" if resumed else "wb") as sink:
                shutil.copyfileobj(answer, sink, 1 << 20)
                sink.flush()
                os.fsync(sink.fileno())
    except (OSError, HTTPException) as error:
        if no_room(error):
            raise
        status = error.code if isinstance(error, urllib.error.HTTPError) else 0
        if status == 416:
            # The server has no further bytes: the file is complete, or is another file.
            return
        kind = RefusedError if 400 <= status < 500 and status not in (408, 429) else AssetError
        raise kind(f"cannot download {url}: {error}") from error
    if expected is not None and partial.stat().st_size != expected:
        raise AssetError(f"the connection broke after {partial.stat().st_size} of {expected} bytes of {url}")


def download(urls: Sequence[str], path: Path, pin: Pin) -> str:
    """Get a file from the first of several addresses that has it.

    A broken connection is resumed while it brings new bytes, and retried :data:`ATTEMPTS` times without any.
    The file is ``<name>.part`` until it is complete and verified.

    Args:
        urls: the same file, the best address first.
        path: its final name.
        pin: what the file must be.

    Returns:
        The address that it came from.

    Raises:
        AssetError: no address has the file; the message lists the responses.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.part")
    faults = []
    for url in urls:
        log.info("getting %s", url)
        try:
            _fetch(url, partial, pin.size)
        except AssetError as error:
            faults.append(error.message)
            continue
        if not (fault := pin.fault(partial)):
            partial.replace(path)
            return url
        partial.unlink()
        faults.append(f"{url} is not the pinned file: {fault}")
    raise AssetError("\n    ".join([f"no address has {path.name}:", *faults]))


def _fetch(url: str, partial: Path, size: int) -> None:
    """Download a whole file, with retries."""
    failed = 0
    while True:
        before = partial.stat().st_size if partial.exists() else 0
        try:
            return fetch_rest(url, partial, size)
        except RefusedError:
            raise
        except AssetError as error:
            got = partial.stat().st_size if partial.exists() else 0
            failed = 1 if got > before else failed + 1
            if failed >= ATTEMPTS:
                raise
            log.warning("%s; trying again", error.message)
            time.sleep(PAUSE * 2 ** (failed - 1))

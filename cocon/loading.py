"""Validates files on reading: checksums, shapes and types, with one error class for all faults.

A damaged or hostile file can make a library raise anything; :func:`reading` makes that an error for users.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import TypeAdapter, ValidationError

from cocon.errors import CoConError, DatasetError

CHECKSUM = "sha256"
"""Name of the array, or of the entry of the metadata, that holds a file's :func:`checksum`."""

_LARGEST_NPZ = 1 << 32  # bytes, unpacked: more than any file of ours, less than what deflated zeros can claim
_LARGEST_NUMBER = 1e300  # an integer of JSON can be larger than any float
_LONGEST_REASON = 200
_SHOWN_FAULTS = 3
T = TypeVar("T")


@contextlib.contextmanager
def reading(path: Path, what: str, error: type[CoConError], *, missing: str, damaged: str) -> Iterator[None]:
    """Convert any error while a file is read and checked to an error for users.

    An error of the project passes unchanged. A file that cannot be read (no permission, a folder, a broken
    disk) is never reported as damaged, so that users do not delete it.

    Args:
        path: the file.
        what: noun for what it should be, for instance ``file of features``; or empty.
        error: class of the error.
        missing: what to do when there is no such file.
        damaged: what to do when it holds something else.
    """
    verdict = f"is not a {what}" if what else "cannot be read"
    try:
        yield
    except CoConError:
        raise
    except FileNotFoundError as fault:
        raise error(f"there is no {what or 'file'} {path}", missing) from fault
    except OSError as fault:
        if fault.errno:
            hint = "make sure that it is a file, and that you may read it"
            raise error(f"{path} cannot be read: {fault.strerror or fault}", hint) from fault
        raise error(f"{path} {verdict} ({in_short(fault)})", damaged) from fault
    except Exception as fault:
        raise error(f"{path} {verdict} ({in_short(fault)})", damaged) from fault


def in_short(fault: Exception) -> str:
    """What is wrong, in one line of a reasonable length."""
    if isinstance(fault, ValidationError):
        shown = fault.errors(include_url=False, include_input=False)[:_SHOWN_FAULTS]
        places = ("".join(f"{part}." for part in entry["loc"])[:-1] for entry in shown)
        told = (
            f"{place}: {entry['msg']}" if place else entry["msg"]
            for place, entry in zip(places, shown, strict=True)
        )
        return "; ".join(told)[:_LONGEST_REASON]
    if isinstance(fault, MemoryError):
        return "it claims to need more memory than there is"
    if isinstance(fault, RecursionError):
        return "it is nested too deeply"
    if isinstance(fault, KeyError):
        return f"it has no entry {str(fault)[:_LONGEST_REASON]}"
    return (" ".join(str(fault).split()) or type(fault).__name__)[:_LONGEST_REASON]


# ---------------------------------------------------------------------------------------- checksums


def checksum(text: str, parts: Iterable[tuple[str, str, Sequence[int], Any]]) -> str:
    """The sha256, in hexadecimal, of a text and of arrays.

    Args:
        text: the string entries, which are not arrays.
        parts: name, type, shape and bytes (C-contiguous, one-dimensional) of each array.
    """
    found = hashlib.sha256(text.encode("utf-8", "surrogatepass"))
    for name, kind, shape, content in parts:
        found.update(json.dumps([name, kind, list(shape)]).encode())
        found.update(content)
    return found.hexdigest()


def checksum_of_arrays(arrays: Mapping[str, np.ndarray]) -> str:
    """The :func:`checksum` of arrays by name; one called ``sha256`` is left out."""
    return checksum("", (_part(name, arrays[name]) for name in sorted(arrays) if name != CHECKSUM))


def _part(name: str, array: np.ndarray) -> tuple[str, str, Sequence[int], Any]:
    flat = np.ascontiguousarray(array).reshape(-1)
    return name, array.dtype.str, array.shape, flat.view(np.uint8) if flat.nbytes else b""


# -------------------------------------------------------------------------------------------- text


def parse_object(text: str | bytes) -> dict[str, Any]:
    """The JSON object that a text holds.

    Raises:
        ValueError: the text is no JSON, something else than an object, or has a number that is not finite.
        RecursionError: it is nested too deeply.
    """
    document = json.loads(text, parse_constant=_finite, parse_float=_finite)
    if not isinstance(document, dict):
        raise ValueError(f"a {type(document).__name__} instead of a JSON object")
    return document


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a finite number")
    return value


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object that a file holds; for use within :func:`reading`."""
    return parse_object(Path(path).read_text(encoding="utf-8", errors="surrogateescape"))


def as_type(kind: type[T], value: Any) -> T:
    """``value`` as a data class (or any other type), with fields of the annotated types.

    Raises:
        ValueError: it does not fit; the first thing that is wrong is named.
    """
    return TypeAdapter(kind).validate_python(value)


def number(value: Any, low: float = -math.inf, high: float = math.inf) -> float:
    """``value`` if it is a finite number within [low, high].

    Raises:
        ValueError: it is something else.
    """
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    if not plain or not low <= value <= high or not abs(value) <= _LARGEST_NUMBER:
        raise ValueError(f"{str(value)[:40]!r} is not a number from {low:g} to {high:g}")
    return float(value)


# ------------------------------------------------------------------------------------------ arrays


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an ``.npz`` file; for use within :func:`reading`.

    What the file claims is compared with its size before memory is taken. The zip file's own checksums are
    compared, and that in the array ``sha256`` where there is one.

    Raises:
        ValueError: it has arrays of objects, of other sizes than it claims, too large ones, or is damaged.
        BadZipFile, KeyError, OSError: it is damaged or something else.
    """
    arrays: dict[str, np.ndarray] = {}
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if sum(info.file_size for info in members) > _LARGEST_NPZ:
            raise ValueError(f"it claims to hold more than {_LARGEST_NPZ >> 30} GiB")
        for info in members:
            name = info.filename.removesuffix(".npy")
            if name in arrays:
                raise ValueError(f"'{name}' is in it twice")
            with archive.open(info) as member:
                _check_header(member, info.file_size, name)
            with archive.open(info) as member:
                arrays[name] = np.lib.format.read_array(member, allow_pickle=False)
                member.read(1)  # the end of the member, where its checksum is compared
    if CHECKSUM in arrays and str(arrays[CHECKSUM]) != checksum_of_arrays(arrays):
        raise ValueError("its checksum is wrong")
    return arrays


def _check_header(member: Any, size: int, name: str) -> None:
    """Refuse an array whose header promises another size than the member has."""
    version = np.lib.format.read_magic(member)
    reader = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    shape, _, dtype = reader[version](member)
    if dtype.hasobject:
        raise ValueError(f"'{name}' holds objects")
    if any(length < 0 for length in shape) or math.prod(shape) * dtype.itemsize != size - member.tell():
        raise ValueError(f"'{name}' has another size than it claims")


def require(array: np.ndarray, name: str, kinds: str, shape: tuple[int | None, ...]) -> np.ndarray:
    """``array`` if it has one of the kinds of NumPy (``"f"``, ``"iu"``, ...) and the shape; None: any length.

    Raises:
        ValueError: it does not.
    """
    fits = array.ndim == len(shape) and all(
        wanted in (None, found) for wanted, found in zip(shape, array.shape, strict=True)
    )
    if array.dtype.kind not in kinds or not fits:
        wanted = ", ".join("any" if length is None else str(length) for length in shape)
        raise ValueError(f"'{name}' is {array.dtype} {array.shape}, not ({wanted}) of kind {kinds}")
    return array


def check_finite(what: str, ids: Sequence[str], values_ND: np.ndarray, hint: str) -> None:
    """Refuse rows of numbers that are not finite.

    Args:
        what: for instance "the features of the view rgb".
        ids: the video of each row.
        values_ND: a row, or a number, per video.
        hint: what to do.

    Raises:
        DatasetError: with the first video whose numbers are not finite.
    """
    bad_N = ~np.isfinite(values_ND).all(axis=tuple(range(1, values_ND.ndim)))
    if bad_N.any():
        count = f"{int(bad_N.sum())} of {len(ids)} videos, '{ids[int(bad_N.argmax())]}' for one"
        raise DatasetError(f"{what} are not finite numbers for {count}", hint)


def distinct(names: Iterable[Any], what: str) -> list[str]:
    """The names as a list, if none of them stands there twice.

    Raises:
        ValueError: one does.
    """
    listed = [str(name) for name in names]
    if len(set(listed)) < len(listed):
        raise ValueError(f"{what} are not distinct")
    return listed

"""A sparse in-memory file: only the written pages take memory."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import BinaryIO, Self

_PAGE = 1 << 12


class SparseFile:
    """A file object for HDF5 to write its tables into; gaps of gigabytes between them take no memory.

    HDF5 crashes when the disk is full; with this it never writes to the disk.
    """

    def __init__(self) -> None:
        self._pages: dict[int, bytearray] = {}
        self._position = 0
        self._size = 0

    @classmethod
    def of(cls, parts: Mapping[int, bytes], size: int) -> Self:
        """A file of this size with the parts at their positions and zeros elsewhere."""
        file = cls()
        for position, part in parts.items():
            file.seek(position)
            file.write(memoryview(part))
        file._size = size
        return file

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position; as of a file."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """The position."""
        return self._position

    def truncate(self, size: int) -> int:
        """Set the size; what is beyond it is lost."""
        self._size = size
        for number in [number for number in self._pages if number * _PAGE >= size]:
            del self._pages[number]
        return size

    def flush(self) -> None:
        """Do nothing: writes are not buffered."""

    def write(self, data: memoryview) -> int:
        """Write at the position; returns the number of bytes."""
        view, done = memoryview(data).cast("B"), 0
        while done < len(view):
            number, begin = divmod(self._position, _PAGE)
            length = min(_PAGE - begin, len(view) - done)
            page = self._pages.setdefault(number, bytearray(_PAGE))
            page[begin : begin + length] = view[done : done + length]
            done += length
            self._position += length
        self._size = max(self._size, self._position)
        return done

    def readinto(self, buffer: memoryview) -> int:
        """Read at the position, zeros where nothing was written; returns the number of bytes."""
        view, done = memoryview(buffer).cast("B"), 0
        size = min(len(view), max(0, self._size - self._position))
        while done < size:
            number, begin = divmod(self._position, _PAGE)
            length = min(_PAGE - begin, size - done)
            page = self._pages.get(number)
            view[done : done + length] = page[begin : begin + length] if page else bytes(length)
            done += length
            self._position += length
        return done

    def save(self, file: BinaryIO) -> None:
        """Write the same content to a file on the disk, with holes where nothing was written."""
        file.truncate(self._size)
        for number in sorted(self._pages):
            file.seek(number * _PAGE)
            file.write(self._pages[number][: self._size - number * _PAGE])

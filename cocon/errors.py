"""Errors with a message for the user: the fault, and a hint what to do."""

from __future__ import annotations


class CoConError(Exception):
    """An error that a user can fix: a message on what is wrong, and a hint on what to do.

    The command line prints both without a traceback and exits with :attr:`exit_code`.
    """

    exit_code = 2

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class ConfigError(CoConError):
    """A key or value in ``config.yaml`` (or in ``--settings``) that cannot be used."""


class DatasetError(CoConError):
    """A folder of videos, a table or a split list that is missing or contradicts itself."""


class ShardError(CoConError):
    """A shard that is missing, damaged, or of another kind than requested."""


class AssetError(CoConError):
    """A pinned download that cannot be reached or does not have the pinned hash."""


class CheckpointError(CoConError):
    """A checkpoint that belongs to another network, configuration or purpose."""


class OutputError(CoConError):
    """A file or folder that cannot be written at the requested place."""

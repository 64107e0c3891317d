"""Errors that tell a user what went wrong and what to do about it."""

from __future__ import annotations

#: how to get the module pkg_resources, which later versions of setuptools do not have
PKG_RESOURCES = "pip install 'setuptools<82'"
_INSTALL = {"pkg_resources": PKG_RESOURCES}


class CoConError(Exception):
    """Something a user can mend: one sentence that says what is wrong, and one that says what to do.

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
    """A shard that is missing, damaged, or of another kind than asked for."""


class AssetError(CoConError):
    """A pinned download that cannot be reached or does not have the pinned hash."""


class CheckpointError(CoConError):
    """A checkpoint that belongs to another network, configuration or purpose."""


class OutputError(CoConError):
    """A file or folder that cannot be written where it was asked for."""


def missing_package(user: str, package: str, error: ImportError, install: str) -> tuple[str, str]:
    """Message and hint for a package that cannot be imported, with the module that is really missing.

    Args:
        user: what needs the package.
        package: its name on the package index.
        error: what the import raised.
        install: how to install the package.
    """
    needs = f"{user} needs the package {package}"
    own = package.replace("-", "_")
    module = error.name if isinstance(error, ModuleNotFoundError) else None
    if module is None:
        return f"{needs}, which cannot be imported: {error}", install
    if module == own:
        return f"{needs}, which is not installed", install
    if module.startswith(f"{own}."):
        return f"{needs}, but the one that is installed lacks the module {module}", install
    hint = f"install it into the same environment, or {package} again: {install}"
    return f"{needs}, which needs the module {module}, which is not installed", _INSTALL.get(module, hint)

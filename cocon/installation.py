"""Maps packages to the extras of ``pyproject.toml``, with hints how to install them."""

from __future__ import annotations

import importlib.util

from cocon.errors import CoConError

_CORE = ""
_EXTRAS = {
    _CORE: ("ai_edge_litert", "av", "cv2", "h5py", "lz4", "numba", "numpy", "pydantic", "tqdm", "yaml"),
    "train": ("safetensors", "sklearn", "torch"),
    "workflow": ("libarchive", "scipy", "snakemake"),
    "report": ("jinja2", "markupsafe", "pygments"),
    "tensorboard": ("tensorboard",),
    "torchvision": ("torchvision",),
    "wandb": ("wandb",),
    "mlflow": ("mlflow",),
}
EXTRA_OF = {package: extra for extra, packages in _EXTRAS.items() for package in packages}
"""The extra to install by import name of a package; empty: part of every installation."""

#: how to get the module pkg_resources, which later versions of setuptools do not have
PKG_RESOURCES = "pip install 'setuptools<82'"
_INSTALL = {"pkg_resources": PKG_RESOURCES}
_WITHOUT_WHEEL = {"ai_edge_litert": "pip install ai-edge-litert; there is no build for macOS on Intel chips"}


class MissingPackageError(CoConError):
    """A package that a command needs belongs to a part of the project that is not installed."""


def how_to_install(package: str) -> str:
    """The command that installs a package of :data:`EXTRA_OF`; the project is installed from a clone."""
    if package in _WITHOUT_WHEEL:
        return _WITHOUT_WHEEL[package]
    extra = EXTRA_OF[package]
    target = f"'.[{extra}]'" if extra else "."
    return f"pip install -e {target} in your clone of this project"


def missing_package(error: ModuleNotFoundError) -> MissingPackageError | None:
    """The error for users, if a package of :data:`EXTRA_OF` is not installed at all; None if it is a bug."""
    package = (error.name or "").partition(".")[0]
    if package not in EXTRA_OF or importlib.util.find_spec(package):
        return None
    return MissingPackageError(
        f"this needs the package {package}, which is not installed", how_to_install(package)
    )


def failed_import(user: str, package: str, error: ImportError, install: str) -> tuple[str, str]:
    """Message and hint for a package that cannot be imported, with the module that is actually missing.

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

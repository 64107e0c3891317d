"""Networks of MMPose and MMDetection, built from the configurations inside their packages.

Both packages import compiled modules that inference never calls. If these are not installed, which saves half
an hour of compiling, empty modules replace them.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from cocon.errors import CoConError
from cocon.installation import failed_import
from view_extractors.networks.checkpoints import load_published
from view_extractors.networks.devices import placed, upload

if TYPE_CHECKING:
    import torch

_NOT_NEEDED = ("mmcv._ext", "xtcocotools", "xtcocotools.coco", "xtcocotools.cocoeval", "xtcocotools.mask")


class _NotNeeded(ModuleType):
    """An empty module; its attributes raise an error when they are called."""

    __path__: list[str] = []  # noqa: RUF012  a package, so that its parts can be imported

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)

        def missing(*arguments: Any, **options: Any) -> Any:
            raise NotImplementedError(f"{self.__name__}.{name} is not installed")

        return missing


class OpenMMLabNetwork:
    """A network with its published weights and its input format.

    Args:
        package: ``mmpose`` or ``mmdet``.
        config: path of the configuration in the package.
        weights: name of the weights, see :data:`view_extractors.networks.weights.WEIGHTS`.
        device: where it runs.

    Attributes:
        module: the network in evaluation mode.
        settings: its configuration.

    Raises:
        CoConError: the packages are not installed.
        AssetError: the weights are not available.
    """

    def __init__(self, package: str, config: str, weights: str, device: torch.device) -> None:
        import_packages()
        from mmengine.config import Config
        from mmengine.registry import DefaultScope

        package_file = importlib.import_module(package).__file__
        assert package_file is not None
        path = Path(package_file).parent / ".mim" / "configs" / config
        self.settings = Config.fromfile(path)
        models = importlib.import_module(f"{package}.registry").MODELS
        with DefaultScope.overwrite_default_scope(package):
            self.module: torch.nn.Module = models.build(self.settings.model)
        load_published(self.module, weights)
        self.module = placed(self.module, device)
        self._device = device

    def normalise(self, pictures: np.ndarray | Sequence[np.ndarray] | torch.Tensor) -> torch.Tensor:
        """Float32 (B, 3, H, W) on the device, as the network expects it.

        Args:
            pictures: RGB: ``uint8`` (B, H, W, 3), or (B, 3, H, W) on the device.
        """
        import torch

        preprocessor = self.settings.model.data_preprocessor
        x_BCHW = pictures if isinstance(pictures, torch.Tensor) else upload(pictures, self._device)
        # The packages read pictures as BGR; a network either takes them so, or has them swapped.
        if not preprocessor.bgr_to_rgb:
            x_BCHW = x_BCHW.flip(1)
        mean, std = (
            torch.tensor(preprocessor[name], device=self._device).view(-1, 1, 1) for name in ("mean", "std")
        )
        return (x_BCHW - mean) / std


def import_packages() -> None:
    """Import MMPose and MMDetection with all their networks.

    Raises:
        CoConError: they are not installed.
    """
    _import("mmpose", "mmpose")
    for name in _NOT_NEEDED:
        if name not in sys.modules and importlib.util.find_spec(name) is None:
            sys.modules[name] = _NotNeeded(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _import("mmpose", "mmpose.models")
        _import("mmdet", "mmdet.models")


def _import(package: str, module: str) -> None:
    try:
        importlib.import_module(module)
    except ImportError as error:
        install = "make .venv-backends/ready; docs/backends.md says how to use it from there"
        raise CoConError(*failed_import("the backend 'mmpose'", package, error, install)) from error

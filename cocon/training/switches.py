"""Precision, memory layout and compilation of a training, from its settings and device."""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import nn

from cocon.config.schema import Training
from cocon.errors import ConfigError

_COMPILATIONS = 32


@dataclass(frozen=True)
class Switches:
    """The switches in use.

    Attributes:
        amp: mixed precision: the data type of convolutions.
        tf32: whether a GPU rounds the factors of float32 products to 10 bits of mantissa.
        channels_last_3d: whether weights of convolutions have their channels last in memory.
        fused: whether a step of the optimiser is one kernel.
        pinned: whether batches are in pinned memory, which a GPU reads without blocking.
        compiled: whether training steps run the networks through torch.compile.
    """

    amp: Literal["off", "bf16", "fp16"] = "off"
    tf32: bool = False
    channels_last_3d: bool = False
    fused: bool = False
    pinned: bool = False
    compiled: bool = False

    @classmethod
    def of(cls, settings: Training, device: torch.device) -> Switches:
        """Resolve settings on a device.

        Raises:
            ConfigError: for ``compile`` with reduced precision on a CPU: there oneDNN's weight gradients are
                wrong (see :mod:`cocon.models.conv3d`), and a compiled network cannot avoid them.
        """
        gpu = device.type != "cpu"
        amp = settings.amp
        if amp == "auto":
            amp = "bf16" if _has_bf16(device) else "off"
        if settings.compile and amp != "off" and not gpu:
            raise ConfigError(
                f"compile and amp '{amp}' cannot be combined on a CPU: oneDNN's gradients are wrong",
                "turn one of the two off",
            )
        layout = settings.channels_last_3d
        return cls(
            amp=amp,
            tf32=gpu and settings.tf32,
            channels_last_3d=gpu if layout is None else layout,
            fused=gpu and settings.fused_optimiser,
            pinned=gpu and settings.pin_memory,
            compiled=settings.compile,
        )

    @classmethod
    def restored(cls, document: Any) -> Switches:
        """The switches stored in a checkpoint by :meth:`document`."""
        return cls(**document)

    def document(self) -> dict[str, Any]:
        """The switches as a JSON-like document, for a checkpoint."""
        return asdict(self)

    def __str__(self) -> str:
        parts = {
            "float32" if self.amp == "off" else self.amp: True,
            "TF32": self.tf32,
            "channels last": self.channels_last_3d,
            "fused optimiser": self.fused,
            "pinned memory": self.pinned,
            "compiled": self.compiled,
        }
        return ", ".join(name for name, on in parts.items() if on)

    def apply(self, network: nn.Module, device: torch.device) -> None:
        """Prepare a network, in place, and the device for the whole process.

        Activations have their channels last in any case; ``channels_last_3d`` gives the weights of the
        convolutions the same layout, so that they are not reordered in every step. With ``compiled``
        the process runs torch.compile's code within :meth:`stepping` only.
        """
        if device.type == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = self.tf32
            torch.backends.cudnn.allow_tf32 = self.tf32
        if self.channels_last_3d:
            for parameter in network.parameters():
                if parameter.dim() in (4, 5):
                    layout = torch.channels_last if parameter.dim() == 4 else torch.channels_last_3d
                    parameter.data = parameter.data.contiguous(memory_format=layout)
        if self.compiled:
            # Every view has one size; without this the second view's size makes the code dynamic, and
            # that fails. There is one compilation per view.
            network.compile(dynamic=False)
            torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, _COMPILATIONS)
            torch.compiler.set_stance("force_eager")

    def stepping(self) -> contextlib.AbstractContextManager[object]:
        """The context of a training step: nothing else is compiled.

        Evaluation has batches of many sizes, and each would be compiled.
        """
        return torch.compiler.set_stance("default") if self.compiled else contextlib.nullcontext()


def _has_bf16(device: torch.device) -> bool:
    """Whether a GPU has native bf16; others emulate it slowly."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)

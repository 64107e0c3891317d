"""CoCon: cooperative-contrastive video representations, from raw videos to an accuracy table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cocon.versions import __version__

if TYPE_CHECKING:
    from cocon.export.encoder import load_encoder

__all__ = ["__version__", "load_encoder"]


def __getattr__(name: str) -> Any:
    """``load_encoder``, imported when it is used: it needs torch, and most of the package does not."""
    if name == "load_encoder":
        from cocon.export.encoder import load_encoder

        return load_encoder
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")

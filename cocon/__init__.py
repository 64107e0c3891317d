"""CoCon: cooperative-contrastive video representations, from raw videos to an accuracy table."""

__version__ = "0.1.0"

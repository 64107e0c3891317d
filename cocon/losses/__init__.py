"""The terms of the CoCon loss, one per file."""

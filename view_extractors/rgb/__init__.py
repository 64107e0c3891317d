"""Decoded frames."""

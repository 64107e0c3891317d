"""The depth view."""

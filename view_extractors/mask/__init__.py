"""Person masks."""

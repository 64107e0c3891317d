"""Data sets: each one module that lists its videos; see CONTRIBUTING.md, "Add something"."""

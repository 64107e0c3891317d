"""The typed configuration: schema, loading with line numbers, and settings of single commands."""

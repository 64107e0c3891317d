"""Formats quantities as text."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Seconds in words: ``8.3 s``, ``2 min 05 s``, ``3 h 20 min``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def file_size(size: float) -> str:
    """Bytes with a decimal unit: ``512 B``, ``3.4 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.0f} B" if unit == "B" else f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def per_cent(fraction: float) -> str:
    """A fraction as per cent with one decimal, without the sign: ``68.8``."""
    return f"{100 * fraction:.1f}"


def signed_points(difference: float) -> str:
    """A difference of two fractions in percentage points with its sign: ``+12.5``, ``−3.0``."""
    text = f"{100 * abs(difference):.1f}"
    if text == "0.0":
        return text
    return ("+" if difference > 0 else "\N{MINUS SIGN}") + text

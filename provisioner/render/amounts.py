"""Amounts in words: bytes, files, seconds."""

_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def format_bytes(count: float) -> str:
    """Return ``1.2 GB``, ``45 MB``, ``3 kB`` or ``12 bytes``."""
    for size, unit in _UNITS:
        if count >= size:
            number = count / size
            return f"{number:.1f} {unit}" if number < 10 else f"{number:.0f} {unit}"
    return f"{count:.0f} bytes"


def format_progress(done: int, total: int | None, unit: str) -> str:
    """Return how far it is: ``12 MB of 45 MB`` or ``12 of 45 files``."""
    if unit != "bytes":
        return f"{done} of {total} {unit}" if total else f"{done} {unit}"
    return f"{format_bytes(done)} of {format_bytes(total)}" if total else format_bytes(done)


def format_remaining(seconds: float) -> str:
    """Return ``40 s``, ``3 min`` or ``1 h 20 min``."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def shorten_name(name: str, width: int) -> str:
    """Return a name in at most ``width`` characters, its middle left out: the end tells a wheel's system."""
    if len(name) <= width:
        return name
    head = max((width - 1) * 2 // 3, 1)
    return f"{name[:head]}…{name[len(name) - (width - 1 - head) :]}" if width > 2 else name[:width]

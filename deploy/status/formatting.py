"""Numbers -> readable texts."""

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_STEP = 1024
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


def amount(count: int, one: str, many: str = "") -> str:
    """Return `1 event`, `2 events`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def bytes_text(count: float) -> str:
    """Return `1.5 GiB`."""
    for unit in _UNITS[:-1]:
        if count < _STEP:
            return f"{count:.1f} {unit}" if unit != "B" else f"{count:.0f} B"
        count /= _STEP
    return f"{count:.1f} {_UNITS[-1]}"


def span(seconds: float) -> str:
    """Return `3 d 4 h`, `5 min`, `12 s`."""
    whole = int(seconds)
    if whole >= _DAY:
        return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"
    if whole >= _HOUR:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _MINUTE} min" if whole >= _MINUTE else f"{whole} s"

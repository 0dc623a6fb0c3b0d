"""Numbers as they stand on screen: rounded in one place, in texts of known width. Pure."""

from __future__ import annotations

import math
import time

MINUS = "−"


def bpb(value: float | None) -> str:
    """val_bpb with four decimals; "–" for none."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.4f}"


def delta(value: float | None) -> str:
    """A difference of val_bpb, signed: "−0.0123"."""
    return "–" if value is None or not math.isfinite(value) else f"{value:+.4f}".replace("-", MINUS)


def percent(value: float | None, digits: int = 1) -> str:
    """Signed per cent: "−2.1 %"."""
    return "–" if value is None or not math.isfinite(value) else f"{value:+.{digits}f} %".replace("-", MINUS)


def share(value: float) -> str:
    """Of one, as whole per cent: "73 %"."""
    return f"{100 * value:.0f} %"


def duration(seconds: float) -> str:
    """ "45s", "3m10s", "2h05m", "3d04h"."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02d}h"


def usd(value: float | None) -> str:
    return "–" if value is None else f"${value:,.2f}"


def count(number: int, word: str) -> str:
    """ "1 run", "2 runs"."""
    return f"{number:,} {word}{'s' * (number != 1)}"


def short(number: int) -> str:
    """ "950", "12.3k", "1.2M": three digits are enough for what is counted in millions."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if number >= size * 0.9995:
            scaled = number / size
            return f"{scaled:.0f}{unit}" if scaled >= 99.95 else f"{scaled:.1f}{unit}"
    return str(number)


def clock(at: float) -> str:
    """A time as the operator's wall shows it: "14:32:10"."""
    return time.strftime("%H:%M:%S", time.localtime(at))

"""Figures of samples, computed by C that can reach nothing but its own memory."""

from collections.abc import Sequence

from . import stats

__all__ = ["describe", "histogram", "median"]


def describe(values: Sequence[float], unit: str = "") -> str | None:
    """A line for people."""
    if not values:
        raise ValueError("a sample has at least one value")
    return stats.describe(stats.summarize(values, len(values)), unit)


def median(values: Sequence[float]) -> float:
    """The value in the middle."""
    if not values:
        raise ValueError("a sample has at least one value")
    return stats.quantile(list(values), len(values), 0.5)  # it sorts what it is given


def histogram(values: Sequence[float], start: float, stop: float, bins: int) -> list[int]:
    """How many values lie in each of so many bins of the same width."""
    if not 0 < bins <= stats.MOST_BINS:
        raise ValueError(f"from 1 to {stats.MOST_BINS} bins, not {bins}")
    counts = [0] * bins
    stats.histogram(values, len(values), start, stop, counts, bins)
    return counts

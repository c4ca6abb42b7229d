"""Ratios of pairs and how sure they are."""

import math
import random
import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class Ratio:
    """Ours divided by theirs: the median of the pairs and its 95 % interval."""

    median: float
    low: float
    high: float
    pairs: int

    def worse(self, smaller_is_better: bool) -> float:
        return self.high if smaller_is_better else self.low


def ratio(ours: list[float], theirs: list[float]) -> Ratio:
    """The median of paired log-ratios with a bootstrap interval. Pairs are by position."""
    logs = [math.log(a / b) for a, b in zip(ours, theirs, strict=True) if a > 0 and b > 0]
    if not logs:
        return Ratio(math.nan, math.nan, math.nan, 0)
    median, low, high = interval(logs)
    return Ratio(math.exp(median), math.exp(low), math.exp(high), len(logs))


def interval(values: list[float]) -> tuple[float, float, float]:
    """Median and its 95 % interval, by bootstrap."""
    dice = random.Random(7)
    medians = sorted(statistics.median(dice.choices(values, k=len(values))) for _ in range(4000))
    low, high = medians[int(0.025 * len(medians))], medians[int(0.975 * len(medians)) - 1]
    return statistics.median(values), low, high

"""What a scenario is, and what it has to reach."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from suite.brokers import Broker

Figures = dict[str, float]
GB = 1e9


@dataclass(frozen=True)
class Bar:
    """What a figure has to reach: as a ratio to Kafka, or by itself."""

    figure: str
    unit: str
    smaller: bool = True
    ratio: float | None = None
    limit: float | None = None
    # Divides the figure before it is held against `limit`: one of the machine's, or `SCENARIO FIGURE` of an earlier scenario of
    # the run. Where that was not taken, nothing is held.
    over: str | None = None


@dataclass(frozen=True)
class Paired:
    """A scenario in which both brokers are loaded in turn."""

    name: str
    number: str
    what: str
    topic: str
    partitions: int
    block: Callable[[Broker, str, float], Figures]
    bars: tuple[Bar, ...]
    seconds: float = 3.0
    warm_up: float = 4.0
    pairs: int = 7
    configs: dict[str, str] = field(default_factory=dict)
    # Apache Kafka is better at it with its default of threads than with two of each kind.
    default_threads: bool = False
    # Another size of a scenario of the short suite, in fewer and shorter blocks than those.
    full_only: bool = False


@dataclass(frozen=True)
class Single:
    """A scenario that starts brokers of its own; its figures are taken several times."""

    name: str
    number: str
    what: str
    ours: Callable[[Path | None], list[Figures]]
    theirs: Callable[[Path | None], list[Figures]] | None
    bars: tuple[Bar, ...]
    full_only: bool = False


def spent(broker: Broker, run: Callable[[], dict]) -> tuple[dict, float]:
    """What `run` answers, and the broker's seconds of processor time meanwhile."""
    before = broker.process.cpu()
    report = run()
    return report, broker.process.cpu() - before


def metric(figures: dict[str, float], name: str) -> float:
    return next(value for key, value in figures.items() if name in key)


def number(value: float) -> str:
    """For people: three digits, or thousands."""
    if value != value:
        return "–"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"

"""Samples of a process over a run, and how steeply each figure rises."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FIGURES: Final = ("rss_bytes", "blocks", "descriptors", "sockets", "tasks")
HOUR_SECS: Final = 3_600.0


@dataclass(frozen=True, slots=True)
class Trend:
    """One figure: its first and last value behind the warm-up, its extremes, and its slope an hour (least squares)."""

    figure: str
    first: float
    last: float
    least: float
    most: float
    slope: float
    """An hour."""

    def __str__(self) -> str:
        """Return a line for people."""
        scale, unit = (1_048_576, " MB") if self.figure.endswith("bytes") else (1, "")
        first, last, least, most = (value / scale for value in (self.first, self.last, self.least, self.most))
        return (
            f"{self.figure:12}{first:10.1f} to {last:.1f}{unit} (between {least:.1f} and {most:.1f}),"
            f" {self.slope / scale:+.2f}{unit} an hour"
        )


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return the least-squares slope of (x, y) points; 0 for fewer than two different x."""
    count = len(points)
    if count < 2:
        return 0.0
    middle_x = sum(x for x, _ in points) / count
    middle_y = sum(y for _, y in points) / count
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / spread if spread else 0.0


def trends(samples: Path, warm_up_secs: float) -> list[Trend]:
    """Read a sampler's lines and return every figure's trend behind the warm-up."""
    found = [json.loads(line) for line in samples.read_text().splitlines()]
    begin = found[0]["at"]
    warm = [sample for sample in found if sample["at"] - begin >= warm_up_secs]
    result = []
    for figure in FIGURES:
        values = [sample[figure] for sample in warm]
        points = [(sample["at"], sample[figure]) for sample in warm]
        steep = slope(points) * HOUR_SECS
        result.append(Trend(figure, values[0], values[-1], min(values), max(values), steep))
    return result

"""A life-cycle drawn as SVG: facts from top to bottom, and a line of its own for each fact that others lead to. Pure.

A fact that may follow several others gets one vertical line which they all join: lines never run over each other,
whatever the life-cycle, and the drawing stays as narrow as it has facts. Steps down the page go on the right, steps
back up on the left. What it shows is also said in words beside it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from backbone.catalogue.lifecycle import Lifecycle, in_order

BOX_HEIGHT: Final = 44
ROW: Final = 84
LANE: Final = 18
MARGIN: Final = 14
LETTER: Final = 8.6
RADIUS: Final = 6
COLOURS: Final = ("#1d70b8", "#54319f", "#0f7a52", "#ca3535", "#b52c17", "#0b0c0c", "#7a3a00", "#00625e")
"""Each at least 4.5 to 1 against white."""


@dataclass(frozen=True, slots=True)
class _Lane:
    """One vertical line: the facts that join it, where it leads, and how far out it runs."""

    target: str
    sources: tuple[str, ...]
    index: int


@dataclass(frozen=True, slots=True)
class _Sheet:
    """Where everything is."""

    left: float
    width: float
    right_edge: float
    rows: Mapping[str, float]

    def middle(self, fact: str) -> float:
        return self.rows[fact] + BOX_HEIGHT / 2


def draw(
    lifecycle: Lifecycle, title: str, name_of: Callable[[str], str], link_of: Callable[[str], str], name: str
) -> str:
    """Return the drawing as an SVG element with a title and a description; ``link_of`` gives each fact's page.

    ``name`` makes its ids unique on its page.
    """
    facts = in_order(lifecycle)
    place = {fact: number for number, fact in enumerate(facts)}
    steps = [
        (fact, later) for fact in facts for later in dict.fromkeys(lifecycle.follows.get(fact, ())) if later != fact
    ]
    straight = {(fact, later) for fact, later in steps if place[later] == place[fact] + 1}
    down = _lanes([step for step in steps if place[step[1]] > place[step[0]] and step not in straight], place)
    up = _lanes([step for step in steps if place[step[1]] < place[step[0]]], place)
    longest = max(len(name_of(fact)) for fact in facts)
    width = max(160.0, longest * LETTER + 40)
    left = MARGIN + LANE * (max((lane.index for lane in up), default=-1) + 2)
    sheet = _Sheet(left, width, left + width, {fact: MARGIN + ROW * number for fact, number in place.items()})
    total = sheet.right_edge + LANE * (max((lane.index for lane in down), default=-1) + 2) + MARGIN
    height = 2 * MARGIN + ROW * (len(facts) - 1) + BOX_HEIGHT
    drawn = [
        *(_straight(sheet, fact, later) for fact, later in sorted(straight, key=lambda step: place[step[0]])),
        *(_lane(sheet, lane, number, rightwards=True) for number, lane in enumerate(down)),
        *(_lane(sheet, lane, number + len(down), rightwards=False) for number, lane in enumerate(up)),
        *(_box(sheet, fact, lifecycle, name_of(fact), link_of(fact)) for fact in facts),
    ]
    return (
        f'<svg class="app-diagram" role="group" aria-labelledby="{name}-title {name}-desc" '
        f'viewBox="0 0 {total:g} {height:g}" width="{total:g}" height="{height:g}" '
        f'xmlns="http://www.w3.org/2000/svg">'
        f'<title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-desc">The table after the drawing says the same in words.</desc>{"".join(drawn)}</svg>'
    )


def _lanes(steps: Sequence[tuple[str, str]], place: Mapping[str, int]) -> list[_Lane]:
    """Give each target a line, as far in as no other line of the same stretch is; short lines lie inside long ones."""
    joined: dict[str, list[str]] = {}
    for fact, later in steps:
        joined.setdefault(later, []).append(fact)

    def stretch(target: str) -> tuple[int, int]:
        ends = [place[target], *(place[fact] for fact in joined[target])]
        return min(ends), max(ends)

    lanes: list[_Lane] = []
    taken: list[tuple[int, int, int]] = []
    for target in sorted(joined, key=lambda target: (stretch(target)[1] - stretch(target)[0], place[target])):
        first, last = stretch(target)
        used = {index for index, low, high in taken if low <= last and first <= high}
        index = next(number for number in range(len(joined)) if number not in used)
        taken.append((index, first, last))
        lanes.append(_Lane(target, tuple(joined[target]), index))
    return lanes


def _straight(sheet: _Sheet, fact: str, later: str) -> str:
    x, top, end = sheet.left + sheet.width / 2, sheet.rows[fact] + BOX_HEIGHT, sheet.rows[later]
    return f'<path d="M{x:g} {top:g}V{end - 8:g}" fill="none" stroke="#0b0c0c" stroke-width="2"/>' + _head(x, end, 0, 1)


def _lane(sheet: _Sheet, lane: _Lane, number: int, *, rightwards: bool) -> str:
    """Draw a line: out of each source a little below its middle, along the lane, and into the target above it."""
    colour = COLOURS[number % len(COLOURS)]
    side = 1 if rightwards else -1
    edge = sheet.right_edge if rightwards else sheet.left
    x = edge + side * LANE * (lane.index + 1)
    end = sheet.middle(lane.target) - 9
    paths = []
    for source in lane.sources:
        start = sheet.middle(source) + 9
        down = 1 if end > start else -1
        turn = f"Q{x:g} {start:g} {x:g} {start + down * RADIUS:g}"
        back = f"V{end - down * RADIUS:g}Q{x:g} {end:g} {x - side * RADIUS:g} {end:g}"
        paths.append(f"M{edge:g} {start:g}H{x - side * RADIUS:g}{turn}{back}H{edge + side * 8:g}")
    line = f'<path d="{"".join(paths)}" fill="none" stroke="{colour}" stroke-width="2"/>'
    return line + _head(edge, end, -side, 0, colour)


def _head(x: float, y: float, across: int, along: int, colour: str = "#0b0c0c") -> str:
    """Draw an arrow's head whose point is at x, y."""
    back_x, back_y = x - 9 * across, y - 9 * along
    points = (
        f"{x:g},{y:g} {back_x + 5 * along:g},{back_y + 5 * across:g} {back_x - 5 * along:g},{back_y - 5 * across:g}"
    )
    return f'<polygon points="{points}" fill="{colour}"/>'


def _box(sheet: _Sheet, fact: str, lifecycle: Lifecycle, name: str, link: str) -> str:
    """Draw a fact: a round start, a double-edged end, and a link to its page."""
    y, start, end = sheet.rows[fact], fact in lifecycle.starts, fact in lifecycle.ends
    round_corner = BOX_HEIGHT / 2 if start else 4
    fill = "#f4f8fb" if not end else "#ffffff"
    rect = (
        f'<rect x="{sheet.left:g}" y="{y:g}" width="{sheet.width:g}" height="{BOX_HEIGHT}" rx="{round_corner:g}" '
        f'fill="{fill}" stroke="#0b0c0c" stroke-width="2"/>'
    )
    inner = (
        f'<rect x="{sheet.left + 4:g}" y="{y + 4:g}" width="{sheet.width - 8:g}" height="{BOX_HEIGHT - 8}" '
        f'rx="{max(round_corner - 4, 2):g}" fill="none" stroke="#0b0c0c" stroke-width="1"/>'
        if end
        else ""
    )
    text = (
        f'<text x="{sheet.left + sheet.width / 2:g}" y="{y + BOX_HEIGHT / 2 + 5:g}" text-anchor="middle" '
        f'font-size="16" fill="#0b0c0c">{escape(name)}</text>'
    )
    return f"<a href={quoteattr(link)}>{rect}{inner}{text}</a>"

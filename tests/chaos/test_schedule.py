"""The schedule of faults: from its seed alone."""

from collections import Counter

from tests.chaos.schedule import BROKER_WEIGHTS, CLUSTER_WEIGHTS, POINTS, REQUEST_WEIGHTS, WORKER_WEIGHTS, draw
from tests.chaos.strike import times


def test_the_same_seed_gives_the_same_schedule() -> None:
    """A run can be repeated from the seed that it printed; another seed gives another schedule."""
    assert draw(7, 300, cells=3, nodes=3) == draw(7, 300, cells=3, nodes=3)
    assert draw(7, 300, cells=3, nodes=3) != draw(8, 300, cells=3, nodes=3)


def test_every_kind_and_every_point_comes_up() -> None:
    """A long schedule holds every kind of fault and a death at every named point; one node has no cluster faults."""
    long = draw(1, 3_000, cells=3, nodes=3)
    assert {fault.kind for fault in long} == {*WORKER_WEIGHTS, *REQUEST_WEIGHTS, *BROKER_WEIGHTS, *CLUSTER_WEIGHTS}
    assert {fault.point for fault in long if fault.point} == set(POINTS)
    assert not {fault.kind for fault in draw(1, 3_000, cells=3, nodes=1)} & set(CLUSTER_WEIGHTS)


def test_faults_hit_every_cell_in_bounded_measure() -> None:
    """No cell is spared, no fault lasts longer than a minute, and a death comes at its first time or later."""
    long = draw(2, 1_000, cells=3, nodes=1)
    assert set(Counter(fault.cell for fault in long)) == {0, 1, 2}
    assert all(fault.measure < 60 for fault in long if fault.kind != "worker.skewed-clock")
    assert all(times(fault, fault.point) >= 1 for fault in long if fault.point)


def test_only_keeps_kinds_by_how_they_begin() -> None:
    """A run can be kept to some kinds of faults."""
    assert {fault.kind for fault in draw(3, 50, cells=1, nodes=1, only=["topic."])} == {"topic.refuses"}

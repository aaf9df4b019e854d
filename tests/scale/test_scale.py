"""Workers come and go under load: feeds move quickly, nothing is missing and nothing comes twice."""

from pathlib import Path

import pytest

from tests.scale.bulkheads import beside
from tests.scale.moves import Place, many_feeds, moved, rolling_restart

CLEAN_SECS = 5.0
"""Below the session's time-out of six seconds: the worker has left the group. Measured when idle: under two."""
KILLED_SECS = 12.0
"""The session's time-out, a rebalance, and reading the state."""


@pytest.fixture
def place(tmp_path: Path, broker: str, organisation: str) -> Place:
    """Give a place of its own to each fleet."""
    return Place(tmp_path, broker, organisation)


@pytest.mark.timeout(300)
async def test_a_clean_stop_hands_over_at_once(place: Place) -> None:
    """A worker that is asked to stop leaves the group: the other one has its feeds before a session could time out."""
    move = await moved(place, lambda made: made.stop(made.workers[0]))
    assert move.problems == []
    assert move.worst_gap_secs < CLEAN_SECS


@pytest.mark.timeout(300)
async def test_a_killed_worker_is_replaced_within_its_session(place: Place) -> None:
    """SIGKILL says nothing to anybody: the group finds out, and the other worker goes on from what is committed."""
    move = await moved(place, lambda made: made.kill(made.workers[0]))
    assert move.problems == []
    assert move.worst_gap_secs < KILLED_SECS


@pytest.mark.timeout(300)
async def test_a_rolling_restart_of_five_workers_is_hardly_noticed(place: Place) -> None:
    """One worker after the other is stopped and started: nothing twice, and no feed stands still for long."""
    move = await rolling_restart(place)
    assert move.problems == []
    assert move.worst_gap_secs < KILLED_SECS


@pytest.mark.timeout(300)
async def test_two_workers_carry_two_hundred_feeds(place: Place) -> None:
    """A hundred feeds each cost a worker less than 150 MB, two connections each and, when nothing comes, little CPU."""
    many = await many_feeds(place, idle_secs=5.0)
    assert many.problems == []
    assert max(many.rss_mb) < 150
    assert max(many.idle_cpu_share) < 0.6
    assert max(many.sockets) < 230, "two connections a feed, and a dozen for the worker itself"


@pytest.mark.parametrize("kind", ["hung", "crashing"])
@pytest.mark.timeout(300)
async def test_a_neighbour_in_a_process_of_its_own_costs_the_others_nothing(place: Place, kind: str) -> None:
    """While it hangs or crashes, again and again, documents of the others take about what they took before."""
    bulkhead = await beside(place, kind, secs=10.0)
    assert bulkhead.problems == []
    assert bulkhead.with_secs < max(1.0, 3 * bulkhead.before_secs)

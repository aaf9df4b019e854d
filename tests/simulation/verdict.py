"""The verdict on a simulation: what the folders held against what a committed reader finds.

It reads the logs by itself, batch by batch and marker by marker, and shares no code with the product.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson
from aiokafka.record import MemoryRecords

from backbone.testing.simulation.log import PartitionLog
from tests.simulation.folder import Folder
from tests.simulation.schedule import Line

TYPES: Final = (
    "org.councilbackbone.servicerequests.updated.v1",
    "org.councilbackbone.planningenforcement.case-opened.v1",
    "org.councilbackbone.servicerequests.opened.v1",
)
"""The events of an ``ok`` line, as many as it has parts."""
Found = tuple[bytes, bytes | None, Mapping[str, bytes]]
OUTCOMES: Final = ("published", "duplicate", "skipped", "rejected")
MARKER_COMMIT: Final = 1


def committed(log: PartitionLog) -> Iterator[Found]:
    """Yield key, value and headers of every record whose transaction has a commit marker, in their order."""
    open_batches: dict[int, list[int]] = {}
    visible: list[tuple[int, list[Found]]] = []
    for batch in log.batches:
        records = list(MemoryRecords(batch.content).next_batch())
        if batch.control:
            if records[0].key[3] == MARKER_COMMIT:
                visible += [(at, _records(log, at)) for at in open_batches.get(batch.producer, ())]
            open_batches.pop(batch.producer, None)
        else:
            open_batches.setdefault(batch.producer, []).append(batch.base)
    for _, found in sorted(visible, key=lambda entry: entry[0]):
        yield from found


def _records(log: PartitionLog, base: int) -> list[Found]:
    batch = next(batch for batch in log.batches if batch.base == base)
    return [(r.key, r.value, dict(r.headers)) for r in MemoryRecords(batch.content).next_batch()]


def judge(
    organisation: str, folders: Mapping[str, Folder], logs: Mapping[tuple[str, int], PartitionLog], *, redriven: bool
) -> list[str]:
    """Return everything that is wrong; ``redriven`` says that bad lines were mended and fed through again."""
    problems: list[str] = []
    found = {place: list(committed(log)) for place, log in logs.items()}
    for (topic, partition), log in logs.items():
        if log.last_stable != log.high_watermark:
            problems.append(f"open transaction: {topic}/{partition} stands at {log.last_stable}")
    events = [
        (place, record) for place, records in sorted(found.items()) if place[0].endswith(".v1") for record in records
    ]
    service = f"{organisation}.backbone"
    receipts = [orjson.loads(value or b"{}") for _, value, _ in found[f"{service}.receipts", 0]]
    rejects = [key.decode() for key, _, _ in found[f"{service}.rejects", 0]]
    state = [record for place, records in sorted(found.items()) if place[0] == f"{service}.state" for record in records]
    lines = {feed: _unique(folder) for feed, folder in folders.items()}
    problems += _judge_events(lines, events, redriven=redriven)
    problems += _judge_receipts(folders, lines, receipts, redriven=redriven)
    problems += _judge_rejects(lines, receipts, rejects, state, redriven=redriven)
    problems += _judge_checkpoints(state)
    for feed, folder in folders.items():
        if folder.moves and folder.files:
            problems.append(f"after-actions: {feed} still has {sorted(folder.files)}")
    return problems


def _unique(folder: Folder) -> list[Line]:
    """Return the lines of a folder, each once: case and time are what they are known by."""
    return list({(line.case, line.at): line for name in folder.contents for line in folder.contents[name]}.values())


def _judge_events(
    lines: Mapping[str, Sequence[Line]], events: Sequence[tuple[tuple[str, int], Found]], *, redriven: bool
) -> Iterator[str]:
    seen: Counter[tuple[str, str, str]] = Counter()
    ids: Counter[bytes] = Counter()
    latest: dict[tuple[str, str], str] = {}
    mended = {(line.case, line.at) for some in lines.values() for line in some if line.kind == "bad"}
    for (topic, _), (key, _, headers) in events:
        case, at, kind = key.decode(), headers["ce_time"].decode(), headers["ce_type"].decode()
        seen[case, at, kind] += 1
        ids[headers["ce_id"]] += 1
        if "ce_late" in headers or (case, at) in mended:
            continue  # it was set aside at first, and came later: by a re-drive, or in a file that was sent again
        if at < latest.get((topic, case), ""):
            yield f"out of order: {topic} case {case} at {at}"
        latest[topic, case] = at
    wanted: set[tuple[str, str, str]] = set()
    good = {"ok", "bad"} if redriven else {"ok"}
    for line in (line for some in lines.values() for line in some if line.kind in good):
        due = [(line.case, line.at, kind) for kind in TYPES[: line.parts]]
        wanted.update(due)
        there = sum(one in seen for one in due)
        if there < len(due):
            yield f"{'torn' if there else 'missing'}: case {line.case} at {line.at}"
    yield from (f"duplicate: {what} {times} times" for what, times in seen.items() if times > 1)
    yield from (f"duplicate: id {what.decode()} {times} times" for what, times in ids.items() if times > 1)
    yield from (f"unexpected: {what}" for what in seen if what not in wanted)


def _judge_receipts(
    folders: Mapping[str, Folder], lines: Mapping[str, Sequence[Line]], receipts: Sequence[Mapping[str, Any]],
    *, redriven: bool,
) -> Iterator[str]:  # fmt: skip
    """Every file has one receipt, each receipt balances, and together they account for every line."""
    complete = Counter((r["feed"], r["sha256"]) for r in receipts if r["outcome"] == "complete")
    yield from (f"receipts: {what} is complete {times} times" for what, times in complete.items() if times > 1)
    ids = Counter(receipt["id"] for receipt in receipts)
    yield from (f"receipts: id {what} {times} times" for what, times in ids.items() if times > 1)
    for feed, folder in folders.items():
        for name, sha256 in folder.final.items():
            if (feed, sha256) not in complete:
                yield f"receipts: {feed}/{name} has none"
        ours = [receipt for receipt in receipts if receipt["feed"] == feed]
        if [receipt["ordinal"] for receipt in ours] != list(range(len(ours))):
            yield f"receipts: {feed} has ordinals {[receipt['ordinal'] for receipt in ours]}"
        counts = {name: sum(receipt[name] for receipt in ours) for name in (*OUTCOMES, "events")}
        due = _due(lines[feed], redriven=redriven)
        for name, count in due.items():
            if counts[name] != count:
                yield f"receipts: {feed} counts {counts[name]} {name}, due are {count}"
    for receipt in receipts:
        if receipt["records"] != sum(receipt[name] for name in OUTCOMES):
            yield f"receipts: {receipt['feed']}/{receipt['document']} does not balance"


def _due(lines: Sequence[Line], *, redriven: bool) -> Mapping[str, int]:
    good = [line for line in lines if line.kind == "ok" or (redriven and line.kind == "bad")]
    return {
        "published": len(good),
        "events": sum(line.parts for line in good),
        "skipped": sum(line.kind == "skip" for line in lines),
    }


def _judge_rejects(
    lines: Mapping[str, Sequence[Line]], receipts: Sequence[Mapping[str, Any]], rejects: Sequence[str],
    state: Sequence[Found], *, redriven: bool,
) -> Iterator[str]:  # fmt: skip
    counted = sum(receipt["rejected"] for receipt in receipts)
    if counted != len(rejects):
        yield f"rejects: {len(rejects)} on the topic, {counted} in receipts"
    bad = sum(line.kind == "bad" for some in lines.values() for line in some)
    if not redriven and len(set(rejects)) != bad:
        yield f"rejects: {len(set(rejects))} records set aside, due are {bad}"
    still = {key: value for key, value, _ in state if key.startswith(b"rej/")}
    still_open = sum(value is not None for value in still.values())
    if still_open != (0 if redriven else bad):
        yield f"rejects: {still_open} are open, due are {0 if redriven else bad}"


def _judge_checkpoints(state: Sequence[Found]) -> Iterator[str]:
    """Each shard's checkpoints, in the order of the log, stand for one transaction each and never go back."""
    last: dict[bytes, tuple[int, int, int]] = {}
    for key, value, _ in state:
        if not key.startswith(b"cp/"):
            continue
        content = orjson.loads(value or b"{}")
        document = content["document"]
        now = (content["generation"], content["ordinal"], -1 if document is None else document["delivered"])
        before = last.get(key, (0, 0, -1))
        if now[0] != before[0] + 1 or now[1:] < before[1:]:
            yield f"checkpoints: {key.decode()} went from {before} to {now}"
        last[key] = now

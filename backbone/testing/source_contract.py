"""The contract of sources as a suite: what every source must do, whatever it reads from.

A new source joins by a ``Drop``: a way to put a document where it reads, and the source over it.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from backbone.sources.source import CaughtUp, Fingerprint, Source, SourceDocument

Put = Callable[[str, bytes], Awaitable[None]]


@dataclass(slots=True)
class Remembered:
    """Progress in memory: what a shard would know from its state."""

    outcomes: dict[Fingerprint, str] = field(default_factory=dict)
    begun: Fingerprint | None = None

    def outcome_of(self, fingerprint: Fingerprint) -> str | None:
        """Return how the document ended."""
        return self.outcomes.get(fingerprint)

    def unfinished(self) -> Fingerprint | None:
        """Return the document that was begun."""
        return self.begun

    def recent(self) -> list[Fingerprint]:
        """Return the documents that ended last."""
        return list(self.outcomes)[-8:]


async def until_caught_up(
    source: Source, progress: Remembered, *, outcome: str = "complete", shard: str = "main"
) -> list[tuple[str, bytes, str]]:
    """Take documents as a shard does until there are none; return name, content and the code of a problem."""
    taken = []
    documents = source.documents(shard, progress)
    async for item in documents:
        if isinstance(item, CaughtUp):
            break
        content = read(item)
        ended = "held" if item.problem else outcome
        taken.append((item.name, content, "" if item.problem is None else item.problem.code))
        progress.outcomes[item.fingerprint] = ended
        await source.finish(item.fingerprint, ended)
    await close(documents)
    return taken


async def close(documents: AsyncIterator[SourceDocument | CaughtUp]) -> None:
    """Close a source's generator, as its shard does."""
    await documents.aclose()  # type: ignore[attr-defined]  # an async generator in every source


def read(document: SourceDocument) -> bytes:
    """Return a document's bytes, which must be the same each time."""
    with document.open() as one, document.open() as other:
        content = one.read()
        assert content == other.read()
    return content


async def check_source(make: Callable[[], Source], put: Put) -> list[str]:
    """Run the suite on an empty place; return what is wrong, in sentences."""
    faults: list[str] = []
    progress = Remembered()
    if await until_caught_up(make(), progress):
        faults.append("an empty place gives documents")
    await put("a-1", b"one")
    await put("a-2", b"two")
    first = await until_caught_up(make(), progress)
    if [content for _, content, _ in first] != [b"one", b"two"]:
        faults.append("documents do not come whole and in order")
    if await until_caught_up(make(), progress):
        faults.append("what has an outcome is handed over again, after a restart")
    await put("a-3", b"three")
    await put("a-4", b"four")
    documents = make().documents("main", progress)
    begun = await anext(documents)
    await close(documents)
    assert isinstance(begun, SourceDocument)
    progress.begun = begun.fingerprint
    again = await until_caught_up(make(), progress)
    if [content for _, content, _ in again] != [b"three", b"four"]:
        faults.append("an unfinished document does not come first after a restart")
    return faults

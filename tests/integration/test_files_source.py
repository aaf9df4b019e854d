"""The files source on real folders: readiness, order, archives, after-actions, restarts."""

import asyncio
import gzip
import hashlib
import io
import os
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from backbone.errors import ConfigurationError, TransientError
from backbone.sources.files import FilesSettings, FilesSource
from backbone.sources.filesystem import LocalFolder
from backbone.sources.source import CaughtUp, Fingerprint, SourceDocument
from backbone.sources.unpack import Spool
from backbone.testing.source_contract import Remembered, check_source, close, until_caught_up


def source(folder: Path, *, now: list[float] | None = None, quota: int = 10**8, **settings: Any) -> FilesSource:
    values = {"url": "x", "ready_after_secs": 0, "poll_interval_secs": 0.01, **settings}
    moment = time.time if now is None else lambda: now[0]
    return FilesSource(
        FilesSettings(**values), LocalFolder(folder), Spool(folder.parent / "spool", quota),
        clock=moment, elapsed=None if now is None else moment,
    )  # fmt: skip


@pytest.fixture
def drop(tmp_path: Path) -> Path:
    """Give an empty drop folder."""
    folder = tmp_path / "drop"
    folder.mkdir()
    return folder


async def test_it_keeps_the_contract_of_sources(drop: Path) -> None:
    """Whole, in order, once, and an unfinished document first."""

    async def put(name: str, content: bytes) -> None:
        (drop / name).write_bytes(content)

    assert await check_source(lambda: source(drop), put) == []


async def test_a_file_that_is_being_written_waits_until_it_stands_still(drop: Path) -> None:
    """A writer that appends slowly is never overtaken; the whole file comes, once."""
    taken: list[bytes] = []
    progress = Remembered()
    files = source(drop, ready_after_secs=0.3)

    async def write() -> None:
        with (drop / "slow.csv").open("wb") as file:
            for _ in range(10):
                file.write(b"line\n")
                file.flush()
                await asyncio.sleep(0.05)

    async def take() -> None:
        async for item in files.documents("main", progress):
            if isinstance(item, SourceDocument):
                with item.open() as stream:
                    taken.append(stream.read())
                return

    await asyncio.wait_for(asyncio.gather(write(), take()), 20)
    assert taken == [b"line\n" * 10]


async def test_order_is_that_of_the_times_in_names_and_a_late_file_is_waited_for(drop: Path) -> None:
    """An earlier file that is not ready holds the later ones back, for a while and no longer."""
    now = [1_000_000_000.0]
    for name in ("x-20310102_0900.csv", "y-20310101_0900.csv", "z-20310103_0900.csv"):
        (drop / name).write_text(name)
        os.utime(drop / name, (now[0] - 100, now[0] - 100))
    os.utime(drop / "y-20310101_0900.csv", (now[0], now[0]))
    files = source(drop, now=now, ready_after_secs=5, order_wait_secs=60)
    progress = Remembered()
    assert await until_caught_up(files, progress) == []
    now[0] += 10
    assert [name for name, _, _ in await until_caught_up(files, progress)] == [
        "y-20310101_0900.csv", "x-20310102_0900.csv", "z-20310103_0900.csv",
    ]  # fmt: skip
    (drop / "20310104.csv").write_text("never ready")
    (drop / "20310105.csv").write_text("ready")
    os.utime(drop / "20310105.csv", (now[0] - 100, now[0] - 100))
    await until_caught_up(files, progress)
    now[0] += 61
    (drop / "20310104.csv").write_text("and still growing")
    assert [name for name, _, _ in await until_caught_up(files, progress)] == ["20310105.csv"]


async def test_a_marker_says_when_a_file_is_ready(drop: Path) -> None:
    """With a marker, standing still does not count; the marker is no document and moves with its file."""
    files = source(drop, ready_marker=".done", after="move")
    (drop / "a.csv").write_text("a")
    progress = Remembered()
    assert await until_caught_up(files, progress) == []
    (drop / "a.csv.done").touch()
    assert [name for name, _, _ in await until_caught_up(files, progress)] == ["a.csv"]
    assert sorted(path.name for path in (drop / "done").iterdir()) == ["a.csv", "a.csv.done"]


async def test_a_manifest_says_which_files_are_whole(drop: Path) -> None:
    """A file waits until a manifest names it and its size; when all have ended, the manifest goes where they went."""
    files = source(drop, ready_manifest="*.manifest", after="move")
    progress = Remembered()
    for name in ("a.csv", "b.csv", "stray.csv"):
        (drop / name).write_text(name)
    assert await until_caught_up(files, progress) == []
    (drop / "day.manifest").write_text("\ufeff# of the day\r\n\r\na.csv\r\nb.csv, 99\r\n")
    assert [name for name, _, _ in await until_caught_up(files, progress)] == ["a.csv"]
    assert (drop / "day.manifest").exists()
    (drop / "b.csv").write_text("b" * 99)
    assert [name for name, _, _ in await until_caught_up(files, progress)] == ["b.csv"]
    assert sorted(path.name for path in (drop / "done").iterdir()) == ["a.csv", "b.csv", "day.manifest"]
    assert [path.name for path in drop.glob("*.*")] == ["stray.csv"]


async def test_a_manifest_that_is_being_written_is_not_believed(drop: Path) -> None:
    """A manifest counts when it stands still itself, and one that changes is read anew."""
    now = [1_000_000_000.0]
    (drop / "a.csv").write_text("a")
    (drop / "day.manifest").write_text("a.csv")
    os.utime(drop / "day.manifest", (now[0], now[0]))
    files = source(drop, now=now, ready_after_secs=5, ready_manifest="*.manifest")
    progress = Remembered()
    assert await until_caught_up(files, progress) == []
    now[0] += 6
    assert [name for name, _, _ in await until_caught_up(files, progress)] == ["a.csv"]


async def test_a_file_that_differs_from_its_digest_is_held(drop: Path) -> None:
    """The lines of ``sha256sum`` are taken; what was cut short on its way is set aside as a whole, the rest goes on."""
    (drop / "a.csv").write_bytes(b"whole")
    (drop / "b.csv").write_bytes(b"cut sh")
    lines = [f"{hashlib.sha256(b'whole').hexdigest()}  a.csv", f"{hashlib.sha256(b'cut short').hexdigest()} *b.csv"]
    (drop / "SHA256SUMS").write_text("\n".join(lines))
    taken = await until_caught_up(source(drop, ready_manifest="SHA256SUMS"), Remembered())
    assert taken == [("a.csv", b"whole", ""), ("b.csv", b"cut sh", "document.digest-mismatch")]


async def test_two_rules_at_once_are_refused() -> None:
    """A feed says either marker or manifest."""
    with pytest.raises(ValidationError, match="two rules"):
        FilesSettings(url="x", ready_marker=".done", ready_manifest="*.manifest")


async def test_a_document_that_comes_behind_a_later_one_says_so(drop: Path) -> None:
    """It is taken when it comes and marked late, also after a restart and also where earlier files were put away."""
    progress = Remembered()
    late: list[tuple[str, bool]] = []

    async def take() -> None:
        documents = source(drop, after="move").documents("main", progress)
        async for item in documents:
            if isinstance(item, CaughtUp):
                break
            late.append((item.name, item.late))
            progress.outcomes[item.fingerprint] = "complete"
        await close(documents)

    for name in ("20310102.csv", "20310103.csv"):
        (drop / name).write_text(name)
    await take()
    (drop / "20310101.csv").write_text("late")
    (drop / "20310104.zip").write_bytes(zipped(b=b"1", a=b"2"))
    await take()
    assert late == [
        ("20310102.csv", False), ("20310103.csv", False), ("20310101.csv", True),
        ("20310104.zip!b", False), ("20310104.zip!a", False),
    ]  # fmt: skip


def zipped(**members: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/"), content)
    return packed.getvalue()


async def test_archives_are_unpacked_and_their_members_are_documents(drop: Path) -> None:
    """Gzip by its bytes whatever its name; a zip's members one by one; put away when all have ended."""
    (drop / "1.csv").write_bytes(gzip.compress(b"packed"))
    (drop / "2.zip").write_bytes(zipped(a=b"one", b=b"two"))
    files = source(drop, after="move")
    progress = Remembered()
    assert await until_caught_up(files, progress) == [
        ("1.csv", b"packed", ""), ("2.zip!a", b"one", ""), ("2.zip!b", b"two", ""),
    ]  # fmt: skip
    assert sorted(path.name for path in (drop / "done").iterdir()) == ["1.csv", "2.zip"]
    assert await until_caught_up(source(drop, after="move"), progress) == []


BOMB = zipped(a=b"0" * 30_000_000)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (gzip.compress(b"x" * 1000)[:-20], "document.archive-broken"),
        (b"PK\x03\x04 nonsense", "document.archive-broken"),
        (BOMB, "document.archive-too-large"),
        (zipped(**{"..__evil": b"x"}), "document.archive-path"),
        (zipped(a=gzip.compress(b"x")), "document.archive-nested"),
        (zipped(**{f"m{number}": b"x" for number in range(6)}), "document.archive-too-large"),
    ],
    ids=["cut", "broken", "bomb", "path", "nested", "many"],
)
async def test_a_hostile_archive_is_held_and_the_next_file_is_taken(drop: Path, content: bytes, code: str) -> None:
    """Each kind has its code, and the other files go on."""
    (drop / "1.zip").write_bytes(content)
    (drop / "2.csv").write_text("fine")
    files = source(drop, limits={"max_ratio": 20, "max_members": 5, "max_unpacked_bytes": 10**8})
    taken = await until_caught_up(files, Remembered())
    assert [(name, found) for name, _, found in taken] == [("1.zip", code), ("2.csv", "")]


async def test_a_full_spool_holds_the_document(drop: Path) -> None:
    """What does not fit is held with its code; nothing is half-read."""
    (drop / "1.gz").write_bytes(gzip.compress(os.urandom(200_000)))
    taken = await until_caught_up(source(drop, quota=100_000), Remembered())
    assert [code for _, _, code in taken] == ["document.spool-full"]


async def test_links_pipes_and_temporary_names_are_passed_over(drop: Path, tmp_path: Path) -> None:
    """Only regular files with a name of the pattern are documents."""
    (tmp_path / "secret").write_text("outside")
    (drop / "link.csv").symlink_to(tmp_path / "secret")
    os.mkfifo(drop / "pipe.csv")
    (drop / ".hidden.csv").write_text("x")
    (drop / "part.csv.tmp").write_text("x")
    (drop / "other.txt").write_text("x")
    (drop / "good.csv").write_text("x")
    assert [name for name, _, _ in await until_caught_up(source(drop, pattern="*.csv"), Remembered())] == ["good.csv"]


async def test_a_missing_folder_is_waited_for(tmp_path: Path) -> None:
    """It is a transient error with its code, and never an empty success."""
    with pytest.raises(TransientError) as caught:
        await until_caught_up(source(tmp_path / "nowhere"), Remembered())
    assert caught.value.code == "source.folder-missing"


async def test_a_change_of_the_file_is_noticed(drop: Path) -> None:
    """Another size, another time or another file under the name: each counts."""
    (drop / "a.csv").write_text("one")
    documents = source(drop).documents("main", Remembered())
    document = await anext(documents)
    assert isinstance(document, SourceDocument)
    assert document.unchanged()
    replacement = drop / ".new"
    replacement.write_text("one")
    os.utime(replacement, ns=(0, document.fingerprint.modified_ns))
    replacement.rename(drop / "a.csv")
    assert not document.unchanged()
    await close(documents)


async def test_an_after_action_can_be_redone_and_never_replaces(drop: Path) -> None:
    """Redone after a crash it changes nothing; a name that is taken gets a number."""
    files = source(drop, after="move")
    (drop / "done").mkdir()
    (drop / "done" / "a.csv").write_text("older")
    (drop / "a.csv").write_text("newer")
    fingerprint = Fingerprint("a.csv", 5, 0)
    await files.finish(fingerprint, "complete")
    await files.finish(fingerprint, "complete")
    assert {path.name: path.read_text() for path in (drop / "done").iterdir()} == {"a.csv": "older", "a.csv.1": "newer"}


async def test_shards_by_folder_keep_to_themselves(drop: Path) -> None:
    """Each top folder is a shard with its own documents."""
    for name in ("north", "south"):
        (drop / name).mkdir()
        (drop / name / "a.csv").write_text(name)
    files = source(drop, shard_by="folder", pattern="*.csv")
    assert list(files.shards()) == ["north", "south"]
    assert [content for _, content, _ in await until_caught_up(files, Remembered(), shard="south")] == [b"south"]


async def test_ten_thousand_files_are_handed_over_without_delay(drop: Path) -> None:
    """A backlog is listed once a poll, not once a file."""
    for number in range(10_000):
        (drop / f"{number:05d}.csv").touch()
    progress = Remembered()
    documents = source(drop).documents("main", progress)
    async with asyncio.timeout(20):
        for number in range(10_000):
            item = await anext(documents)
            assert isinstance(item, SourceDocument)
            assert item.name == f"{number:05d}.csv"
            progress.outcomes[item.fingerprint] = "complete"
        assert isinstance(await anext(documents), CaughtUp)
    await close(documents)


def test_a_place_that_is_not_supported_is_said_so(tmp_path: Path) -> None:
    """The scheme is named, with what is supported."""
    assert FilesSettings(url="file:///data/x").folder(tmp_path) == Path("/data/x")
    with pytest.raises(ConfigurationError, match="sftp"):
        FilesSettings(url="sftp://x/y").folder(tmp_path)

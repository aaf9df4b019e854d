"""`backbone dead`: events that a subscriber could not handle. The broker and login come from BACKBONE_... variables."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import orjson
from cyclopts import App, Parameter

from backbone.cli import output
from backbone.errors import ConfigurationError
from backbone.moments import as_utc
from backbone.subscriber.dead import Letter, Letters
from backbone.subscriber.letters import discard as discard_letters
from backbone.subscriber.letters import open_letters, try_again, with_their_cases
from backbone.subscriber.settings import Settings

app = App(name="dead", help="Events that a subscriber could not handle: look at them, have them tried again.")

COLUMNS = ("id", "type", "code", "tries", "at", "wanted")


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Filter:
    """Which letters are meant: those that fit every part that is given.

    Parameters
    ----------
    code
        Only those that were set aside with this code.
    topic
        Only those of this topic.
    type
        Only events of this type, or whose type ends so, such as status-changed.v1.
    case
        Only those of this case: the record's key.
    since
        Only those set aside at or after this time, such as 2031-06-14T08:00:00Z.
    until
        Only those set aside before this time.
    """

    code: str = ""
    topic: str = ""
    type: str = ""
    case: str = ""
    since: datetime | None = None
    until: datetime | None = None

    @property
    def chooses(self) -> bool:
        """Say whether any part is given."""
        return bool(self.code or self.topic or self.type or self.case or self.since or self.until)

    def fits(self, letter: Letter) -> bool:
        """Say whether a letter is meant."""
        at = datetime.fromisoformat(letter.at)
        return (
            self.code in {"", letter.code}
            and self.topic in {"", letter.topic}
            and (not self.type or letter.type == self.type or letter.type.endswith(f".{self.type}"))
            and (not self.case or letter.key == self.case.encode())
            and (self.since is None or at >= as_utc(self.since))
            and (self.until is None or at < as_utc(self.until))
        )


EVERYTHING = Filter()


async def _letters(name: str) -> tuple[Settings, str, Letters]:
    settings = Settings()
    topic = f"{settings.organisation}.dead.{name}"
    return settings, topic, await open_letters(settings.connection(), topic)


def _in_order(letters: Letters, wanted: Filter) -> list[Letter]:
    return [one for one in sorted(letters.open.values(), key=lambda letter: letter.number) if wanted.fits(one)]


@app.command(name="list")
async def list_(name: str, *, wanted: Filter = EVERYTHING, json: bool = False) -> int:
    """List the dead letters of a subscriber that are open, in order; the events themselves are not shown.

    Parameters
    ----------
    name
        The subscriber.
    json
        One JSON object a letter.
    """
    _, _, letters = await _letters(name)
    _show(_in_order(letters, wanted), json=json)
    return 0


def _show(letters: Iterable[Letter], *, json: bool) -> None:
    rows = [(one.id, one.type, one.code, one.tries, one.at[:19] + "Z", "yes" if one.wanted else "") for one in letters]
    if json:
        for row in rows:
            output.json_line({"schema_version": output.SCHEMA_VERSION, **dict(zip(COLUMNS, row, strict=True))})
    else:
        output.table(COLUMNS, rows, numbers=("tries",))


@app.command
async def show(name: str, letter: str, *, reveal: bool = False) -> int:
    """Show one dead letter; its data is hidden unless it is revealed.

    Parameters
    ----------
    name
        The subscriber.
    letter
        The letter's id, as the list shows it.
    reveal
        Show the event's key, headers and data.
    """
    _, _, letters = await _letters(name)
    one = _known(letters, [letter])[0]
    before = [other.id for other in letters.of_case(one) if other.offset < one.offset]
    content: dict[str, object] = {
        "id": one.id, "type": one.type, "code": one.code, "tries": one.tries, "at": one.at, "wanted": one.wanted,
        "bytes": len(one.value or b""), "before_it_in_its_case": before,
        "what_to_do": f"docs/operations.md, {one.code}",
    }  # fmt: skip
    if reveal:
        content["headers"] = {header: (value or b"").decode("utf-8", "replace") for header, value in one.headers}
        content["key"] = (one.key or b"").decode("utf-8", "replace")
        content["data"] = (one.value or b"").decode("utf-8", "replace")
    sys.stdout.write(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode() + "\n")
    return 0


@app.command
async def retry(
    name: str,
    *letter: str,
    wanted: Filter = EVERYTHING,
    every: bool = False,
    dry_run: bool = False,
    json: bool = False,
) -> int:
    """Have dead letters tried again: those named, those that a filter chooses, or every one.

    Those before them in their cases go with them, and those that were only parked behind, so that each case stays in
    order and goes on.

    Parameters
    ----------
    name
        The subscriber. It, or the next instance of it, tries them in the order of their cases.
    letter
        Ids, as the list shows them.
    every
        All that are open.
    dry_run
        List what would be tried again, and do nothing.
    json
        One JSON object a letter.
    """
    settings, topic, letters = await _letters(name)
    if not (letter or wanted.chooses or every):
        message = "name letters, a filter such as --code, or --every one"
        raise ConfigurationError(message, code="subscriber.unknown", guidance="see `backbone dead list`")
    chosen = _known(letters, letter) if letter else _in_order(letters, wanted)
    chosen = with_their_cases(letters, [one for one in chosen if wanted.fits(one)])
    if dry_run or json:
        _show(chosen, json=json)
    if not dry_run:
        await try_again(settings.connection(), topic, chosen)
    output.say(f"{len(chosen):,} dead letters {'would be' if dry_run else 'are to be'} tried again")
    return 0


@app.command
async def discard(name: str, *letter: str, dry_run: bool = False) -> int:
    """Close dead letters for good: nobody will handle these events; what follows in their cases can be retried.

    Parameters
    ----------
    name
        The subscriber.
    letter
        Ids, as the list shows them.
    dry_run
        List what would be discarded, and do nothing.
    """
    settings, topic, letters = await _letters(name)
    chosen = _known(letters, letter)
    if dry_run:
        _show(chosen, json=False)
    else:
        await discard_letters(settings.connection(), topic, chosen)
    output.say(f"{len(chosen):,} dead letters {'would be' if dry_run else 'are'} discarded")
    return 0


def _known(letters: Letters, ids: Iterable[str]) -> list[Letter]:
    missing = [one for one in ids if one not in letters.open]
    if missing:
        message = f"no open dead letter is called {', '.join(missing)}"
        raise ConfigurationError(message, code="subscriber.unknown", guidance="see `backbone dead list`")
    return [letters.open[one] for one in ids]

"""`backbone dead`: events that a subscriber could not handle. The broker and login come from BACKBONE_... variables."""

from collections.abc import Iterable

import orjson
from cyclopts import App

from backbone.cli import output
from backbone.errors import ConfigurationError
from backbone.subscriber.dead import Letter, Letters
from backbone.subscriber.letters import open_letters, try_again, with_their_cases
from backbone.subscriber.settings import Settings

app = App(name="dead", help="Events that a subscriber could not handle: look at them, have them tried again.")

COLUMNS = ("id", "type", "code", "tries", "at", "wanted")


async def _letters(name: str) -> tuple[Settings, str, Letters]:
    settings = Settings()
    topic = f"{settings.organisation}.dead.{name}"
    return settings, topic, await open_letters(settings.connection(), topic)


def _in_order(letters: Letters) -> list[Letter]:
    return sorted(letters.open.values(), key=lambda letter: letter.number)


@app.command(name="list")
async def list_(name: str, *, code: str = "", json: bool = False) -> int:
    """List the dead letters of a subscriber that are open, in order; the events themselves are not shown.

    Parameters
    ----------
    name
        The subscriber.
    code
        Only those that were set aside with this code.
    json
        One JSON object a letter.
    """
    _, _, letters = await _letters(name)
    chosen = [letter for letter in _in_order(letters) if code in {"", letter.code}]
    rows = [(one.id, one.type, one.code, one.tries, one.at[:19] + "Z", "yes" if one.wanted else "") for one in chosen]
    if json:
        for row in rows:
            output.json_line({"schema_version": output.SCHEMA_VERSION, **dict(zip(COLUMNS, row, strict=True))})
    else:
        output.table(COLUMNS, rows, numbers=("tries",))
    return 0


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
    content: dict[str, object] = {
        "id": one.id, "type": one.type, "code": one.code, "tries": one.tries, "at": one.at,
        "bytes": len(one.value or b""),
    }  # fmt: skip
    if reveal:
        content["headers"] = {header: value.decode("utf-8", "replace") for header, value in one.headers}
        content["key"] = (one.key or b"").decode("utf-8", "replace")
        content["data"] = (one.value or b"").decode("utf-8", "replace")
    output.say(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode())
    return 0


@app.command
async def retry(name: str, *letter: str, code: str = "", every: bool = False, dry_run: bool = False) -> int:
    """Have dead letters tried again: those named, those of a code, or every one; and those before them in their cases.

    Parameters
    ----------
    name
        The subscriber. It, or the next instance of it, tries them in the order of their cases.
    letter
        Ids, as the list shows them.
    code
        Those that were set aside with this code.
    every
        All that are open.
    dry_run
        Say how many, and do nothing.
    """
    settings, topic, letters = await _letters(name)
    if not (letter or code or every):
        message = "name letters, a --code, or --every one"
        raise ConfigurationError(message, code="subscriber.unknown", guidance="see `backbone dead list`")
    chosen: Iterable[Letter] = _known(letters, letter)
    if every or code:
        chosen = [one for one in _in_order(letters) if every or one.code == code]
    wanted = with_their_cases(letters, chosen)
    if not dry_run:
        await try_again(settings.connection(), topic, wanted)
    output.say(f"{len(wanted):,} dead letters {'would be' if dry_run else 'are to be'} tried again")
    return 0


def _known(letters: Letters, ids: Iterable[str]) -> list[Letter]:
    missing = [one for one in ids if one not in letters.open]
    if missing:
        message = f"no open dead letter is called {', '.join(missing)}"
        raise ConfigurationError(message, code="subscriber.unknown", guidance="see `backbone dead list`")
    return [letters.open[one] for one in ids]

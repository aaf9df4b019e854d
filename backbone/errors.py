"""Every error that Backbone raises on purpose, grouped by what to do about it.

    BackboneError(code, message, guidance)
    ├─ ConfigurationError      refuse to start; every problem is listed; exit 2
    ├─ TransientError          wait and retry within a deadline, then stall visibly
    │   └─ UnreachableError    a dependency does not answer or refuses our credentials; exit 3
    ├─ RecordError             set this record aside as a reject and go on
    │   ├─ MalformedError      the bytes are not a record of the declared format
    │   ├─ UnmappedCodeError   a code that the table does not hold
    │   ├─ SchemaError         a field is missing or out of its vocabulary
    │   └─ OversizeError       larger than a record or an event may be
    ├─ DocumentError           hold this document as a whole and go on with the next
    └─ FatalError              stop this feed only; nothing is acknowledged; alert
        ├─ FencedError         another process owns our transactional id
        └─ MadeAnewError       a topic that was written to is another one now

``code`` is bounded text, one dotted area and then kebab case (``record.unmapped-code``): it is a metric label and
the anchor of an entry in ``docs/operations.md``. Messages name fields and places, never the value of a field.
"""

import re
from typing import Final

_CODE: Final = re.compile(r"(?=.{1,40}$)[A-Za-z0-9][A-Za-z0-9._/+-]*( [a-z0-9][a-z0-9._/+-]*)*")
"""A code, or a label in sentence case; names and addresses have capitals in their later words."""


class BackboneError(Exception):
    """Carry a bounded code, a sentence for people and what to do about it."""

    default_code = "internal.error"

    def __init__(self, message: str, *, code: str = "", guidance: str = "") -> None:
        """Keep the parts apart, so that a table, a log line and JSON can each show them."""
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.guidance = guidance


class ConfigurationError(BackboneError):
    """Refuse to start: the deployment file, an adapter or a topic is not as it must be."""

    default_code = "config.invalid"


class TransientError(BackboneError):
    """Wait and try again: the cause is expected to pass."""

    default_code = "dependency.failed"


class UnreachableError(TransientError):
    """Say that a dependency does not answer, or refuses our credentials."""

    default_code = "broker.unreachable"


class RecordError(BackboneError):
    """Set one record aside, with the field that is wrong where it is known."""

    default_code = "record.invalid"

    def __init__(self, message: str, *, code: str = "", field: str = "", guidance: str = "") -> None:
        """Name the field of the legacy record; never its value."""
        super().__init__(message, code=code, guidance=guidance)
        self.field = field


class MalformedError(RecordError):
    """Say that the bytes are not a record of the declared format."""

    default_code = "record.malformed"


class UnmappedCodeError(RecordError):
    """Say that a code is missing from its table; ``legacy_code`` may be shown, as codes are not personal."""

    default_code = "record.unmapped-code"

    def __init__(self, field: str, legacy_code: str, *, table: str = "") -> None:
        """Name the field and the code, so that an operator can add it to the table.

        In a shifted row, free text may stand where a code should: what does not look like one is not shown.
        """
        where = f" of table {table}" if table else ""
        shown = legacy_code if _CODE.fullmatch(legacy_code) else ""
        said = f"holds code {shown!r}" if shown or not legacy_code else "holds text that is not a code by its looks"
        super().__init__(
            f"{field} {said}, which is no entry{where}",
            field=field,
            guidance='add the code to the table in the feed\'s options, or a "*" entry for every other code',
        )
        self.legacy_code = shown


class SchemaError(RecordError):
    """Say that a field is missing or does not fit the record's or the event's schema."""

    default_code = "record.schema"


class OversizeError(RecordError):
    """Say that a field, a record or an event is larger than it may be."""

    default_code = "record.oversize"


class DocumentError(BackboneError):
    """Hold the whole document: nothing of it is published until somebody decides."""

    default_code = "document.malformed"


class FatalError(BackboneError):
    """Stop this feed; the others go on."""

    default_code = "feed.fatal"


class FencedError(FatalError):
    """Say that another process has taken over our transactional id."""

    default_code = "feed.fenced"


class MadeAnewError(FatalError):
    """Say that a topic was deleted and made anew: what was written to it is gone."""

    default_code = "topic.made-anew"

    def __init__(self, topic: str) -> None:
        """Name the topic."""
        super().__init__(
            f"{topic} is not the topic that was written to before: it was deleted and made anew",
            guidance="see the runbook: nothing more is published until somebody decides",
        )


EXIT_FATAL: Final = 5
EXIT_DENIED: Final = 4
EXIT_HUNG: Final = 6
DENIED: Final = frozenset({"broker.topic-denied", "broker.group-denied", "broker.transactional-id-denied"})


def exit_code(error: BackboneError) -> int:
    """Return the exit code that tells a script what kind of problem it was."""
    if error.code in DENIED:
        return EXIT_DENIED
    if isinstance(error, ConfigurationError):
        return 2
    if isinstance(error, UnreachableError):
        return 3
    return EXIT_FATAL if isinstance(error, FatalError) else 1


def places_of(error: BaseException, most: int = 6) -> list[str]:
    """Return where in the code an error came up, ``module:line``, the innermost last.

    The message of a foreign error may hold a value and is never logged; this is what is said in its place.
    """
    places, trace = [], error.__traceback__
    while trace is not None:
        places.append(f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}")
        trace = trace.tb_next
    return places[-most:]

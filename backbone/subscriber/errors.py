"""What a handler may raise to say what should become of an event, and why events are set aside."""

import re
from typing import Final

from backbone.errors import BackboneError

CODE: Final = re.compile(r"(?=.{3,60}$)[a-z][a-z0-9-]*\.[a-z0-9][a-z0-9-]*")


class PermanentError(BackboneError):
    """Say that trying again is of no use: the event goes to the dead-letter topic at once.

    ``code`` is why, in a few words that never change, such as ``handler.unknown-case``: it is a metric's label, so what
    is not of that form is ``handler.permanent``. The message is not logged, as it may hold a value.
    """

    default_code = "handler.permanent"

    def __init__(self, message: str, *, code: str = "", guidance: str = "") -> None:
        """Take a sentence for the handler's own tests, and the code."""
        super().__init__(message, code=code if CODE.fullmatch(code) else "", guidance=guidance)


class UnreadableError(BackboneError):
    """Say why a record cannot become an event; it goes to the dead-letter topic at once."""

    default_code = "event.undecodable"


BEHIND_DEAD: Final = "event.behind-dead"
"""The code of an event whose case has an earlier one on the dead-letter topic."""
HANDLER_FAILED: Final = "handler.failed"
"""The code of an event that a handler failed on as often as it may."""

"""What a handler may raise to say what should become of an event, and why events are set aside."""

from typing import Final

from backbone.errors import BackboneError


class PermanentError(BackboneError):
    """Say that trying again is of no use: the event goes to the dead-letter topic at once."""

    default_code = "handler.permanent"


class UnreadableError(BackboneError):
    """Say why a record cannot become an event; it goes to the dead-letter topic at once."""

    default_code = "event.undecodable"


BEHIND_DEAD: Final = "event.behind-dead"
"""The code of an event whose case has an earlier one on the dead-letter topic."""
HANDLER_FAILED: Final = "handler.failed"
"""The code of an event that a handler failed on as often as it may."""

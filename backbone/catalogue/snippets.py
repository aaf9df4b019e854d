"""How to subscribe, as code to copy: the programs of ``examples/subscribers``, for any event. Pure.

They are whole programs that name one topic and one type of event; the tests run them as they stand. Here those names
are replaced by the ones of another event, so that the pages show what was run.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from backbone.contracts.envelope import ORGANISATION
from schemas.servicerequests.v1 import StatusChanged
from schemas.shared import Event

EXAMPLES: Final = (
    ("Python, with the backbone's own library", "with_backbone.py"),
    ("Python, with aiokafka", "with_aiokafka.py"),
    ("Python, with confluent-kafka", "with_confluent_kafka.py"),
    ("Java", "Subscriber.java"),
    ("Node.js", "subscriber.mjs"),
    ("Shell, with the console consumer", "console_consumer.sh"),
)


@dataclass(frozen=True, slots=True)
class Snippet:
    """One way of subscribing."""

    title: str
    file: str
    text: str


def snippets(event: type[Event]) -> list[Snippet]:
    """Return each way of receiving one event, complete and ready to copy."""
    replaced = dict(zip(_names(StatusChanged), _names(event), strict=True))
    made = []
    for title, file in EXAMPLES:
        text = _text(file)
        for name, other in replaced.items():
            text = text.replace(name, other)
        made.append(Snippet(title, file, text))
    return made


def _names(event: type[Event]) -> tuple[str, ...]:
    """Return what an example says of its event; none of them is a part of another."""
    return event.event_type, f"{ORGANISATION}.{event.topic_suffix}", event.__module__, event.__name__


@cache
def _text(file: str) -> str:
    return _folder().joinpath(file).read_text("utf-8")


def _folder() -> Traversable:
    """Return where the examples lie: within the package once it is built, beside it in a checkout."""
    packaged = files("backbone.catalogue").joinpath("subscribers")
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "examples" / "subscribers"

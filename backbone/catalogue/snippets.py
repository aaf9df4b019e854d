"""How to subscribe, as code to copy: the texts lie in ``snippets/``, and what differs is filled in. Pure."""

from dataclasses import dataclass
from importlib.resources import files
from string import Template
from typing import Final

from backbone.contracts.envelope import ORGANISATION
from schemas.shared import Event

TEXTS: Final = (
    ("Python, with the backbone's own library", "with_backbone.py.txt"),
    ("Python, with aiokafka alone", "with_aiokafka.py.txt"),
    ("Java", "Subscriber.java.txt"),
    ("Command line, with kcat", "with_kcat.sh.txt"),
)


@dataclass(frozen=True, slots=True)
class Snippet:
    """One way of subscribing."""

    title: str
    file: str
    text: str


def snippets(event: type[Event]) -> list[Snippet]:
    """Return each way of receiving one event, complete and ready to copy."""
    values = {
        "topic": f"{ORGANISATION}.{event.topic_suffix}",
        "type": event.event_type,
        "event": event.__name__,
        "module": event.__module__,
        "organisation": ORGANISATION,
    }
    folder = files("backbone.catalogue").joinpath("snippets")
    return [
        Snippet(title, file.removesuffix(".txt"), Template(folder.joinpath(file).read_text("utf-8")).substitute(values))
        for title, file in TEXTS
    ]

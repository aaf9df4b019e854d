"""Whether the events of a deployment are still what was released: looked at before a worker starts."""

from collections.abc import Iterable

from backbone.compatibility import compare
from backbone.errors import ConfigurationError
from backbone.schema_export import committed, family_schema
from schemas.families import FAMILIES
from schemas.shared import Event


def ensure_as_released(events: Iterable[type[Event]]) -> None:
    """Raise ConfigurationError where a family of these events would break its readers or writers."""
    names = dict.fromkeys(f"{event_class.family}.v{event_class.major}" for event_class in events)
    for name in names:
        released = committed(name, "released")
        changes = [] if released is None else compare(released, family_schema(name, FAMILIES[name]))
        for change in changes:
            if change.breaking:
                message = f"{name} is not as it was released: {change.path}: {change.reason}"
                guidance = "install the released package; a breaking change is a new major version"
                raise ConfigurationError(message, code="config.schema-breaks", guidance=guidance)

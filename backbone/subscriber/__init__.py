"""Read the backbone's events: typed, in order within a case, each handled or set aside, never lost or skipped.

Example::

    subscriber = Subscriber("tell-us-once", Settings(organisation="dwp"))

    @subscriber.on(DeathRegistered, organisations=["E09000022", "E08*"])
    async def handle(event: Event[DeathRegistered]) -> None:
        await records.close(event.data.registration_ref, event.id)

    subscriber.main()
"""

from backbone.subscriber.errors import PermanentError
from backbone.subscriber.event import Event
from backbone.subscriber.settings import Settings
from backbone.subscriber.subscriber import Subscriber
from backbone.subscriber.transform import Transform
from backbone.subscriber.translating import Output

__all__ = ["Event", "Output", "PermanentError", "Settings", "Subscriber", "Transform"]

"""Every family that is published, by name: an explicit table, nothing is scanned."""

from types import ModuleType

from schemas.addresses import lifecycle as addresses_lifecycle
from schemas.addresses import v1 as addresses_v1
from schemas.benefits import lifecycle as benefits_lifecycle
from schemas.benefits import v1 as benefits_v1
from schemas.careevents import lifecycle as careevents_lifecycle
from schemas.careevents import v1 as careevents_v1
from schemas.counciltax import lifecycle as counciltax_lifecycle
from schemas.counciltax import v1 as counciltax_v1
from schemas.housingrepairs import lifecycle as housingrepairs_lifecycle
from schemas.housingrepairs import v1 as housingrepairs_v1
from schemas.licences import lifecycle as licences_lifecycle
from schemas.licences import v1 as licences_v1
from schemas.lifeevents import lifecycle as lifeevents_lifecycle
from schemas.lifeevents import v1 as lifeevents_v1
from schemas.planning import lifecycle as planning_lifecycle
from schemas.planning import v1 as planning_v1
from schemas.planningenforcement import lifecycle as planningenforcement_lifecycle
from schemas.planningenforcement import v1 as planningenforcement_v1
from schemas.servicerequests import lifecycle as servicerequests_lifecycle
from schemas.servicerequests import v1 as servicerequests_v1
from schemas.shared import Event
from schemas.shared.lifecycle import Lifecycle
from schemas.streetworks import lifecycle as streetworks_lifecycle
from schemas.streetworks import v1 as streetworks_v1
from schemas.wastecollections import lifecycle as wastecollections_lifecycle
from schemas.wastecollections import v1 as wastecollections_v1
from schemas.wastesubscriptions import lifecycle as wastesubscriptions_lifecycle
from schemas.wastesubscriptions import v1 as wastesubscriptions_v1

FAMILIES: dict[str, ModuleType] = {
    "addresses.v1": addresses_v1,
    "benefits.v1": benefits_v1,
    "careevents.v1": careevents_v1,
    "counciltax.v1": counciltax_v1,
    "housingrepairs.v1": housingrepairs_v1,
    "licences.v1": licences_v1,
    "lifeevents.v1": lifeevents_v1,
    "planning.v1": planning_v1,
    "planningenforcement.v1": planningenforcement_v1,
    "servicerequests.v1": servicerequests_v1,
    "streetworks.v1": streetworks_v1,
    "wastecollections.v1": wastecollections_v1,
    "wastesubscriptions.v1": wastesubscriptions_v1,
}

LIFECYCLES: dict[str, Lifecycle] = {
    "addresses.v1": addresses_lifecycle.LIFECYCLE,
    "benefits.v1": benefits_lifecycle.LIFECYCLE,
    "careevents.v1": careevents_lifecycle.LIFECYCLE,
    "counciltax.v1": counciltax_lifecycle.LIFECYCLE,
    "housingrepairs.v1": housingrepairs_lifecycle.LIFECYCLE,
    "licences.v1": licences_lifecycle.LIFECYCLE,
    "lifeevents.v1": lifeevents_lifecycle.LIFECYCLE,
    "planning.v1": planning_lifecycle.LIFECYCLE,
    "planningenforcement.v1": planningenforcement_lifecycle.LIFECYCLE,
    "servicerequests.v1": servicerequests_lifecycle.LIFECYCLE,
    "streetworks.v1": streetworks_lifecycle.LIFECYCLE,
    "wastecollections.v1": wastecollections_lifecycle.LIFECYCLE,
    "wastesubscriptions.v1": wastesubscriptions_lifecycle.LIFECYCLE,
}
"""The life of a case in each family."""

_BY_TYPE: dict[str, type[Event]] = {
    event_class.event_type: event_class for module in FAMILIES.values() for event_class in module.EVENTS
}


def event_class(event_type: str) -> type[Event] | None:
    """Return the class of a ``ce_type``, or None for one that this version does not know."""
    return _BY_TYPE.get(event_type)

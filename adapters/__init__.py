"""The adapters that ship with Backbone: an explicit list, nothing is scanned."""

from typing import Any

from adapters.gro_deaths import adapter as gro_deaths
from adapters.planning_register import adapter as planning_register
from adapters.symology import history_adapter, updates_adapter
from backbone import Adapter

ADAPTERS: tuple[Adapter[Any, Any], ...] = (gro_deaths, planning_register, history_adapter, updates_adapter)

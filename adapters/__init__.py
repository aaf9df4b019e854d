"""The adapters that ship with Backbone: an explicit list, nothing is scanned."""

from adapters.symology import updates_adapter

ADAPTERS = (updates_adapter,)

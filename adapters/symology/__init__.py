"""Symology Insight: highways and street cleansing, from its CSV updates and its XML request histories."""

from adapters.symology.history import adapter as history_adapter
from adapters.symology.updates import adapter as updates_adapter

__all__ = ["history_adapter", "updates_adapter"]

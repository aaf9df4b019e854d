"""Symology Insight: highways and street cleansing, from its CSV updates and its XML request histories."""

from adapters.symology.updates import adapter as updates_adapter

__all__ = ["updates_adapter"]

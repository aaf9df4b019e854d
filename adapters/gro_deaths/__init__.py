"""General Register Office: the daily extract of death registrations and their updates."""

from adapters.gro_deaths.extract import adapter

__all__ = ["adapter"]

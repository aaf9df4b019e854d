"""The MHCLG planning register: applications, their timeline and their decisions, as published CSV files."""

from adapters.planning_register.register import adapter

__all__ = ["adapter"]

"""Repairs of rented homes, from the work order to its completion."""

"""Breaches of planning control, from the report to the closing of the case."""

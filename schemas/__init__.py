"""What events on the backbone mean: one package a family, one module a major version.

Imports pydantic and the standard library only, so that a subscriber can use it without the rest.
"""

"""Whether a family's schema may follow another within one major version. Pure.

A released schema changes only by adding optional fields and events; anything that lets data through that readers of
the old one do not expect, or that refuses data that was right, is breaking. Markings may become stricter, never
weaker.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

MARKING_ORDER: Final = ("none", "personal", "special", "criminal")
TIGHTER_WHEN_HIGHER: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems")
TIGHTER_WHEN_LOWER: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")
EXACT: Final = ("type", "pattern", "const", "format")


@dataclass(frozen=True, slots=True)
class Change:
    """One difference: where, what, and whether it breaks readers or writers."""

    path: str
    kind: str
    breaking: bool
    reason: str


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """Return every change between two family schemas, breaking ones first."""
    changes = list(_definitions(old.get("$defs", {}), new.get("$defs", {})))
    return sorted(changes, key=lambda change: (not change.breaking, change.path))


def _definitions(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for name in old.keys() - new.keys():
        yield Change(name, "removed", breaking=True, reason="readers wait for it")
    for name in new.keys() - old.keys():
        yield Change(name, "added", breaking=False, reason="readers pass over what they do not know")
    for name in sorted(old.keys() & new.keys()):
        yield from _node(name, old[name], new[name])


def _node(path: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    """Compare two schemas at one place."""
    yield from _fields(path, old, new)
    yield from _values(path, old, new)
    yield from _constraints(path, old, new)
    yield from _marking(path, old, new)
    if "x-event-type" in old and old["x-event-type"] != new.get("x-event-type"):
        yield Change(path, "event type changed", breaking=True, reason="readers choose events by their type")
    if ("items" in old) and ("items" in new):
        yield from _node(f"{path}[]", old["items"], new["items"])
    yield from _alternatives(path, old, new)


def _fields(path: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    before, after = old.get("properties", {}), new.get("properties", {})
    needed_before, needed_after = set(old.get("required", ())), set(new.get("required", ()))
    for name in before.keys() - after.keys():
        yield Change(f"{path}.{name}", "field removed", breaking=True, reason="data that was right is refused")
    for name in after.keys() - before.keys():
        if name in needed_after:
            yield Change(f"{path}.{name}", "required field added", breaking=True, reason="older data lacks it")
        else:
            yield Change(f"{path}.{name}", "optional field added", breaking=False, reason="readers pass over it")
    for name in sorted(before.keys() & after.keys()):
        if name in needed_after - needed_before:
            yield Change(f"{path}.{name}", "made required", breaking=True, reason="older data may lack it")
        if name in needed_before - needed_after:
            yield Change(f"{path}.{name}", "made optional", breaking=True, reason="readers count on it")
        yield from _node(f"{path}.{name}", before[name], after[name])


def _values(path: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    before, after = old.get("enum"), new.get("enum")
    if before is None or after is None:
        if before != after:
            yield Change(path, "list of values changed", breaking=True, reason="a closed list opened or closed")
        return
    for value in [value for value in before if value not in after]:
        yield Change(path, f"value {value} removed", breaking=True, reason="data that was right is refused")
    is_open = new.get("x-open-list", False) and old.get("x-open-list", False)
    for value in [value for value in after if value not in before]:
        yield Change(path, f"value {value} added", breaking=not is_open, reason="readers know the list as closed")


def _constraints(path: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for name in EXACT:
        if old.get(name) != new.get(name):
            yield Change(path, f"{name} changed", breaking=True, reason=f"from {old.get(name)} to {new.get(name)}")
    for names, sign in ((TIGHTER_WHEN_HIGHER, 1), (TIGHTER_WHEN_LOWER, -1)):
        for name in names:
            before, after = old.get(name), new.get(name)
            if before == after:
                continue
            # readers rely on what was promised, so a looser bound breaks them as a tighter one breaks writers
            tighter = before is None or (after is not None and sign * (after - before) > 0)
            kind = "tightened" if tighter else "loosened"
            yield Change(path, f"{name} {kind}", breaking=True, reason=f"from {before} to {after}")
    if old.get("$ref") != new.get("$ref"):
        yield Change(path, "refers to another definition", breaking=True, reason=str(new.get("$ref")))
    if old.get("additionalProperties", True) != new.get("additionalProperties", True):
        yield Change(path, "additionalProperties changed", breaking=True, reason="unknown fields are treated otherwise")


def _alternatives(path: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    before, after = old.get("anyOf"), new.get("anyOf")
    if before == after:
        return
    if before is None or after is None or len(before) != len(after):
        yield Change(path, "alternatives changed", breaking=True, reason="a type was widened or narrowed")
        return
    for index, (one, other) in enumerate(zip(before, after, strict=True)):
        yield from _node(f"{path}|{index}", one, other)


def _marking(path: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    before, after = old.get("x-data-category"), new.get("x-data-category")
    if before == after:
        return
    weaker = before is not None and (after is None or MARKING_ORDER.index(after) < MARKING_ORDER.index(before))
    kind = "marking weakened" if weaker else "marking strengthened"
    reason = "personal data would lose its protection" if weaker else "it is protected more than before"
    yield Change(path, kind, breaking=weaker, reason=reason)

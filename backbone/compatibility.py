"""Whether a family's schema may follow another within one major version. Pure.

A released schema changes only by adding optional fields and events, by adding values to a list that says that it is
open, and by marking data as more sensitive than before. Anything that refuses data that was right breaks writers;
anything that lets data through that readers of the old schema do not expect breaks readers. What no rule here knows,
and what ``jsonschema_rs`` cannot prove to be the same, is breaking until somebody has looked at it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any, Final

import jsonschema_rs
from jsonschema_rs.canonical import Containment

MARKING_ORDER: Final = ("none", "personal", "special", "criminal")
CLASSIFICATION_ORDER: Final = ("open", "official", "official-sensitive")
TIGHTER_WHEN_HIGHER: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems")
TIGHTER_WHEN_LOWER: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")

TEXTS: Final = frozenset({"title", "description", "examples", "$comment", "x-value-descriptions"})
"""What people read; it decides nothing about data."""

COMPARED_BELOW: Final = frozenset({
    "properties", "required", "items", "anyOf", "enum", "x-open-list", *TIGHTER_WHEN_HIGHER, *TIGHTER_WHEN_LOWER,
    "x-data-category", "x-data-subject", "x-classification", "x-event-type", "default", "$ref",
})  # fmt: skip
"""Keywords with a rule of their own; any other one that differs needs a review."""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference: where, what, and whether it breaks readers or writers."""

    path: str
    kind: str
    breaking: bool
    reason: str
    family: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the change for programs."""
        return asdict(self)


def compare_families(
    old: Mapping[str, Mapping[str, Any]], new: Mapping[str, Mapping[str, Any]], today: date
) -> list[Change]:
    """Return every change between two sets of family schemas by name (``planning.v1``), breaking ones first.

    A new family and a new major version beside the old one break nobody. A version that is gone breaks its readers
    until the sunset date that it had announced (``x-sunset``) is over.
    """
    changes = [
        replace(change, family=name) for name in old.keys() & new.keys() for change in compare(old[name], new[name])
    ]
    for name in old.keys() - new.keys():
        sunset = old[name].get("x-sunset")
        over = sunset is not None and date.fromisoformat(sunset) < today
        reason = f"its sunset was on {sunset}" if over else "its readers were told of no sunset that is over"
        changes.append(Change(name, "version removed", breaking=not over, reason=reason, family=name))
    for name in new.keys() - old.keys():
        earlier = any(other.split(".")[0] == name.split(".")[0] for other in old)
        kind = "major version added" if earlier else "family added"
        changes.append(Change(name, kind, breaking=False, reason="it has topics of its own", family=name))
    return sorted(changes, key=lambda change: (not change.breaking, change.family, change.path, change.kind))


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """Return every change between two family schemas, breaking ones first."""
    changes = list(_definitions(old.get("$defs", {}), new.get("$defs", {})))
    return sorted(changes, key=lambda change: (not change.breaking, change.path, change.kind))


def _definitions(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for name in old.keys() - new.keys():
        yield Change(name, "removed", breaking=True, reason="readers wait for it")
    for name in new.keys() - old.keys():
        yield Change(name, "added", breaking=False, reason="readers pass over what they do not know")
    for name in sorted(old.keys() & new.keys()):
        yield from _node(name, old[name], new[name])


def _node(path: str, old: Mapping[str, Any], new: Mapping[str, Any], *, open_list: bool = False) -> Iterator[Change]:
    """Compare two schemas at one place; ``open_list`` is handed down from a field to its alternatives."""
    open_list = open_list or (old.get("x-open-list", False) and new.get("x-open-list", False))
    yield from _meaning(path, old, new)
    if _rules(old) != _rules(new) and _same_values(old, new):
        yield Change(path, "written differently", breaking=False, reason="it takes exactly the same values")
        return
    yield from _fields(path, old, new)
    yield from _values(path, old, new, open_list=open_list)
    yield from _bounds(path, old, new)
    if old.get("$ref") != new.get("$ref"):
        yield Change(path, "refers to another definition", breaking=True, reason=str(new.get("$ref")))
    if ("items" in old) != ("items" in new):
        yield Change(path, "items changed", breaking=True, reason="a list is checked otherwise")
    elif "items" in old:
        yield from _node(f"{path}[]", old["items"], new["items"])
    yield from _alternatives(path, old, new, open_list=open_list)
    for name in sorted((old.keys() | new.keys()) - COMPARED_BELOW - TEXTS):
        if old.get(name) != new.get(name):
            reason = f"from {old.get(name)} to {new.get(name)}: {_consequence(old, new)}"
            yield Change(path, f"{name} {_direction(old, new)}", breaking=True, reason=reason)


def _rules(node: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides about values, without texts, markings and what is compared field by field."""
    return {
        name: value
        for name, value in node.items()
        if name not in TEXTS and name not in {"properties", "required", "default"} and not name.startswith("x-")
    }


def _same_values(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Return whether two places are proved to take the same values; no proof means no.

    Only for places without fields or markings below: those are compared one by one. A reference stands for a value
    of its own, so that two references are the same when they have the same name.
    """
    return _covering(old, new) == (True, True)


def _covering(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[bool, bool]:
    """Return whether the old place is proved to take all that the new one takes, and the other way round."""
    if any(_holds_fields(_rules(node)) or "properties" in node for node in (old, new)):
        return False, False
    try:
        one, other = (jsonschema_rs.canonicalize(_opaque(_rules(node))) for node in (old, new))
        return one.covers(other) == Containment.YES, other.covers(one) == Containment.YES
    except ValueError:
        return False, False


def _direction(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Say which way a place went, where that can be proved."""
    return {(True, False): "narrowed", (False, True): "widened"}.get(_covering(old, new), "changed")


def _consequence(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    return {
        "narrowed": "data that was right is refused",
        "widened": "readers meet data that they do not expect",
        "changed": "needs a review",
    }[_direction(old, new)]


def _holds_fields(node: Any) -> bool:
    if isinstance(node, dict):
        return any(name == "properties" or name.startswith("x-") or _holds_fields(node[name]) for name in node)
    return isinstance(node, list) and any(_holds_fields(value) for value in node)


def _opaque(node: Any) -> Any:
    if isinstance(node, dict):
        if "$ref" in node:
            return {"const": {"$ref": node["$ref"]}}
        return {name: _opaque(value) for name, value in node.items() if name not in TEXTS and not name.startswith("x-")}
    return [_opaque(value) for value in node] if isinstance(node, list) else node


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


def _values(path: str, old: Mapping[str, Any], new: Mapping[str, Any], *, open_list: bool) -> Iterator[Change]:
    before, after = old.get("enum"), new.get("enum")
    if before is None or after is None:
        if before != after:
            yield Change(path, "list of values changed", breaking=True, reason="a closed list opened or closed")
        return
    for value in [value for value in before if value not in after]:
        yield Change(path, f"value {value} removed", breaking=True, reason="data that was right is refused")
    for value in [value for value in after if value not in before]:
        reason = "the list says that it is open" if open_list else "readers know the list as closed"
        yield Change(path, f"value {value} added", breaking=not open_list, reason=reason)


def _bounds(path: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for names, sign in ((TIGHTER_WHEN_HIGHER, 1), (TIGHTER_WHEN_LOWER, -1)):
        for name in names:
            before, after = old.get(name), new.get(name)
            if before == after:
                continue
            # readers rely on what was promised, so a looser bound breaks them as a tighter one breaks writers
            tighter = before is None or (after is not None and sign * (after - before) > 0)
            kind = "tightened" if tighter else "loosened"
            yield Change(path, f"{name} {kind}", breaking=True, reason=f"from {before} to {after}")


def _alternatives(path: str, old: Mapping[str, Any], new: Mapping[str, Any], *, open_list: bool) -> Iterator[Change]:
    before, after = old.get("anyOf"), new.get("anyOf")
    if before == after:
        return
    if before is None or after is None or len(before) != len(after):
        yield Change(path, f"type {_direction(old, new)}", breaking=True, reason=_consequence(old, new))
        return
    for index, (one, other) in enumerate(zip(before, after, strict=True)):
        yield from _node(f"{path}|{index}", one, other, open_list=open_list)


def _meaning(path: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    """Compare what an event is called and how its data is protected."""
    if old.get("x-event-type") != new.get("x-event-type"):
        yield Change(path, "event type changed", breaking=True, reason="readers choose events by their type")
    if old.get("default") != new.get("default"):
        yield Change(path, "default changed", breaking=True, reason="an absent field would mean something else")
    yield from _protection(path, "marking", MARKING_ORDER, old.get("x-data-category"), new.get("x-data-category"))
    yield from _protection(
        path, "classification", CLASSIFICATION_ORDER, old.get("x-classification"), new.get("x-classification")
    )
    if "x-data-subject" in old and old["x-data-subject"] != new.get("x-data-subject"):
        yield Change(
            path, "data subject changed", breaking=True, reason="rights and retention hang on whose data it is"
        )


def _protection(
    path: str, what: str, order: tuple[str, ...], before: str | None, after: str | None
) -> Iterator[Change]:
    if before == after:
        return
    stronger = after in order and (before is None or (before in order and order.index(after) > order.index(before)))
    if stronger:
        yield Change(path, f"{what} strengthened", breaking=False, reason="data is protected more than before")
    else:
        yield Change(path, f"{what} weakened", breaking=True, reason="data would lose its protection")

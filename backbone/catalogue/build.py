"""Write the catalogue as files that need no server, no network and, for reading, no JavaScript."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from jinja2 import ChoiceLoader, Environment, PackageLoader, PrefixLoader
from markupsafe import Markup, escape

from backbone.catalogue.coverage import Source
from backbone.catalogue.diagram import draw
from backbone.catalogue.lifecycle import Lifecycle, in_order
from backbone.catalogue.model import CATEGORIES, FamilyView, family_views, personal_fields, sentence
from backbone.catalogue.snippets import snippets
from backbone.contracts.files import FORMATS, contract_files, write_files

ASSETS: Final = ("govuk.css", "catalogue.css", "search.js", "LICENSE-govuk-frontend.txt")


@dataclass(frozen=True, slots=True)
class Page:
    """One page: where it lies, which template makes it, and of what."""

    path: str
    template: str
    content: Mapping[str, Any]


def build(folder: Path, families: Mapping[str, ModuleType], sources: Sequence[Source]) -> list[Path]:
    """Write the whole site below a folder; return its files. The same vocabulary gives the same bytes."""
    views = family_views(families, sources)
    environment = _environment()
    written = [path for kind in FORMATS for path in _contracts(folder, families, kind)]
    static = files("backbone.catalogue").joinpath("static")
    made = {f"assets/{name}": static.joinpath(name).read_text("utf-8") for name in ASSETS}
    made["assets/search-index.js"] = search_index(views)
    for page in _pages(views, sources):
        root = "../" * page.path.count("/")
        template = environment.get_template(page.template)
        made[page.path] = template.render(page.content, root=root, page=page.path, families=views) + "\n"
    return [*written, *write_files(folder, made)]


def _contracts(folder: Path, families: Mapping[str, ModuleType], kind: Any) -> list[Path]:
    return write_files(folder / "contracts" / kind, contract_files(families, kind))


def _pages(views: Sequence[FamilyView], sources: Sequence[Source]) -> list[Page]:
    general = [
        Page("index.html", "home.html", {}),
        Page("data-protection.html", "data_protection.html", {"rows": personal_fields(views)}),
        Page("coverage.html", "coverage.html", {"sources": sources}),
        Page("subscribe.html", "subscribe.html", {}),
    ]
    for family in views:
        first = family.events[0]
        content = {
            "family": family, "diagram": _diagram(family), "steps": _steps(family.lifecycle),
            "state_diagram": _state_diagram(family), "state_steps": _steps(family.states),
        }  # fmt: skip
        general.append(Page(family.page, "family.html", {**content, "snippets": snippets(first.event)}))
        general += [
            Page(
                event.page,
                "event.html",
                {
                    "family": family,
                    "event": event,
                    "step": _step(family.lifecycle, event.event.fact),
                    "snippets": snippets(event.event),
                },
            )
            for event in family.events
        ]
    return general


def _diagram(family: FamilyView) -> Markup:
    if family.lifecycle is None:
        return Markup()
    title = f"Life-cycle of {family.title.lower()}"
    drawn = draw(family.lifecycle, title, sentence, lambda fact: f"../{family.called(fact).page}", "events")
    return Markup(drawn)  # noqa: S704 - the drawing escapes what it is given


def _state_diagram(family: FamilyView) -> Markup:
    if family.states is None:
        return Markup()
    drawn = draw(family.states, f"States of {family.title.lower()}", lambda state: state, lambda _: "#lists", "states")
    return Markup(drawn)  # noqa: S704 - the drawing escapes what it is given


@dataclass(frozen=True, slots=True)
class Step:
    """What may come before and after a fact."""

    fact: str
    starts: bool
    ends: bool
    before: tuple[str, ...]
    after: tuple[str, ...]


def _steps(cycle: Lifecycle | None) -> list[Step]:
    if cycle is None:
        return []
    return [step for fact in in_order(cycle) if (step := _step(cycle, fact)) is not None]


def _step(cycle: Lifecycle | None, fact: str) -> Step | None:
    """Return a fact's place in the life-cycle; None where there is none, or the fact has no part in it."""
    if cycle is None:
        return None
    order = in_order(cycle)
    if fact not in order:
        return None
    after = tuple(later for later in order if later in cycle.follows.get(fact, ()))
    before = tuple(earlier for earlier in order if fact in cycle.follows.get(earlier, ()))
    return Step(fact, fact in cycle.starts, fact in cycle.ends, before, after)


def search_index(views: Sequence[FamilyView]) -> str:
    """Return what the search looks through, as a script: a page of a file cannot fetch another file."""
    entries = []
    for family in views:
        entries.append({"title": family.title, "kind": "Family", "page": family.page, "text": family.text, "words": ""})
        for event in family.events:
            words = " ".join([event.event.event_type, *(field.path for field in event.fields)])
            values = " ".join(value for field in event.fields for value in field.values)
            title = f"{event.title} ({family.title.lower()})"
            found = {"title": title, "kind": "Event", "page": event.page, "text": event.text}
            entries.append({**found, "words": f"{words} {values}"})
    return f"window.CATALOGUE = {json.dumps(entries, ensure_ascii=False, indent=0)};\n"


def _environment() -> Environment:
    own = PackageLoader("backbone.catalogue", "templates")
    macros = PrefixLoader({"govuk_frontend_jinja": PackageLoader("govuk_frontend_jinja")})
    # the macros of GOV.UK Frontend look at parameters that are not there; our own pages are checked by their tests
    environment = Environment(loader=ChoiceLoader([own, macros]), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["prose"] = prose
    environment.filters["code"] = inline_code
    environment.filters["markdown"] = markdown
    environment.filters["path"] = breakable
    environment.filters["sentence"] = sentence
    environment.globals["categories"] = CATEGORIES
    return environment


def inline_code(text: str) -> Markup:
    """Return a text in which what stands between backticks is code."""
    escaped = str(escape(text))
    return Markup(re.sub(r"``?([^`]+)``?", r"<code>\1</code>", escaped))  # noqa: S704 - escaped above


def breakable(path: str) -> Markup:
    """Return the path of a field that may be broken over lines after its dots and underscores."""
    return Markup("<wbr>").join(re.split(r"(?<=[._])", path))


def prose(text: str) -> Markup:
    """Return a docstring as paragraphs."""
    paragraphs = [" ".join(part.split()) for part in text.split("\n\n") if part.strip()]
    return Markup("\n").join(Markup('<p class="govuk-body">{}</p>').format(inline_code(part)) for part in paragraphs)


def markdown(text: str) -> Markup:
    """Return the little Markdown that a family's change log has: headings, lists and paragraphs; its title is left."""
    made: list[Markup] = []
    for block in (part.strip() for part in text.split("\n\n")):
        if not block or block.startswith("# "):
            continue
        if block.startswith("#"):
            head, _, body = block.partition("\n")
            made.append(Markup('<h3 class="govuk-heading-s">{}</h3>').format(inline_code(head.lstrip("# "))))
        else:
            body = block
        if body.startswith("- "):
            items = re.split(r"\n?^- ", body, flags=re.MULTILINE)[1:]
            listed = Markup("").join(
                Markup("<li>{}</li>").format(inline_code(" ".join(item.split()))) for item in items
            )
            made.append(Markup('<ul class="govuk-list govuk-list--bullet">{}</ul>').format(listed))
        elif body.strip():
            made.append(Markup('<p class="govuk-body">{}</p>').format(inline_code(" ".join(body.split()))))
    return Markup("\n").join(made)

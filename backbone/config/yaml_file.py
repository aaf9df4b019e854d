"""YAML 1.2 with the place of every value, so that a fault can name its line."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from backbone.problems import InvalidDeploymentError, Problem


def read_yaml(path: Path) -> Any:
    """Return the parsed file, still with its places; raises InvalidDeploymentError."""
    yaml = YAML(typ="rt", pure=True)
    yaml.allow_duplicate_keys = False
    try:
        return yaml.load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        problem = Problem(str(path), 0, 0, "config.no-file", "there is no such file", "make one with `backbone init`")
    except (OSError, UnicodeDecodeError) as error:
        problem = Problem(str(path), 0, 0, "config.unreadable", f"the file cannot be read ({type(error).__name__})")
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        problem = Problem(str(path), line, column, "config.not-yaml", str(error.problem or "it is not YAML"))
    except YAMLError:
        problem = Problem(str(path), 0, 0, "config.not-yaml", "it is not YAML")
    raise InvalidDeploymentError([problem])


def plain(value: Any) -> Any:
    """Return plain dicts, lists and scalars."""
    if isinstance(value, Mapping):
        return {str(key): plain(content) for key, content in value.items()}
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Sequence):
        return [plain(content) for content in value]
    return value


def place(root: Any, path: Sequence[str | int]) -> tuple[int, int]:
    """Return line and column, from 1, of the deepest part of a path that the file has."""
    found, node = (1, 1), root
    for part in path:
        if isinstance(node, CommentedMap) and part in node:
            found = tuple(number + 1 for number in node.lc.key(part))
            node = node[part]
        elif isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
            found = tuple(number + 1 for number in node.lc.item(part))
            node = node[part]
        else:
            break
    return found

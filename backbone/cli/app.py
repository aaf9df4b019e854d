"""The command `backbone`: groups are loaded when they are asked for, and errors become one line and an exit code.

Exit codes: 0 done; 1 problems found; 2 usage or configuration; 3 a dependency is unreachable; 4 refused by policy;
5 fatal, do not restart blindly; 130 interrupted.
"""

import asyncio
import sys
from typing import Final

from cyclopts import App

from backbone.cli import output
from backbone.errors import BackboneError, ConfigurationError, FatalError, UnreachableError

DENIED: Final = frozenset({"broker.topic-denied", "broker.transactional-id-denied"})

app = App(
    name="backbone",
    help="Legacy council systems in, common-schema events on Kafka out: exactly once, with a receipt for every file.",
    version_flags=["--version"],
)
for name, target in {
    "demo": "backbone.cli.demo:demo",
    "init": "backbone.cli.deployment:init",
    "check": "backbone.cli.deployment:check",
    "preview": "backbone.cli.preview:preview",
    "broker": "backbone.cli.running:broker",
    "run": "backbone.cli.running:run",
    "status": "backbone.cli.running:status",
    "subscribe": "backbone.cli.subscribe:subscribe",
    "topics": "backbone.cli.topics:app",
    "receipts": "backbone.cli.receipts:app",
    "rejects": "backbone.cli.rejects:app",
    "documents": "backbone.cli.documents:app",
    "schemas": "backbone.cli.schemas:app",
    "catalogue": "backbone.cli.catalogue:app",
}.items():
    app.command(target, name=name)


def exit_code(error: BackboneError) -> int:
    """Return the exit code that tells a script what kind of problem it was."""
    if error.code in DENIED:
        return 4
    if isinstance(error, ConfigurationError):
        return 2
    if isinstance(error, UnreachableError):
        return 3
    return 5 if isinstance(error, FatalError) else 1


def main() -> None:
    """Run the command line and exit."""
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        code = app(arguments, result_action="return_value")
    except BackboneError as error:
        if debug:
            raise
        output.problem(error)
        sys.exit(exit_code(error))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:
        if debug:
            raise
        output.ours(error)
        sys.exit(5)
    sys.exit(code if isinstance(code, int) else 0)

"""The command `backbone`: groups are loaded when they are asked for, and errors become one line and an exit code.

Exit codes: 0 done; 1 problems found; 2 usage or configuration; 3 a dependency is unreachable; 4 refused by policy;
5 fatal, do not restart blindly; 6 hung, restart it; 130 interrupted.
"""

import asyncio
import sys
from typing import Final

from cyclopts import App

from backbone.cli import output
from backbone.errors import BackboneError, exit_code

app = App(
    name="backbone",
    help="Legacy council systems in, common-schema events on Kafka out: exactly once, with a receipt for every file.",
    version_flags=["--version"],
)
COMMANDS: Final = (
    ("demo", "backbone.cli.demo:demo", "Show the whole job on a Kafka of its own: crash, recovery, receipts, verdict."),
    ("init", "backbone.cli.deployment:init", "Write a deployment to start from."),
    ("check", "backbone.cli.deployment:check", "List every problem of a deployment file at once."),
    ("preview", "backbone.cli.preview:preview", "Show what files would become, record by record; needs no broker."),
    ("topics", "backbone.cli.topics:app", "Plan and create the topics that a deployment needs."),
    ("run", "backbone.cli.running:run", "Run a worker over the deployment's feeds."),
    ("status", "backbone.cli.running:status", "Show every feed, worst first, with the cause and what to do."),
    ("receipts", "backbone.cli.receipts:app", "List and verify what happened to every document."),
    ("rejects", "backbone.cli.rejects:app", "List, show, repair and re-drive records that were set aside."),
    ("documents", "backbone.cli.documents:app", "List, release and discard documents that are held."),
    ("checkpoint", "backbone.cli.checkpoint:app", "What feeds remember: look, begin from nothing, retire a feed."),
    ("subscribe", "backbone.cli.subscribe:subscribe", "Follow topics and print their events."),
    ("subscriber", "backbone.cli.subscriber:app", "Prepare subscribers and move where they read."),
    ("dead", "backbone.cli.dead:app", "Events that a subscriber could not handle: look, have them tried again."),
    ("schemas", "backbone.cli.schemas:app", "Export, check and publish the schemas, and compare their versions."),
    ("catalogue", "backbone.cli.catalogue:app", "Build the vocabulary as a static site for people."),
    ("sample", "backbone.cli.sample:sample", "Make synthetic events to develop with, before any council is connected."),
    ("conformance", "backbone.cli.conformance:conformance", "Check whether events are what the vocabulary demands."),
    ("broker", "backbone.cli.running:broker", "Run a real Kafka in the foreground, to try things with."),
)
for name, target, text in COMMANDS:
    app.command(target, name=name, help=text)


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

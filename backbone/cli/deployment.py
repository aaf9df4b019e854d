"""`backbone init` and `backbone check`."""

import sys
from importlib.resources import files
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from backbone.cli import output
from backbone.config import InvalidDeploymentError, load
from backbone.errors import ConfigurationError

Config = Annotated[Path, Parameter(name=["--config", "-c"], help="The deployment file, or its folder.")]
HERE = Path("backbone.yaml")


def init(folder: Path, *, subscriber: bool = False) -> int:
    """Make a deployment of your own: a commented backbone.yaml, a drop folder and an example file.

    Parameters
    ----------
    folder
        Where to make it; it must not hold one yet.
    subscriber
        Make a subscriber instead: a handler, its test, a Dockerfile and a compose file.
    """
    if subscriber:
        return _init_subscriber(folder)
    if (folder / "backbone.yaml").exists():
        message = f"{folder} holds a backbone.yaml already"
        raise ConfigurationError(message, code="config.exists", guidance="choose another folder")
    templates = files("backbone").joinpath("templates")
    for name, target in {
        "backbone.yaml": "backbone.yaml",
        "deployment.md": "README.md",
        "example-updates.csv": "examples/20310614_10000000_updates.csv",
    }.items():
        path = folder / target
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(templates.joinpath(name).read_bytes())
    (folder / "drop").mkdir(exist_ok=True)
    output.say(f"Made {folder}. Next:")
    output.say(f"  cd {folder}")
    output.say("  backbone check")
    output.say("  backbone preview highways-updates examples/20310614_10000000_updates.csv")
    output.say("  backbone broker          # in another terminal, for a Kafka of your own")
    output.say("  backbone topics apply && backbone run")
    return 0


def _init_subscriber(folder: Path) -> int:
    if (folder / "service.py").exists():
        message = f"{folder} holds a service.py already"
        raise ConfigurationError(message, code="config.exists", guidance="choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    for template in files("backbone").joinpath("templates", "subscriber").iterdir():
        if template.is_file():
            (folder / template.name.removesuffix(".txt")).write_bytes(template.read_bytes())
    output.say(f"Made {folder}. Next:")
    output.say(f"  cd {folder}")
    output.say("  python -m pytest")
    output.say("  backbone subscriber try servicerequests.status-changed --service service:subscriber")
    return 0


async def check(*, config: Config = HERE, connect: bool = False, json: bool = False) -> int:
    """Check a deployment file; every problem is listed at once.

    Parameters
    ----------
    config
        The deployment file, or its folder.
    connect
        Look at the broker and its topics, too.
    json
        One JSON object a problem.
    """
    from backbone.contracts.fit import ensure_as_released  # noqa: PLC0415 - comparing schemas takes time to load

    try:
        deployment = load(config)
    except InvalidDeploymentError as error:
        if json:
            for fault in error.problems:
                output.json_line({"schema_version": output.SCHEMA_VERSION, **{
                    name: getattr(fault, name) for name in fault.__slots__
                }})  # fmt: skip
            return 2
        raise
    ensure_as_released(event for feed in deployment.feeds for event in feed.adapter.emits)
    folders = []
    for feed in deployment.feeds:
        folder = feed.model.source.folder(deployment.path.parent)
        if not folder.is_dir():
            folders.append(feed.name)
            output.say(f"{feed.name}: its folder does not exist yet; the feed is stuck until it does", "yellow")
    if connect:
        from backbone.provisioning import ensure_fit_to_run  # noqa: PLC0415 - only this needs a client

        await ensure_fit_to_run(deployment)
        output.say(f"the broker at {deployment.connection.bootstrap_servers} answers, and its topics are right")
    output.say(f"{deployment.path}: {len(deployment.feeds)} feeds, no problem", "green")
    sys.stdout.flush()
    return 0

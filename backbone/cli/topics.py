"""`backbone topics`: plan and apply."""

from cyclopts import App

from backbone.cli import output
from backbone.cli.deployment import HERE, Config
from backbone.config import load
from backbone.topics import Step

app = App(name="topics", help="The deployment's topics: what there is, what there should be.")


@app.command
async def plan(*, config: Config = HERE, json: bool = False) -> int:
    """Show what apply would do. Exit code 1 when there is something to do.

    Parameters
    ----------
    config
        The deployment file, or its folder.
    json
        One JSON object a step.
    """
    from backbone.provisioning import planned  # noqa: PLC0415 - the clients are loaded when they are needed

    steps = await planned(load(config))
    _show(steps, json=json)
    return 1 if steps else 0


@app.command
async def apply(*, config: Config = HERE, json: bool = False) -> int:
    """Create topics that are missing and change settings that are safe to change. Never deletes, never grows.

    Parameters
    ----------
    config
        The deployment file, or its folder.
    json
        One JSON object a step.
    """
    from backbone.provisioning import apply as apply_steps  # noqa: PLC0415

    steps = await apply_steps(load(config))
    _show(steps, json=json)
    return 1 if any(step.action == "refuse" for step in steps) else 0


def _show(steps: list[Step], *, json: bool) -> None:
    if json:
        for step in steps:
            output.json_line({
                "schema_version": output.SCHEMA_VERSION, "action": step.action, "topic": step.topic,
                "detail": step.detail, "code": step.code or None,
            })  # fmt: skip
        return
    if not steps:
        output.say("every topic is as it should be", "green")
        return
    output.table(("action", "topic", "detail", "code"), [(s.action, s.topic, s.detail, s.code) for s in steps])

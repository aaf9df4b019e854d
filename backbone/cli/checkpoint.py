"""`backbone checkpoint`: what feeds remember of what they read, and how to let them forget it."""

from cyclopts import App

from backbone.cli import output
from backbone.cli.deployment import HERE, Config
from backbone.config import load
from backbone.errors import ConfigurationError

app = App(name="checkpoint", help="What feeds remember of what they read.")


@app.command
async def show(feed: str, *, config: Config = HERE, json: bool = False) -> int:
    """Show how far each shard of a feed has come.

    Parameters
    ----------
    feed
        Its name; it need not be in the deployment file any more.
    config
        The deployment file, or its folder.
    json
        One JSON object a shard.
    """
    from backbone.forgetting import Memory  # noqa: PLC0415 - the clients are loaded when they are needed

    deployment = load(config)
    shown = [
        {
            "shard": shard.name, "partition": shard.partition, "generation": shard.state.checkpoint.generation,
            "documents": shard.state.checkpoint.ordinal, "writer": shard.state.checkpoint.writer,
            "open_document": None if (begun := shard.state.checkpoint.document) is None else begun.name,
            "delivered": 0 if begun is None else begun.delivered, "open_rejects": len(shard.state.rejects),
        }
        for shard in await Memory(deployment.connection, deployment.organisation).shards(feed)
    ]  # fmt: skip
    if json:
        for content in shown:
            output.json_line({"schema_version": output.SCHEMA_VERSION, **content})
    else:
        output.table([name.replace("_", " ") for name in shown[0]], [list(content.values()) for content in shown])
    return 0


@app.command
async def reset(feed: str, *, config: Config = HERE) -> int:
    """Let a feed begin from nothing: whatever lies in its source is read and published again, under the same ids.

    Parameters
    ----------
    feed
        Its name.
    config
        The deployment file, or its folder.
    """
    from backbone.forgetting import Memory, Remembered, forget_everything  # noqa: PLC0415
    from backbone.state import ShardState  # noqa: PLC0415
    from backbone.worker_settings import placed  # noqa: PLC0415

    deployment = load(config)
    deployment.feed(feed)
    memory = Memory(deployment.connection, deployment.organisation)
    settings = deployment.worker_settings()
    for one in settings.feeds:
        if one.name == feed:
            for shard in one.source.shards():
                name = f"{feed}/{shard}"
                place = placed(one, shard, settings.state_partitions)
                await memory.change(Remembered(name, place, ShardState(name, 0)), forget_everything)
                output.say(f"{name} begins from nothing", "green")
    return 0


@app.command
async def retire(feed: str, *, forget: bool = False, config: Config = HERE) -> int:
    """Settle what a feed that was taken out of the deployment file left open. No deployment may run it any more.

    Parameters
    ----------
    feed
        Its name.
    forget
        Forget what it read, too; should it come back, it begins from nothing.
    config
        The deployment file, or its folder.
    """
    from backbone.forgetting import Memory, forget_everything  # noqa: PLC0415

    deployment = load(config)
    if any(configured.name == feed for configured in deployment.feeds):
        message = f"{feed} is a feed of {deployment.path.name}"
        raise ConfigurationError(message, code="config.feed-in-use", guidance="take it out, then restart the workers")
    memory = Memory(deployment.connection, deployment.organisation)
    for shard in await memory.shards(feed):
        await memory.change(shard, forget_everything if forget else None)
        output.say(f"{shard.name} is settled{' and forgotten' if forget else ''}", "green")
    return 0


@app.command
async def accept_topics(feed: str, *, config: Config = HERE) -> int:
    """Let a feed go on although a topic that it wrote to was deleted and made anew. Restart the workers afterwards.

    Parameters
    ----------
    feed
        Its name.
    config
        The deployment file, or its folder.
    """
    from backbone.forgetting import Memory, forget_topics  # noqa: PLC0415

    deployment = load(config)
    deployment.feed(feed)
    memory = Memory(deployment.connection, deployment.organisation)
    for shard in await memory.shards(feed):
        await memory.change(shard, forget_topics)
        output.say(f"{shard.name} takes the topics that there are", "green")
    return 0

"""`backbone demo`: the main job, end to end, in a minute."""


async def demo(*, keep: bool = False, rows: int = 60_000) -> int:
    """Run three legacy feeds on an embedded Kafka, kill the worker in the middle, and judge what came out.

    Parameters
    ----------
    keep
        Leave the broker up afterwards, and print commands to explore with.
    rows
        How many rows the highways extract has.
    """
    from backbone.demo.play import play  # noqa: PLC0415 - Kafka and Java are looked for when they are needed

    return await play(keep=keep, rows=rows)

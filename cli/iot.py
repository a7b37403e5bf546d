"""`onefold iot`: publish as a device does."""

from typing import Annotated

import typer

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.callback()
def iot() -> None:
    """Keep `publish` a command of its own, though it is the only one."""


@app.command()
def publish(
    source: Annotated[str, typer.Argument(help="A declared source with `devices: true`.")],
    payload: Annotated[str, typer.Argument(help="The message, as a rule JSON.")],
    device: Annotated[str, typer.Option(help="The device's id, written into the message.")] = "",
    env: Annotated[str, typer.Option("--env", metavar="local|dev|staging|prod", help="Which deployment.")] = "local",
) -> None:
    """Publish one message on the source's topic."""
    from cli.deployment import find_deployment
    from cli.receiving import publish as publish_message

    print(f"Published on {publish_message(find_deployment(env), source, payload, device=device)}")

"""`autoresearch-tui mcp`: the researcher's tools for a client such as Claude Code. Imports the protocol only then."""

from __future__ import annotations

import asyncio

import click

from tui import __version__
from tui.shell import load, session_file


@click.command()
@click.pass_context
def mcp(context: click.Context) -> None:
    """Let another program be the researcher, over the Model Context Protocol.

    A client starts this command and speaks with it on standard input and output. It can look at any session; to plan,
    the engine must have been started with --researcher mcp.
    """
    try:
        from core.claude.mcp_server import serve
    except ImportError as error:
        raise click.ClickException(
            "The package mcp is missing; install it with `pip install autoresearch-tui[mcp]`."
        ) from error
    from core.claude.settings import checked

    settings = load(context.obj, context.meta["flags"]).settings
    file = session_file(context.obj)
    allowed = frozenset(checked(settings.claude).allowed_modules)
    asyncio.run(serve(context.obj.expanduser().resolve(), file, __version__, allowed))

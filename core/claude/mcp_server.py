"""The tools over the Model Context Protocol on standard input and output, by the official package.

Imported only by the command that serves; everything but the protocol is in `core.claude.remote`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import mcp_types as types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

from core.claude.remote import TOOLS, RemoteTools, instructions
from core.fold import fold
from core.log import read_all
from core.state import State

NAME = "autoresearch-tui"


def tools() -> list[types.Tool]:
    return [
        types.Tool(name=name, description=description, input_schema=schema)
        for name, (description, schema) in TOOLS.items()
    ]


def server_of(remote: RemoteTools, version: str, told: str) -> Server[dict[str, Any]]:
    async def listed(_context: object, _params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        return types.ListToolsResult(tools=tools())

    async def called(_context: object, params: types.CallToolRequestParams) -> types.CallToolResult:
        answer, is_error = await remote.use(params.name, params.arguments or {})
        return types.CallToolResult(content=[types.TextContent(type="text", text=answer)], is_error=is_error)

    return Server(NAME, version=version, instructions=told, on_list_tools=listed, on_call_tool=called)


async def serve(workspace: Path, file: Path, version: str, allowed: frozenset[str]) -> None:
    """Until the client closes the connection. Raises LogError."""
    state = fold(State(), read_all(file)) if file.exists() else State()
    remote = RemoteTools(workspace, file, allowed)
    server = server_of(remote, version, instructions(workspace, state))
    following = asyncio.create_task(remote.follow(), name="follow the session")
    try:
        async with stdio_server() as (incoming, outgoing):
            serving = asyncio.create_task(
                server.run(incoming, outgoing, server.create_initialization_options()), name="serve the client"
            )
            done, _ = await asyncio.wait({serving, following}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)

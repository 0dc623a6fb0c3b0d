"""`autoresearch-tui serve`: the command line of the SSH service. Imports it only when it is asked for."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click

from tui.shell import load, say

Path_ = click.Path(path_type=Path)
FOLDER = "ssh"  # in the settings folder of who serves


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on; 0.0.0.0 is every one.")
@click.option("--port", type=click.IntRange(0, 65535), default=8022, show_default=True, help="0: any that is free.")
@click.option("--authorized-keys", type=Path_, metavar="FILE", help="Who may come in, and as what.")
@click.option("--host-key", type=Path_, metavar="FILE", help="The service's own key; made on the first start.")
@click.option("--windows", type=click.IntRange(1, 200), help="In all; default: 20.")
@click.option("--windows-per-key", type=click.IntRange(1, 200), help="Default: 4.")
@click.option("--idle", metavar="TIME", help='A window without a key press for so long is closed; default: "12h".')
@click.pass_context
def serve(context: click.Context, /, **options: Any) -> None:
    """Open the control room over SSH, to each who has a key in FILE.

    A line of FILE is `role="operator" ssh-ed25519 AAAA… name`; without a role a key only looks. The files lie in your
    settings folder unless they are named. Nothing else is to be had: no shell, no command, no file, no forwarding.
    """
    from tui.serving.server import serve as serving

    loaded = load(context.obj, context.meta["flags"])  # says what is wrong with the settings before anybody comes
    del loaded
    asyncio.run(serving(_plan(context, options), say))


def _plan(context: click.Context, options: dict[str, Any]) -> Any:
    from core.settings import duration
    from tui.preferences import settings_folder
    from tui.serving.door import Limits
    from tui.serving.server import Plan

    chosen = {
        "windows": options["windows"],
        "per_key": options["windows_per_key"],
        "idle_s": duration(options["idle"]) if options["idle"] else None,
    }
    folder = settings_folder() / FOLDER
    return Plan(
        workspace=context.obj.expanduser().resolve(),
        flags={name: value for name, value in context.meta["flags"].items() if value is not None},
        host=options["host"],
        port=options["port"],
        authorized_keys=(options["authorized_keys"] or folder / "authorized_keys").expanduser().absolute(),
        host_key=(options["host_key"] or folder / "host_key").expanduser().absolute(),
        limits=Limits(**{name: value for name, value in chosen.items() if value is not None}),
    )

"""`autoresearch-tui hosts prepare`: what the hosts of the executor ssh need for this workspace, made there once.

Prints what each host says. Starts no run.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tui.shell import load, say

if TYPE_CHECKING:
    from core.hosts.preparing import Wanted
    from core.hosts.settings import HostSettings
    from core.settings import Settings


@click.group()
def hosts() -> None:
    """The machines that --executor ssh uses."""


@hosts.command()
@click.argument("names", nargs=-1)
@click.pass_context
def prepare(context: click.Context, names: tuple[str, ...]) -> None:
    """Install what runs need on hosts, once; default: all of them.

    An environment with torch, the folders in `links`, and the data, by the workspace's own prepare.py.
    """
    from core.errors import SettingsError
    from core.hosts.settings import checked

    settings = load(context.obj, context.meta["flags"]).settings
    known = {host.name: host for host in checked(settings.hosts)}
    if strange := [name for name in names if name not in known]:
        raise SettingsError(f"There is no host {strange[0]!r} in [hosts]; there are {', '.join(known)}.")
    wanted = _wanted(context.obj, settings)
    asyncio.run(_all([known[name] for name in names or known], wanted))
    say("Next: `autoresearch-tui doctor` checks, `autoresearch-tui --executor ssh` starts.")


async def _all(chosen: list[HostSettings], wanted: Wanted) -> None:
    """Side by side: what one lacks does not keep the others waiting."""
    from core.errors import NothingRuns
    from core.hosts.preparing import prepare

    ends = await asyncio.gather(*(prepare(host, wanted, say) for host in chosen), return_exceptions=True)
    failed = [end for end in ends if isinstance(end, BaseException)]
    for end in failed:
        if not isinstance(end, NothingRuns):
            raise end
    if failed:
        raise NothingRuns(" ".join(str(end) for end in failed))


def _wanted(path: Path, settings: Settings) -> Wanted:
    from core.hosts.campaign import workspace_files
    from core.hosts.preparing import Wanted
    from core.workspace import Workspace

    workspace = Workspace.open(path)
    with tempfile.TemporaryDirectory() as scratch:
        files = workspace_files(workspace.base_files(Path(scratch)))
    links = {Path(link).name: workspace.root / link for link in settings.links}
    return Wanted(files=files, links=links, env=settings.env)

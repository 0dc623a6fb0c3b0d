"""`hosts prepare`: the trainer's environment, linked folders and data of a host, each made once.

What is there already stays; an interpreter or a container of the user's own is left alone. Starts no run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from core.errors import NothingRuns
from core.hosts.campaign import digest
from core.hosts.link import Link, linked
from core.hosts.settings import HostSettings

Say = Callable[[str], None]
SESSION = "prepare"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What hosts need for a workspace: its files without train.py, folders to link by name, variables of runs."""

    files: Mapping[str, bytes]
    links: Mapping[str, Path]
    env: dict[str, str]


async def prepare(host: HostSettings, wanted: Wanted, say: Say) -> None:
    """Raises NothingRuns with what the host said last."""
    async with linked(host, SESSION) as link:
        root = link.hello["root"]
        python = host.python or f"{root}/venv/bin/python"
        if not (host.python or host.command):
            await _environment(link, root, host, say)
        for name, folder in wanted.links.items():
            await _linked(link, name, folder, say)
        if not host.command:
            await _data(link, root, python, wanted, say)


async def _environment(link: Link, root: str, host: HostSettings, say: Say) -> None:
    venv, python = f"{root}/venv", f"{root}/venv/bin/python"
    await _do(link, ["python3", "-m", "venv", venv], say, mark=f"{venv}/.made", what="its environment")
    packages = list(host.packages)
    mark = f"{venv}/.{digest(' '.join(packages).encode())[:12]}"
    if packages:
        install = [python, "-m", "pip", "install", "--disable-pip-version-check", *packages]
        await _do(link, install, say, mark=mark, what=", ".join(packages))


async def _linked(link: Link, name: str, folder: Path, say: Say) -> None:
    """A folder of the workspace, file by file: those that the host has are not sent again."""
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    digests = {}
    for place, path in files.items():
        body = path.read_bytes()
        digests[place] = digest(body)
        await link.send([body])
    answer = await link.ask("place", name=name, files=digests)
    if said := answer.get("error"):
        raise NothingRuns(f"{link.host.name} cannot keep {name} ({said}): make room in {link.host.folder}.")
    say(f"{link.host.name}: {name}: {len(files):,} files")


async def _data(link: Link, root: str, python: str, wanted: Wanted, say: Say) -> None:
    """By the workspace's own prepare.py, in a folder of its own."""
    await link.send(list(wanted.files.values()))
    named = {name: digest(body) for name, body in wanted.files.items()}
    key = digest(msgspec.json.encode(sorted(named.items())))[:16]
    await link.ask("place", name=f"../prepare/{key}", files=named)
    folder = f"{root}/prepare/{key}"
    env = {**wanted.env, **link.host.env}
    await _do(
        link, [python, "prepare.py"], say, folder=folder, mark=f"{folder}/.done", what="data by prepare.py", env=env
    )


async def _do(
    link: Link,
    argv: list[str],
    say: Say,
    *,
    what: str,
    mark: str,
    folder: str = "/",
    env: Mapping[str, str] | None = None,
) -> None:
    name, last = link.host.name, ""

    def hear(line: str) -> None:
        nonlocal last
        last = line or last
        say(f"{name}: {line}")

    say(f"{name}: {what} …")
    code = await link.perform({"argv": argv, "folder": folder, "mark": mark, "env": dict(env or {})}, hear)
    if code:
        raise NothingRuns(f"{name}: {what} failed ({last or f'exit code {code}'}): mend that and prepare again.")

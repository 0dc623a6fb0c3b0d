"""What hosts have for us, and what to do about what is missing: the questions of `doctor` about the executor ssh.

Starts nothing but a trial of the interpreter. One finding per question, each with a remedy.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping
from typing import NamedTuple

from core.errors import NothingRuns
from core.hosts.connection import Unreachable
from core.hosts.fleet import Seat, Standing, observed, seats
from core.hosts.link import Link, linked
from core.hosts.settings import HostSettings

LOW_MB = 5_000
TORCH = "import torch; print(torch.__version__, 'CUDA' if torch.cuda.is_available() else 'CPU')"


class Finding(NamedTuple):
    name: str
    is_good: bool
    found: str
    remedy: str = ""
    is_fatal: bool = True


async def survey(hosts: Collection[HostSettings], env: Mapping[str, str]) -> AsyncIterator[Finding]:
    """`env`: the variables of runs. All hosts are asked at once; one that is missing is no obstacle to the others."""
    found = await asyncio.gather(*(_one(host, env) for host in hosts))
    works = any(all(finding.is_good or not finding.is_fatal for finding in findings) for findings in found)
    for findings in found:
        for finding in findings:
            yield finding._replace(is_fatal=finding.is_fatal and not works)


async def _one(host: HostSettings, env: Mapping[str, str]) -> list[Finding]:
    try:
        async with linked(host, "doctor") as link:
            return [finding async for finding in _inside(link, env)]
    except Unreachable as error:
        sentence, _, remedy = str(error).partition(": ")
        return [Finding(host.name, False, sentence, remedy)]
    except NothingRuns as error:
        return [Finding(host.name, False, str(error), f"Set hosts.{host.name}.gpus.")]


async def _inside(link: Link, env: Mapping[str, str]) -> AsyncIterator[Finding]:
    host, hello = link.host, link.hello
    places = seats(host, hello)
    yield Finding(host.name, bool(places), await _fleet(link, places), f"Set hosts.{host.name}.gpus.")
    if hello["trouble"]:
        remedy = "Run nvidia-smi there, and reboot the host if it agrees."
        yield Finding(host.name, False, hello["trouble"], remedy, is_fatal=not places)
    free = hello["free_mb"]
    remedy = f"Free some space there, or set hosts.{host.name}.folder."
    yield Finding(host.name, free > LOW_MB, f"{free / 1000:.1f} GB free in {hello['root']}", remedy, free < LOW_MB / 20)
    if host.slurm:
        yield await _slurm(link)
    elif not host.command:
        yield await _torch(link, env)


async def _fleet(link: Link, places: tuple[Seat, ...]) -> str:
    """ "Python 3.11.7, 8 × H100 (1 held)"."""
    answer = await link.ask("survey", slots=[seat.slot for seat in places])
    gpus = observed(places, Standing(held=answer.get("held", {})), ())
    held = Counter(gpu.type for gpu in gpus if gpu.held_by)
    kinds = Counter(gpu.type for gpu in gpus)
    counts = [f"{count} × {kind}" + (f" ({held[kind]} held)" if held[kind] else "") for kind, count in kinds.items()]
    return f"Python {link.hello['python']}, {', '.join(counts) or 'no GPU'}"


async def _slurm(link: Link) -> Finding:
    said: list[str] = []
    order = {"argv": ["sbatch", "--version"], "folder": "/", "mark": "", "env": {}}
    code = await link.perform(order, said.append)
    last = said[-1] if said else "sbatch says nothing"
    return Finding(link.host.name, code == 0, last, "This is no Slurm login node: leave slurm out of its table.")


async def _torch(link: Link, env: Mapping[str, str]) -> Finding:
    host = link.host
    python = host.python or f"{link.hello['root']}/venv/bin/python"
    said: list[str] = []
    order = {"argv": [python, "-c", TORCH], "folder": "/", "mark": "", "env": {**env, **host.env}}
    code = await link.perform(order, said.append)
    remedy = (
        f"Install torch for {host.python} there."
        if host.python
        else f"Run `autoresearch-tui hosts prepare {host.name}`."
    )
    last = said[-1] if said else f"{python} ended with code {code}"
    return Finding(host.name, code == 0, f"torch {last}" if code == 0 else last, remedy, is_fatal=False)

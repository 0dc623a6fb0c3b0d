"""The `[hosts]` table of autoresearch.toml: how each host is reached, what it offers, and how runs go there.

`HostSettings` is the one list: names, types and comments stand there. Asks no host.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from core.errors import SettingsError
from core.setting_tables import converted, rows_of

NAMED = 3  # hosts that are told by name
NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,39}", re.ASCII)
Text = Annotated[str, Meta(max_length=1000, pattern=r"^[^\x00-\x1f]*$", description="a text")]
Address = Annotated[
    str,
    Meta(pattern=r"^[A-Za-z0-9][\w.:%-]{0,252}$", description='a name or an address, like "gpu1.lab"'),
]
Port = Annotated[int, Meta(ge=1, le=65535, description="a whole number from 1 to 65535")]
Seconds = Annotated[float, Meta(gt=0, le=1e7, description="seconds, above 0")]
_GROUP = r"\s*[A-Za-z][\w. -]*:\s*[1-9]\d{0,3}\s*"
Gpus = Annotated[str, Meta(pattern=rf"^({_GROUP})?$", description='a GPU type and how many, like "H100:8" or "cpu:4"')]
Words = Annotated[tuple[Text, ...], Meta(description='a list of texts, like ["{python}", "train.py"]')]
Paths = Annotated[tuple[Text, ...], Meta(description='a list of files, like ["~/.ssh/known_hosts"]')]
_Option = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]*$")]
Options = Annotated[
    dict[_Option, Text], Meta(description='options of sbatch with their values, like { partition = "gpu" }')
]
_Variable = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z_0-9]*$")]
Variables = Annotated[dict[_Variable, Text], Meta(description='names with texts, like { HF_HOME = "/data/hf" }')]


class HostSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One host: a table `[hosts.NAME]`."""

    name: str = ""
    address: Annotated[Address, "its name or address, or its alias in ~/.ssh/config"] = ""
    user: Annotated[Text, "who logs in; empty: you, or as ~/.ssh/config has it"] = ""
    port: Annotated[Port, "of its SSH server"] = 22
    key: Annotated[Text, "file of the private key; empty: those of the agent and of ~/.ssh"] = ""
    jump: Annotated[Text, "the host that leads there, like user@gate:22; empty: none"] = ""
    known_hosts: Annotated[Paths, "files with the keys of known hosts; always checked"] = (
        "~/.ssh/known_hosts",
        "/etc/ssh/ssh_known_hosts",
    )
    gpus: Annotated[Gpus, "what runs there; empty: all that nvidia-smi lists, else CPU cores"] = ""
    folder: Annotated[Text, "where runs, files and the trainer's environment live on the host"] = "~/.autoresearch-tui"
    python: Annotated[Text, "interpreter of runs there; empty: what `hosts prepare` made, else python3"] = ""
    command: Annotated[
        Words, "instead of the interpreter, such as a container's; {gpu}, {folder}, {env}, {run} are filled"
    ] = ()
    env: Annotated[Variables, "environment variables of runs there, besides those of all runs"] = {}
    packages: Annotated[Words, "what `hosts prepare` installs with pip"] = ("torch", "numpy", "tokenizers")
    leases: Annotated[Text, "folder of the locks on GPUs, the same for all users of the host"] = (
        "/tmp/autoresearch-gpus"  # noqa: S108
    )
    grace_s: Annotated[Seconds, "runs on a host that is gone for longer are lost"] = 300.0
    slurm: Annotated[Options, "it is a Slurm login node, and these are options of sbatch; gpus says how many jobs"] = {}

    @property
    def offer(self) -> tuple[str, int] | None:
        """GPU type and count as given; None: the host is asked."""
        kind, _, count = self.gpus.rpartition(":")
        return (kind.strip(), int(count)) if kind else None

    @property
    def trusted(self) -> tuple[str, ...]:
        """The files of known hosts that exist."""
        paths = (Path(path).expanduser() for path in self.known_hosts)
        return tuple(str(path) for path in paths if path.is_file())


def named(hosts: Sequence[HostSettings]) -> str:
    """ "box1, box2", "cluster (Slurm)"; only how many where they are many."""
    if len(hosts) > NAMED:
        return f"{len(hosts)} hosts"
    return ", ".join(f"{host.name} (Slurm)" if host.slurm else host.name for host in hosts)


HOST_SETTINGS = rows_of(HostSettings, without="name")
_EXAMPLE = '[hosts.box1] with address = "gpu1.lab"'


def checked(table: Mapping[str, Any], where: str = "autoresearch.toml") -> tuple[HostSettings, ...]:
    """The hosts of a raw `[hosts]` table. Raises SettingsError, which names the value and what it must be."""
    if not table:
        raise SettingsError(f"{where}: the executor ssh needs a host; write {_EXAMPLE}.")
    return tuple(_host(name, body, where) for name, body in table.items())


def _host(name: str, body: object, where: str) -> HostSettings:
    if not NAME.fullmatch(name):
        raise SettingsError(f"{where}: {name[:60]!r} cannot name a host; use letters, digits, dots and dashes.")
    if not isinstance(body, Mapping):
        raise SettingsError(f"{where}: hosts.{name} must be a table; write {_EXAMPLE}.")
    good = {field: converted(HOST_SETTINGS, f"hosts.{name}", field, value, where) for field, value in body.items()}
    host: HostSettings = msgspec.structs.replace(HostSettings(name=name), **good)
    if not host.address:
        raise SettingsError(f"{where}: hosts.{name} has no address; write {_EXAMPLE}.")
    if host.slurm and host.offer is None:
        raise SettingsError(f'{where}: hosts.{name} has slurm and needs gpus, how many jobs at a time: like "H100:4".')
    if reserved := {"job-name", "chdir", "output", "export", "array"} & host.slurm.keys():
        raise SettingsError(f"{where}: hosts.{name}.slurm must leave out {min(reserved)}, which is ours to say.")
    return host


def all_on_cpu(hosts: tuple[HostSettings, ...]) -> bool:
    """As far as the settings say."""
    return all(host.offer is not None and host.offer[0] == "cpu" for host in hosts)

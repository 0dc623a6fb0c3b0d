"""The `[hosts]` table: what it takes, and the sentence for what it does not."""

from __future__ import annotations

import asyncssh
import pytest

from core.errors import SettingsError
from core.hosts.connection import options
from core.hosts.settings import HostSettings, checked

LAB = {"address": "gpu1.lab"}


def test_an_address_is_enough() -> None:
    (host,) = checked({"box1": LAB})
    assert (host.name, host.address, host.port, host.offer, host.slurm) == ("box1", "gpu1.lab", 22, None, {})


@pytest.mark.parametrize(
    ("text", "offer"), [("H100:8", ("H100", 8)), (" RTX 4090 : 2 ", ("RTX 4090", 2)), ("cpu:4", ("cpu", 4)), ("", None)]
)
def test_gpus_are_a_type_and_a_number(text: str, offer: tuple[str, int] | None) -> None:
    assert checked({"box1": {**LAB, "gpus": text}})[0].offer == offer


WRONG = {
    "the executor ssh needs a host; write": {},
    "'box 1' cannot name a host": {"box 1": LAB},
    "hosts.box1 must be a table": {"box1": "gpu1.lab"},
    "hosts.box1 has no address": {"box1": {}},
    "no setting 'hosts.box1.adress'; did you mean hosts.box1.address?": {"box1": {"adress": "gpu1.lab"}},
    "hosts.box1.port must be a whole number from 1 to 65535, not 0.": {"box1": {**LAB, "port": 0}},
    "hosts.box1.address must be a name or an address": {"box1": {"address": "-oProxyCommand=id"}},
    "hosts.box1.gpus must be a GPU type and how many": {"box1": {**LAB, "gpus": "H100"}},
    "hosts.box1 has slurm and needs gpus": {"box1": {**LAB, "slurm": {"partition": "gpu"}}},
    "hosts.box1.slurm must leave out chdir": {"box1": {**LAB, "gpus": "H100:1", "slurm": {"chdir": "/"}}},
    "hosts.box1.slurm must be options of sbatch": {"box1": {**LAB, "slurm": {"gres=x": "1"}}},
    "hosts.box1.env must be names with texts": {"box1": {**LAB, "env": {"A B": "secret"}}},
}


@pytest.mark.parametrize("sentence", WRONG)
def test_what_is_wrong_is_named(sentence: str) -> None:
    with pytest.raises(SettingsError) as told:
        checked(WRONG[sentence])  # type: ignore[arg-type]
    assert sentence in str(told.value)
    assert "secret" not in str(told.value)


@pytest.mark.parametrize("known_hosts", [(), ("/no/such/file",)])
def test_nothing_is_forwarded_and_every_host_is_checked(known_hosts: tuple[str, ...]) -> None:
    given = asyncssh.SSHClientConnectionOptions(
        **options(HostSettings(name="box1", address="gpu1.lab", known_hosts=known_hosts))
    )
    assert given.known_hosts is not None  # asyncssh would trust anybody
    assert given.agent_forward_path is None
    assert given.x11_forwarding is False
    assert not given.send_env
    assert given.preferred_auth in ("publickey", ["publickey"])

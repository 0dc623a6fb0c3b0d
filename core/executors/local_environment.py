"""The environment of runs: what they need, and no secrets. Knows nothing of processes.

Imports the standard library alone: hosts get it too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


class Place(Protocol):
    """What a run has of a machine: cores to be pinned to, or the driver's index of a GPU."""

    @property
    def cpus(self) -> Sequence[int] | None: ...
    @property
    def index(self) -> int | None: ...


@dataclass(frozen=True)
class Share:
    """The same, where there is nothing else to know."""

    cpus: Sequence[int] | None = None
    index: int | None = None


_NAMES = frozenset(
    [
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "LANG",
        "LANGUAGE",
        "TZ",
        "TMPDIR",
        "LD_LIBRARY_PATH",
        "DYLD_LIBRARY_PATH",
        "VIRTUAL_ENV",
        "CONDA_PREFIX",
        "CC",
        "CXX",
        "HF_HOME",
        "HF_HUB_CACHE",
        "HF_DATASETS_CACHE",
        "HF_HUB_OFFLINE",
        "XDG_CACHE_HOME",
        "UV_CACHE_DIR",
        "MKL_THREADING_LAYER",
        "http_proxy",
        "https_proxy",
        "no_proxy",
        "SSL_CERT_FILE",
        "REQUESTS_CA_BUNDLE",
        "AUTORESEARCH_DATA",
        "AUTORESEARCH_DEVICE",
        "AUTORESEARCH_MAX_STEPS",
    ]
)
_FAMILIES = ("LC_", "CUDA_", "CUDNN_", "NVIDIA_", "NCCL_", "TORCH", "PYTORCH_", "TRITON", "HIP_", "ROCR_")
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL", re.IGNORECASE)


def base_environment(ours: Mapping[str, str], extra: Mapping[str, str], time_budget: float | None) -> dict[str, str]:
    """What all runs get: an allowlist of our own variables, `extra` as it is, and the contract's."""
    env = {name: value for name, value in ours.items() if _passes(name, value)}
    env |= extra
    if time_budget is not None:
        env["AUTORESEARCH_TIME_BUDGET"] = f"{time_budget:g}"
    return env | {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def _passes(name: str, value: str) -> bool:
    if name in {"http_proxy", "https_proxy"} and "@" in value:  # a proxy's password
        return False
    return not _SECRET.search(name) and (name in _NAMES or name.startswith(_FAMILIES))


def run_environment(base: Mapping[str, str], slot: Place, seed: int) -> dict[str, str]:
    """What one run gets: its seed, and its slot's share of the machine."""
    env = {**base, "AUTORESEARCH_SEED": str(seed), "CUDA_VISIBLE_DEVICES": ""}
    if slot.index is not None:
        env |= {"CUDA_VISIBLE_DEVICES": str(slot.index), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}  # the driver's order
    if slot.cpus:
        env["OMP_NUM_THREADS"] = str(len(slot.cpus))
    return env

"""What all runs of a session have in common, and the order for one of them. Asks nobody."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from core.executor import Job
from core.executors.local_outcome import Limits
from core.ids import SessionId

GRACE_S = 5.0  # from being asked to stop to being killed


class Campaign(msgspec.Struct, frozen=True, kw_only=True):
    session: SessionId
    files: dict[str, bytes]  # of the workspace, by path, without train.py
    prepare_digest: str  # sha256; "": it is not checked
    limits: Limits
    env: dict[str, str] = {}
    time_budget: float | None = None
    links: tuple[str, ...] = ()
    grace_s: float = GRACE_S

    @property
    def is_void(self) -> bool:
        """The workspace's prepare.py is another one already."""
        return not self.is_as_sent(digest(self.files.get("prepare.py", b"")))

    def is_as_sent(self, prepare_digest: str) -> bool:
        return not self.prepare_digest or prepare_digest == self.prepare_digest

    def order(self, job: Job) -> tuple[dict[str, Any], tuple[bytes, ...]]:
        """What a host is told of a run, besides its place; and the files that it needs."""
        files = {**self.files, "train.py": job.source.encode("utf-8", "surrogatepass")}
        order = {
            "run": job.run,
            "gpu": "",
            "seed": job.seed,
            "env": self.env,
            "time_budget": self.time_budget,
            "cpus": None,
            "timeout_s": self.limits.timeout_s,
            "grace_s": self.grace_s,
            "output_bytes": int(self.limits.output_mb * 1_000_000),
            "memory_mb": self.limits.memory_mb,
        }
        named = {name: digest(body) for name, body in files.items()}
        return {"files": named, "links": list(self.links), "order": order}, tuple(files.values())


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def workspace_files(base: Path) -> Mapping[str, bytes]:
    """By path; train.py is each run's own."""
    paths = (path for path in sorted(base.rglob("*")) if path.is_file())
    named = {path.relative_to(base).as_posix(): path for path in paths}
    return {name: path.read_bytes() for name, path in named.items() if name != "train.py"}

"""The key of the model is nowhere but in the client: not in files, not in git, not in children, not in recordings."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import stub
from checkout import commit_all
from claude.replies import Reply, answer, failure, text, tool
from claude.server import KEY, Asked, Server
from claude.sessions import QUICK, settle

from core import session
from core.settings import load

SPY = """
import json, subprocess, sys
print("MINE", json.dumps(dict(os.environ)))
look = [sys.executable, "-c", "import os; print(dict(os.environ))"]
print("CHILD", subprocess.run(look, capture_output=True, text=True).stdout)
for pid in [name for name in os.listdir("/proc") if name.isdigit()]:
    try:
        print("OTHER", open(f"/proc/{pid}/environ", "rb").read().decode("utf-8", "replace"))
    except OSError as error:
        print("OTHER", error)
"""
SECRETS = {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_AUTH_TOKEN": "", "AWS_SECRET_ACCESS_KEY": "AKIDSECRETOFTHECLOUD"}


def script(asked: Asked) -> Reply:
    """A service and a model that both repeat the key."""
    assert asked.headers.get("x-api-key") == KEY, "the client has it"
    if asked.number == 1:
        return failure(500, "api_error", f"could not check {asked.headers['x-api-key']}")
    if asked.number == 2:
        return failure(400, "invalid_request_error", f"prompt is too long for key {KEY}")
    settings = [{"name": "DEPTH", "value": str(asked.number)}]
    idea = {"title": "deeper", "hypothesis": "deeper is better", "settings": settings}
    return answer(text("Deeper."), tool("plan_wave", {"hypothesis": "?", "baseline": "e0", "experiments": [idea]}))


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            yield str(path.relative_to(folder)), path.read_bytes()
    git = ["git", "-C", str(folder), "cat-file", "--batch-all-objects", "--batch"]
    yield "git", subprocess.run(git, capture_output=True, check=True).stdout
    db = sqlite3.connect(folder / ".autoresearch" / "session.db")
    yield "database", "\n".join(db.iterdump()).encode()
    db.close()


def test_the_key_is_found_nowhere_after_a_session_with_real_runs(tmp_path: Path) -> None:
    train = stub.TRAIN.replace("for step in range(5):", SPY + "\nfor step in range(5):")
    folder = stub.make_stub(tmp_path / "work", train=train)
    table = folder / "autoresearch.toml"
    before = table.read_text()
    with Server(script) as server, patch.dict(os.environ, SECRETS):
        settle(folder, {"base_url": server.url, **QUICK})
        table.write_text(before + table.read_text())
        commit_all(folder)
        chosen = {"researcher": "claude", "max_experiments": 2, "for_": "60s"}
        stopped = asyncio.run(session.research(folder, load(folder, {}, chosen), "0"))
        recording = tmp_path / "session.jsonl"
        done = stub.run(folder, "export", "--format", "jsonl", "-o", str(recording))
    assert stopped.exit_code == 0, stopped
    assert done.returncode == 0, done.stderr
    logs = [body for name, body in contents(folder) if name.endswith("run.log")]
    assert any(b"MINE" in body and b"CHILD" in body for body in logs), "the spies had a look"
    everything = [
        *contents(folder),
        ("recording", recording.read_bytes()),
        ("output", (done.stdout + done.stderr).encode()),
    ]
    for name, body in everything:
        for secret in (KEY, SECRETS["AWS_SECRET_ACCESS_KEY"]):
            assert secret.encode() not in body, name

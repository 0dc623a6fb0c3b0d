"""The engine's hand on a host: takes requests as JSON lines on stdin, answers each with a line on stdout.

It starts runs under a supervisor of their own (runner.py), which live on when it dies, and reads what they leave in
their folders. It keeps nothing in mind that is not on the disk. One agent serves a session at a time: a new one ends
the one before, which may hang on a dead connection. Imports the standard library alone.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.executors import local_folder
    from core.executors.local_environment import Share, base_environment, run_environment
    from core.hosts.far import leases, slurm
else:  # this Python does not know our package
    sys.path.insert(0, str(Path(__file__).parent))
    import leases
    import local_folder
    import slurm
    from local_environment import Share, base_environment, run_environment

    del sys.path[0]

TOKEN = "AUTORESEARCH_SUPERVISOR"  # noqa: S105  a mark on everything that one supervisor started; opens nothing
PIECE = 1 << 18  # bytes of a log in one answer
ROOM = 1 << 20  # of all logs in one answer
FULL_MB = 100  # of free disk, below which nothing is begun
LEASE_S = 1.0  # for the supervisor of the run before to let go of its GPU
TAKEOVER_S = 5.0  # for the agent before us to vanish
Request = dict[str, Any]


class Agent:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.runs = root / "runs"
        self.files = root / "files"
        self.batch = slurm.Queue()

    def serve(self) -> None:
        for line in sys.stdin.buffer:
            request = json.loads(line)
            try:
                answer = getattr(self, "do_" + request["op"])(request)
            except OSError as error:
                answer = {"error": error.strerror or str(error), "errno": error.errno}
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()

    # --- the host

    def do_hello(self, request: Request) -> Request:
        os.umask(0o077)
        self.runs = self.root / "runs" / request["session"]
        self.runs.mkdir(parents=True, exist_ok=True)
        self.files.mkdir(exist_ok=True)
        self.lock = take_over(self.runs / "agent.lock")
        found, trouble = leases.gpus()
        return {
            "at": time.time(),
            "python": ".".join(map(str, sys.version_info[:3])),
            "root": str(self.root),
            "cores": cores(),
            "gpus": found,
            "trouble": trouble,
            "free_mb": self.free_mb(),
        }

    def do_survey(self, request: Request) -> Request:
        """`held`: by slot, who has it; "lease" if it is leased, to us or to another engine."""
        on_gpus = leases.users() if any(slot["uuid"] for slot in request["slots"]) else {}
        held = {slot["id"]: self.holder(slot, on_gpus) for slot in request["slots"]}
        return {"held": {name: who for name, who in held.items() if who}, "free_mb": self.free_mb(), "at": time.time()}

    def holder(self, slot: Request, on_gpus: dict[str, str]) -> str:
        return "lease" if leases.is_taken(self.lease(slot)) else on_gpus.get(slot["uuid"], "")

    def lease(self, slot: Request) -> Path:
        return self.root / Path(slot["lease"]).expanduser()  # an absolute one replaces our folder

    def free_mb(self) -> int:
        return shutil.disk_usage(self.root).free >> 20

    # --- files, once each, by their content

    def do_lacks(self, request: Request) -> Request:
        return {"digests": [digest for digest in request["digests"] if not (self.files / digest).exists()]}

    def do_put(self, request: Request) -> Request:
        """A piece of a file; the last one gives it its name, if it is what it should be."""
        draft = self.files / f".{request['digest']}"
        with draft.open("wb" if request["first"] else "ab") as file:
            file.write(base64.b64decode(request["data"]))
        if request["last"]:
            if hashlib.sha256(draft.read_bytes()).hexdigest() != request["digest"]:
                draft.unlink()
                return {"error": "a file did not arrive as it was sent"}
            draft.replace(self.files / request["digest"])
        return {}

    def do_place(self, request: Request) -> Request:
        """Files under a name that runs are linked to, in place of what was there."""
        folder = self.root / "links" / request["name"]
        folder.parent.mkdir(parents=True, exist_ok=True)
        if local_folder.read_json(folder / ".files") != request["files"]:
            shutil.rmtree(folder, ignore_errors=True)
            self.build(folder, request["files"], [])
            (folder / ".files").write_text(json.dumps(request["files"]), encoding="utf-8")
        return {}

    def build(self, folder: Path, files: dict[str, str], links: list[str]) -> None:
        """The run's folder, complete or not at all; one that is there stays."""
        if folder.exists():
            return
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            for name, digest in files.items():
                (draft / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self.files / digest, draft / name)
            for name in links:
                (draft / name).symlink_to(self.root / "links" / name)
            draft.rename(folder)
        except OSError:
            shutil.rmtree(draft, ignore_errors=True)
            raise

    # --- runs

    def do_launch(self, request: Request) -> Request:
        """`state`: "begun" (it was begun, now or before), "busy" (its GPU is not free: it was not begun) or "disk"."""
        folder = self.runs / request["run"]
        batch = request["slurm"]
        if batch and slurm.is_half_submitted(folder):
            return self.batch.submit(folder, batch)
        if local_folder.state(folder) != "absent":
            return {"state": "begun"}
        if self.free_mb() < FULL_MB:
            return {"state": "disk", "why": f"{self.free_mb()} MB free in {self.root}"}
        try:
            self.build(folder, request["files"], request["links"])
            order = {**request["order"], "folder": str(folder), "argv": self.argv(request, folder)}
            if batch:
                local_folder.write_json(folder / "order.json", {**order, "slurm": batch})
                return self.batch.submit(folder, batch)
            return self.start(request, folder, order)
        except OSError as error:
            return {"state": "disk", "why": error.strerror or str(error)}

    def start(self, request: Request, folder: Path, order: Request) -> Request:
        slot = request["slot"]
        lease = leases.take(self.lease(slot), LEASE_S)
        if lease is None:
            return {"state": "busy", "why": "lease"}
        try:
            if slot["uuid"] and (who := leases.users().get(slot["uuid"])):
                return {"state": "busy", "why": who}
            share = Share(slot["cpus"], slot["index"])
            supervise({**order, "env": run_environment(environment(order), share, order["seed"])}, lease)
        finally:
            os.close(lease)  # the supervisor has its own copy
        return {"state": "begun"}

    def argv(self, request: Request, folder: Path) -> list[str]:
        own = self.root / "venv" / "bin" / "python"
        python = os.path.expanduser(request["python"]) or (str(own) if own.exists() else "python3")  # noqa: PTH111
        words = request["command"] or ["{python}", "train.py"]
        fills = {"{python}": python, "{folder}": str(folder), "{run}": f"{self.runs.name}-{folder.name}"}
        if request["command"]:
            fills["{env}"] = str(listed(folder / "environment", request["order"]))
        fills["{gpu}"] = str(request["slot"]["index"] if request["slot"]["index"] is not None else "")
        return [filled(word, fills) for word in words]

    def do_look(self, request: Request) -> Request:
        """What became of runs, and what their logs say from the byte on that stands beside their names."""
        queue = self.batch.look(self.runs / run for run in request["runs"])
        room, seen = ROOM, {}
        for run, offset in request["runs"].items():
            seen[run] = self.sight(self.runs / run, offset, min(PIECE, max(room, 0)), queue)
            room -= len(seen[run].get("log", ""))
        return {"runs": seen, "at": time.time()}

    def sight(self, folder: Path, offset: int, limit: int, queue: dict[str, Any]) -> Request:
        told: str = local_folder.state(folder)
        state, why = self.batch.state(folder, told, queue) if folder.name in queue else (told, "")
        if state == "absent" or slurm.is_half_submitted(folder):  # the engine says it again, and its job is found
            return {"state": "absent", "why": why}
        if state == "dead":
            kill_leftovers(folder)
            why = why or ("the disk of its host is full" if self.free_mb() < FULL_MB else "")
        data = piece(folder / "run.log", offset, limit)
        found = {"state": state, "why": why, "log": base64.b64encode(data).decode(), "more": len(data) == limit}
        found["started"] = local_folder.read_json(folder / "started.json")
        if state != "alive":
            found["exit"] = local_folder.read_json(folder / "exit.json") if state == "ended" else {}
            found["prepare"] = local_folder.digest(folder / "prepare.py")
        return found

    def do_stop(self, request: Request) -> Request:
        """A run that was never begun gets its end here, so that nobody ever begins it."""
        folder = self.runs / request["run"]
        folder.mkdir(exist_ok=True)
        (folder / "stop").touch()
        self.batch.cancel(folder)
        with contextlib.suppress(FileExistsError):
            fd = local_folder.claim(folder, "")
            note: Request = {"at": time.time(), "exit_code": None, "signal": None, "cause": "stopped", "reason": ""}
            local_folder.write_json(folder / "exit.json", note)
            os.close(fd)
        return {}

    def do_clear(self, request: Request) -> Request:
        """Large files that ended runs left behind go."""
        for run in request["runs"]:
            local_folder.clear(self.runs / run)
        return {}


def take_over(path: Path) -> int:
    """The lock of the session's agent; whoever holds it hangs on a connection that is gone, and is ended."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    deadline = time.monotonic() + TAKEOVER_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            with contextlib.suppress(ValueError, ProcessLookupError):
                os.kill(int(os.pread(fd, 32, 0)), signal.SIGKILL)
            time.sleep(0.02)
    with contextlib.suppress(OSError):  # a full disk
        os.pwrite(fd, f"{os.getpid():<32}".encode(), 0)
    return fd


def environment(order: Request) -> dict[str, str]:
    """What runs get of ours, and of the settings."""
    return base_environment(os.environ, order["env"], order["time_budget"])


def listed(path: Path, order: Request) -> Path:
    """What a container is to be given of the environment: one NAME=value a line, as --env-file takes it."""
    env = {**order["env"], "AUTORESEARCH_SEED": str(order["seed"]), "PYTHONUNBUFFERED": "1"}
    if order["time_budget"] is not None:
        env["AUTORESEARCH_TIME_BUDGET"] = f"{order['time_budget']:g}"
    lines = (f"{name}={value}\n" for name, value in env.items() if "\n" not in value)
    path.write_text("".join(lines), encoding="utf-8")
    return path


def supervise(order: Request, lease: int | None = None) -> None:
    """Starts a supervisor for this one run, in a session of its own. It holds the lease as long as it lives."""
    orders, ours = os.pipe()
    env = {**order["env"], TOKEN: os.urandom(8).hex()}
    order = {**order, "op": "launch", "script": "train.py"}
    runner = Path(__file__).with_name("runner.py")
    subprocess.Popen(
        [sys.executable, "-I", "-u", str(runner)],
        stdin=orders,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=env,
        cwd="/",
        start_new_session=True,
        pass_fds=() if lease is None else (lease,),
    )
    os.close(orders)
    local_folder.write_all(ours, json.dumps(order).encode() + b"\n")
    os.close(ours)


def filled(word: str, fills: dict[str, str]) -> str:
    for name, value in fills.items():
        word = word.replace(name, value)
    return word


def cores() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def piece(path: Path, offset: int, limit: int) -> bytes:
    try:
        fd = local_folder.open_regular(path)
    except OSError:
        return b""
    try:
        return os.pread(fd, limit, offset)
    finally:
        os.close(fd)


def kill_leftovers(folder: Path) -> None:
    """Ends what a dead supervisor left running: everything that carries its mark (Linux)."""
    token = local_folder.read(folder / "claim", local_folder.NOTE).decode(errors="replace").partition(" ")[2]
    mark = f"{TOKEN}={token}".encode()
    for name in os.listdir("/proc") if token and Path("/proc").is_dir() else ():  # noqa: PTH208
        with contextlib.suppress(OSError):
            if name.isdigit() and mark in Path("/proc", name, "environ").read_bytes().split(b"\0"):
                os.kill(int(name), signal.SIGKILL)


def main(arguments: list[str]) -> None:
    Agent(Path(arguments[0])).serve()


if __name__ == "__main__":
    main(sys.argv[1:])

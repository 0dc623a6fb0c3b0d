"""The supervisor of all runs that one engine started on this machine. It outlives the engine.

It is a program of its own, `PYTHON -I -u runner.py [--warm module,…]`, run by the workspace's Python (3.9 or newer), so
it imports the standard library alone. Orders are JSON lines on stdin, news are JSON lines on stdout; either may break.
Everything else that anyone needs to know is in the run's folder (see local_folder.py); a file `stop` there ends a run.
What a run prints means nothing here.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import selectors
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.executors.local_child import LINUX, PR_SET_CHILD_SUBREAPER, Order, become, prctl, warm_up
    from core.executors.local_folder import claim, write_all, write_json
    from core.executors.local_processes import children, processes, resident, strike, strike_group
else:  # this Python does not know our package
    sys.path.insert(0, str(Path(__file__).parent))
    from local_child import LINUX, PR_SET_CHILD_SUBREAPER, Order, become, prctl, warm_up
    from local_folder import claim, write_all, write_json
    from local_processes import children, processes, resident, strike, strike_group

    del sys.path[0]

TICK = 0.1  # s between looks for `stop` files and passed deadlines
CENSUS = 0.5  # s between looks at memory and orphans
PATIENCE = 2.0  # s a dead run's killed descendants may take to vanish (a GPU's memory is freed slowly)
CHUNK = 1 << 16
LONGEST_ORDER = 1 << 24


@dataclass
class Run:
    """A process that was started. `status` is None until it is dead."""

    order: Order
    pid: int
    claim: int  # descriptors
    log: int
    pipe: int
    deadline: float  # monotonic
    room: int  # bytes that may still be printed
    cause: str = ""  # why it was ended: timeout, output, memory, stopped or disk
    reason: str = ""
    kill_at: float | None = None
    status: int | None = None
    died: float = 0.0  # seconds since the epoch
    give_up: float = 0.0


class Supervisor:
    def __init__(self, orders: int, news: int, warm: bool) -> None:
        self.orders, self.news, self.warm = orders, news, warm
        self.unread = self.unsaid = b""
        self.closing = self.deaf = False
        self.runs: dict[int, Run] = {}  # by process id
        self.next_tick = self.next_census = 0.0
        self.selector = selectors.DefaultSelector()
        self.selector.register(orders, selectors.EVENT_READ, self.obey)
        self.deaths = watch_children()
        self.selector.register(self.deaths, selectors.EVENT_READ, self.reap)

    def serve(self) -> None:
        while self.runs or not self.closing:
            for key, _ in self.selector.select(self.patience()):
                key.data()
            self.settle()
            if time.monotonic() >= self.next_tick:
                self.tick()

    def patience(self) -> float | None:
        if any(run.status is not None for run in self.runs.values()):
            return 0.005  # its descendants are dying; where they are not our children nothing tells us when
        return max(0.0, self.next_tick - time.monotonic()) if self.runs or self.unsaid else None

    def say(self, **message: object) -> None:
        if not self.deaf:
            self.unsaid += json.dumps(message).encode() + b"\n"
            self.flush()

    def flush(self) -> None:
        """Never waits: an engine that stopped reading must not stop the supervision."""
        try:
            while self.unsaid:
                self.unsaid = self.unsaid[os.write(self.news, self.unsaid) :]
        except BlockingIOError:
            pass
        except OSError:
            self.deaf, self.unsaid = True, b""

    # --- orders

    def obey(self) -> None:
        data = os.read(self.orders, CHUNK)
        *lines, rest = (self.unread + data).split(b"\n")
        self.unread = b"" if len(rest) > LONGEST_ORDER else rest
        for line in lines:
            with contextlib.suppress(ValueError, RecursionError):
                self.order(json.loads(line))
        if not data:
            self.close()

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            self.selector.unregister(self.orders)

    def order(self, op: object) -> None:
        if not isinstance(op, dict):
            return
        if op.get("op") == "quit":
            self.close()
        elif op.get("op") == "stop":
            for run in self.runs.values():
                if run.order.run == op.get("run"):
                    self.end(run, "stopped")
        elif op.get("op") == "launch":
            self.try_launch(op)

    def try_launch(self, op: dict[str, Any]) -> None:
        try:
            order = Order.of(op)
            claimed = claim(order.folder, f"{os.getpid()} {os.environ.get('AUTORESEARCH_SUPERVISOR', '')}")
        except FileExistsError:
            self.say(kind="claimed", run=op.get("run"))
        except OSError as error:  # the folder is gone, or nothing can be written in it
            self.say(kind="ended", run=op.get("run"), **ending("", not_started(error)))
        except (KeyError, TypeError, AttributeError, ArithmeticError, ValueError) as error:
            reason = f"the order was not understood: {type(error).__name__} {error}"
            self.say(kind="ended", run=op.get("run"), **ending("", reason))
        else:
            self.launch(order, claimed)

    def launch(self, order: Order, claimed: int) -> None:
        if (order.folder / "stop").exists():  # cancelled before it began
            return self.close_folder(order, claimed, ending("stopped", ""))
        flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW
        try:
            log = os.open(order.folder / "run.log", flags, 0o644)
        except OSError as error:
            return self.close_folder(order, claimed, ending("disk", not_started(error)))
        try:
            self.start(order, claimed, log)
        except OSError as error:
            os.close(log)
            self.close_folder(order, claimed, ending("", not_started(error)))
        return None

    def start(self, order: Order, claimed: int, log: int) -> None:
        pipe, their_end = os.pipe()
        warm, supervisor = order.warm and self.warm, os.getpid()
        try:
            pid = os.fork()
            if pid == 0:
                become(order, their_end, warm, supervisor)
        except OSError:
            os.close(pipe)
            raise
        finally:
            os.close(their_end)
        at = time.time()
        run = Run(order, pid, claimed, log, pipe, time.monotonic() + order.timeout_s, order.output_bytes)
        self.runs[pid] = run
        os.set_blocking(pipe, False)
        self.selector.register(pipe, selectors.EVENT_READ, lambda: run.pid in self.runs and self.listen(run))
        try:
            write_json(order.folder / "started.json", {"pid": pid, "at": at, "cpus": order.cpus, "gpu": order.gpu})
        except OSError as error:
            self.end(run, "disk", f"started.json could not be written: {error.strerror}")
        self.say(kind="started", run=order.run, pid=pid, at=at, warm=warm)

    def close_folder(self, order: Order, claimed: int, note: dict[str, object]) -> None:
        """The last word on a run. The engine hears it first: a slow disk must not keep its GPU idle."""
        self.say(kind="ended", run=order.run, **note)
        with contextlib.suppress(OSError):  # then whoever comes later finds a run without an end: lost
            write_json(order.folder / "exit.json", note)
        fcntl.flock(claimed, fcntl.LOCK_UN)
        os.close(claimed)

    # --- the life of a run

    def listen(self, run: Run) -> bool:
        """Takes one piece of output; false if there is none now."""
        try:
            data = os.read(run.pipe, CHUNK)
        except BlockingIOError:
            return False
        if data:
            self.record(run, data)
        else:
            self.forget(run)
        return bool(data)

    def forget(self, run: Run) -> None:
        with contextlib.suppress(KeyError):  # it may have closed its output long before its end
            self.selector.unregister(run.pipe)

    def record(self, run: Run, data: bytes) -> None:
        kept = data[: run.room]
        try:
            write_all(run.log, kept)
            run.room -= len(kept)
        except OSError as error:
            run.room = 0
            self.end(run, "disk", f"run.log could not be written: {error.strerror}")
        if len(kept) < len(data):
            self.end(run, "output")

    def end(self, run: Run, cause: str, reason: str = "") -> None:
        if run.cause or run.status is not None:
            return
        run.cause, run.reason = cause, reason
        gentle = cause in {"timeout", "stopped"}
        strike(run.pid, signal.SIGTERM if gentle else signal.SIGKILL)
        run.kill_at = time.monotonic() + run.order.grace_s if gentle else None

    def tick(self) -> None:
        now = time.monotonic()
        self.next_tick = now + TICK
        self.flush()
        for run in self.runs.values():
            if now >= run.deadline:
                self.end(run, "timeout")
            elif not run.cause and (run.order.folder / "stop").exists():
                self.end(run, "stopped")
            if run.kill_at is not None and now >= run.kill_at and run.status is None:
                strike(run.pid, signal.SIGKILL)
        if LINUX and now >= self.next_census:
            self.next_census = now + CENSUS
            self.census()

    def census(self) -> None:
        self.kill_orphans()
        limited = [run for run in self.runs.values() if run.order.memory_mb > 0]
        table = processes() if limited else {}
        for run in limited:
            if resident(run.pid, table) > run.order.memory_mb << 20:
                self.end(run, "memory")

    def kill_orphans(self) -> bool:
        """Kills what was reparented to us: a run's daemon. True if there was any."""
        orphans = [pid for pid in children() if pid not in self.runs]
        for pid in orphans:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return bool(orphans)

    def reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self.deaths, CHUNK)
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if run := self.runs.get(ended[0]):
                    run.status, run.died = ended[1], time.time()
                    run.give_up = time.monotonic() + PATIENCE

    def settle(self) -> None:
        """Finishes the dead runs of which nothing is left."""
        dead = [run for run in self.runs.values() if run.status is not None]
        orphans = bool(dead) and LINUX and self.kill_orphans()
        for run in dead:
            if not (strike_group(run.pid, signal.SIGKILL) or orphans) or time.monotonic() > run.give_up:
                self.finish(run)

    def finish(self, run: Run) -> None:
        for _ in range(64):  # what is in the pipe now; a survivor that goes on printing is not listened to
            if not self.listen(run):
                break
        self.forget(run)
        del self.runs[run.pid]
        os.close(run.pipe)
        os.close(run.log)
        self.close_folder(run.order, run.claim, ending(run.cause, run.reason, run.died, run.status))


def not_started(error: OSError) -> str:
    return f"it could not be started: {error.strerror or error}"


def ending(cause: str, reason: str, at: float = 0.0, status: int | None = None) -> dict[str, object]:
    """What is said of a run's end; `status` as from waitpid, None if it never began."""
    code = None if status is None else os.waitstatus_to_exitcode(status)
    killed = code is not None and code < 0
    return {
        "exit_code": None if killed else code,
        "signal": -code if code is not None and killed else None,
        "at": at or time.time(),
        "cause": cause,
        "reason": reason,
    }


def watch_children() -> int:
    """The read end of a pipe that is written to when a child dies."""
    ends = os.pipe()
    for fd in ends:
        os.set_blocking(fd, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # without a handler the signal wakes nobody
    signal.set_wakeup_fd(ends[1], warn_on_full_buffer=False)
    return ends[0]


def main(arguments: list[str]) -> None:
    orders, news = os.dup(0), os.dup(1)
    with open(os.devnull, "r+b") as nothing:  # noqa: PTH123  nothing that we import may read orders or speak for us
        os.dup2(nothing.fileno(), 0)
        os.dup2(nothing.fileno(), 1)
    os.set_blocking(news, False)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    names = arguments[1].split(",") if arguments[:1] == ["--warm"] and len(arguments) == 2 else []
    warmed = warm_up(filter(None, names)) if LINUX and names else []
    supervisor = Supervisor(orders, news, bool(warmed))
    supervisor.say(kind="ready", warm=warmed)
    supervisor.serve()


if __name__ == "__main__":
    main(sys.argv[1:])

"""Runs train.py in a pod: `PYTHON -I -u starter.py ORDER`, with the order as JSON (see jobs.py, which writes it).

It copies the workspace to where it can be written, hands on what the run prints, ends a run that takes too long or
prints too much, and leaves the result in the container's termination message, which survives a lost log. It is part of
no package there: the image's Python (3.9 or newer) runs it, so it imports the standard library alone. What a run prints
means nothing here, except for the few lines that are worth keeping.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import re
import select
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

TICK = 0.25  # s between looks at the clock
EVERY = 1.0  # s between two rewritten lines that are handed on: a log takes whole lines, and every step is one
MESSAGE = 4000  # bytes; Kubernetes keeps 4096
LONGEST = 1 << 16  # bytes of one line that are held back
BLOCK = 64  # lines after `---` that belong to a result
LARGEST = 16 << 20  # bytes of prepare.py
WIDTH = 300  # characters of a line in the message
FINGERPRINT = 1500  # characters; a longer one is left out, as half of it would identify something else
NAMED = (b"fingerprint:", b"corpus:", b"Model config:")
SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|^KUBERNETES_", re.IGNORECASE)


class Memory:
    """The lines of a log that tell its result, or the last ones if there is none."""

    def __init__(self) -> None:
        self.named: dict[bytes, str] = {}
        self.block: list[str] = []
        self.tail: deque[str] = deque(maxlen=60)

    def note(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").rstrip()
        for name in NAMED:
            if line.startswith(name) and len(text) <= FINGERPRINT:
                self.named[name] = text
        if text == "---":
            self.block = [text]
        elif self.block and len(self.block) < BLOCK:
            self.block.append(text[:WIDTH])
        if text:
            self.tail.append(text[:WIDTH])

    def message(self, end: dict[str, Any]) -> bytes:
        """JSON of the end and of a log with these lines alone, short enough to be kept."""
        has_result = any(line.startswith("val_bpb:") for line in self.block)
        lines = list(self.block if has_result else self.tail)
        named = list(self.named.values())
        while len(body := self.encoded(end, named + lines)) > MESSAGE and (lines or named):
            (lines if lines and not has_result else named or lines).pop(-1 if has_result else 0)
        return body

    @staticmethod
    def encoded(end: dict[str, Any], lines: list[str]) -> bytes:
        log = "".join(line + "\n" for line in lines)
        return json.dumps({**end, "log": log}, ensure_ascii=False).encode("utf-8", "replace")


class Tee:
    """Hands output on as whole lines. Of lines that are rewritten with CR, one a second and the last."""

    def __init__(self, out: int, memory: Memory) -> None:
        self.out, self.memory = out, memory
        self.seen = 0  # bytes
        self.pending = b""
        self.rewritten = False  # the pending line replaces one before it
        self.next_at = 0.0

    def feed(self, data: bytes, now: float) -> None:
        self.seen += len(data)
        *pieces, rest = re.split(rb"(?<=[\r\n])", self.pending + data)
        for piece in pieces:
            self.take(piece, now)
        self.pending = rest
        if len(rest) > LONGEST:
            self.take(rest + b"\n", now)
            self.pending = b""

    def take(self, piece: bytes, now: float) -> None:
        """A line with its end. CR and LF behind each other end one line, so an empty one after CR is none."""
        line = piece[:-1]
        if piece.endswith(b"\r"):
            if line and now >= self.next_at:
                self.next_at = now + EVERY
                self.say(line)
            self.rewritten = True
            return
        if line or not self.rewritten:
            self.say(line)
        self.rewritten = False

    def tick(self, now: float) -> None:
        """A step that is being shown is complete once a while has passed, though its line may never end."""
        if self.rewritten and b"step" in self.pending and now >= self.next_at + EVERY:
            self.next_at = now + EVERY
            self.say(self.pending)
            self.pending = b""

    def close(self) -> None:
        if self.pending:
            self.say(self.pending)
            self.pending = b""

    def say(self, line: bytes) -> None:
        self.memory.note(line)
        data = line + b"\n"
        with contextlib.suppress(OSError):  # whoever read it is gone: the run goes on
            while data:
                data = data[os.write(self.out, data) :]


class Run:
    def __init__(self, order: dict[str, Any]) -> None:
        self.order = order
        self.work = Path(order["work"])
        self.memory = Memory()
        self.tee = Tee(1, self.memory)
        self.cause = self.reason = ""
        self.kill_at = 0.0
        self.is_asked = False  # to stop

    def run(self) -> int:
        """The exit code for the container; the message is written."""
        signal.signal(signal.SIGTERM, self.ask)
        child = self.begin()
        code = self.follow(child) if child else None
        if child and self.cause != "stopped" and self.is_void():
            self.cause = "void"
            self.reason = "prepare.py was changed or removed during the run, so its result is void"
        return self.conclude(code)

    def ask(self, *_: object) -> None:
        self.is_asked = True

    def is_void(self) -> bool:
        wanted = self.order["prepare_digest"]
        return bool(wanted) and digest(self.work / "prepare.py") != wanted

    def begin(self) -> subprocess.Popen[bytes] | None:
        """None, with the reason, if nothing was started: that is no fault of train.py unless the cause is void."""
        try:
            for folder in self.order["folders"]:
                Path(folder).mkdir(parents=True, exist_ok=True)
            copy(Path(self.order["source"]), self.work)
            if self.is_void():
                self.cause = "void"
                self.reason = "prepare.py is not the one that this session started with: nothing was run"
                return None
            return subprocess.Popen(
                [self.order["python"], "train.py"],
                cwd=self.work,
                env=environment(os.environ, self.order["keep"]),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            self.reason = f"cannot start {self.order['python']}: {error}"
            return None

    def follow(self, child: subprocess.Popen[bytes]) -> int:
        """Until it is dead: its code, minus the number of the signal that ended it."""
        pipe = child.stdout.fileno() if child.stdout else -1
        is_open, deadline = True, time.monotonic() + self.order["timeout_s"]
        while True:
            is_ready = bool(select.select([pipe] if is_open else [], [], [], TICK)[0])
            now = time.monotonic()
            if is_ready:
                data = os.read(pipe, 1 << 16)
                is_open = bool(data)
                if self.cause != "output":
                    self.tee.feed(data, now)
            self.tee.tick(now)
            self.look(child, now, deadline)
            if not is_ready and child.poll() is not None:  # what it left behind may hold the pipe
                break
        strike(child, signal.SIGKILL)
        self.tee.close()
        return child.wait()

    def look(self, child: subprocess.Popen[bytes], now: float, deadline: float) -> None:
        if not self.cause:
            too_much = self.tee.seen > self.order["output_bytes"]
            self.cause = "stopped" if self.is_asked else "output" if too_much else "timeout" if now > deadline else ""
            if self.cause:
                self.kill_at = now + self.order["grace_s"]
                strike(child, signal.SIGTERM)
        elif now > self.kill_at:
            strike(child, signal.SIGKILL)

    def conclude(self, code: int | None) -> int:
        end = {
            "at": time.time(),
            "exit_code": code if code is not None and code >= 0 else None,
            "signal": -code if code is not None and code < 0 else None,
            "cause": self.cause,
            "reason": self.reason,
        }
        with contextlib.suppress(OSError):
            Path(self.order["message"]).write_bytes(self.memory.message(end))
        if self.reason:
            self.tee.say(self.reason.encode())
        if self.cause or code is None:
            return 143 if self.cause == "stopped" else 1
        return code if code >= 0 else 128 - code


def strike(child: subprocess.Popen[bytes], number: int) -> None:
    """It is the leader of its own group, which may outlive it."""
    with contextlib.suppress(OSError):
        os.killpg(child.pid, number)


def environment(ours: Any, keep: list[str]) -> dict[str, str]:
    """The container's, without what looks like a secret unless the settings name it."""
    return {name: value for name, value in ours.items() if name in keep or not SECRET.search(name)}


def digest(path: Path) -> str:
    """Of a file. Of anything else there is none: the run may have put a pipe in its place, which would make us wait."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return ""
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return ""
        return hashlib.sha256(file.read(LARGEST)).hexdigest()


def copy(source: Path, work: Path) -> None:
    """`source/plain` as it is, `source/packed` unpacked; beside them a mounted ConfigMap has links and folders."""
    for kind in ("plain", "packed"):
        for path in files(source / kind):
            target = work / path.relative_to(source / kind)
            target.parent.mkdir(parents=True, exist_ok=True)
            if kind == "plain":
                shutil.copyfile(path, target)
            else:
                target.write_bytes(gzip.decompress(path.read_bytes()))


def files(folder: Path) -> list[Path]:
    return sorted(Path(parent, name) for parent, _, names in os.walk(folder) for name in names)


if __name__ == "__main__":
    sys.exit(Run(json.loads(sys.argv[1])).run())

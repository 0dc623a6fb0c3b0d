"""The supervisor as a program: orders in, news out, real processes below it."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from core.executors import local_folder
from core.executors.local_supervisor import PROGRAM

LINUX = sys.platform.startswith("linux")
linux_only = pytest.mark.skipif(not LINUX, reason="needs Linux")
BOTH = [False, pytest.param(True, marks=linux_only)]
DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open("daemon", "w").write(str(os.getpid()))
        time.sleep(600)
    while not os.path.exists("daemon") or not open("daemon").read():
        time.sleep(0.01)
    os._exit(0)
while not os.path.exists("daemon") or not open("daemon").read():
    time.sleep(0.01)
"""


def until(holds: Callable[[], object], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class Runner:
    """Our end of one supervisor; every run gets a folder of its own below `root`."""

    def __init__(self, root: Path, *, warm: bool = False) -> None:
        self.root, self.warm, self.count = root, warm, 0
        command = [sys.executable, "-I", "-u", str(PROGRAM), *(["--warm", "decimal,no_such_module"] if warm else [])]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdin
        assert self.process.stdout
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        assert self.hear() == {"kind": "ready", "warm": ["decimal"] if warm else []}

    def close(self) -> None:
        """As an engine that is gone; waits for the end of the last run."""
        self.stdin.close()
        self.process.wait(timeout=20)
        self.stdout.close()

    def hear(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self.stdout.readline())
        return message

    def say(self, text: str) -> None:
        self.stdin.write(text.encode() + b"\n")
        self.stdin.flush()

    def order(self, script: str, **changes: Any) -> Path:
        self.count += 1
        folder = self.root / f"e{self.count}-1"
        folder.mkdir()
        (folder / "train.py").write_text(script)
        op = {
            "op": "launch",
            "run": folder.name,
            "folder": str(folder),
            "argv": [sys.executable, "train.py"],
            "script": "train.py",
            "env": {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1"},
            "cpus": None,
            "warm": self.warm,
            "timeout_s": 60,
            "grace_s": 0.3,
            "output_bytes": 1_000_000,
            "memory_mb": 0,
        }
        self.say(json.dumps(op | changes))
        return folder

    def run(self, script: str, **changes: Any) -> tuple[dict[str, Any], str]:
        """Its end and its log."""
        folder = self.order(script, **changes)
        started = self.hear()
        assert started["kind"] == "started", started
        assert started["warm"] is self.warm
        end = self.hear()
        assert end["kind"] == "ended"
        assert end["run"] == folder.name
        until(lambda: local_folder.state(folder) == "ended")
        note = local_folder.read_json(folder / "exit.json")
        assert note.items() <= end.items()
        return end, (folder / "run.log").read_text()


@pytest.fixture
def runner(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Runner]:
    runner = Runner(tmp_path, warm=getattr(request, "param", False))
    yield runner
    runner.process.kill()
    runner.close()


in_both_ways = pytest.mark.parametrize("runner", BOTH, indirect=True, ids=["cold", "warm"])
ENDINGS = {
    "falls off the end": "print('done')",
    "exits with a number": "import sys; sys.exit(3)",
    "exits with more than a byte": "import sys; sys.exit(-1)",
    "exits with a sentence": "import sys; sys.exit('no data: run prepare.py')",
    "raises": "def f(): return 1 / 0\nf()",
    "is no Python": "x = = 1",
    "leaves at once": "import os; os._exit(7)",
    "crashes": "import ctypes; ctypes.string_at(0)",
    "kills itself": "import os; os.kill(os.getpid(), 9)",
    "is interrupted": "import os, signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(9)",
    "is terminated": "import os, signal, time; os.kill(os.getpid(), signal.SIGTERM); time.sleep(9)",
    "fails at its end": "import atexit; atexit.register(lambda: print('bye', __name__))\nraise ValueError('x')",
    "waits for a thread": "import threading, time\n"
    "threading.Thread(target=lambda: (time.sleep(0.05), print('thread'))).start()",
    "leaves a file open": "f = open('out.txt', 'w'); f.write('kept')",
    "looks around": "import sys, os, signal\n"
    "print(sys.argv, sys.path[0] == os.getcwd(), __file__ == os.path.abspath('train.py'), __name__, __doc__)\n"
    "print(sys.stdin.read() == '', sorted({*os.environ} - {'LC_CTYPE'}))\n"  # Python itself may add that one
    "print(os.getpid() == os.getsid(0), os.getpgid(0) == os.getpid())\n"
    "print(sys.modules['__main__'].__dict__ is globals(), signal.getsignal(signal.SIGTERM), signal.getsignal(17))\n"
    "print(sys.stdout.encoding, sys.stdout.errors, sys.stderr.errors, sys.stdout.write_through)\n"
    "print(sorted(os.listdir('/dev/fd'))[:3], len(os.listdir('/dev/fd')))",
}


@linux_only
def test_a_warm_start_gives_what_a_cold_one_gives(tmp_path: Path) -> None:
    outcomes: list[list[tuple[object, ...]]] = []
    for warm in (False, True):
        (tmp_path / str(warm)).mkdir()
        runner = Runner(tmp_path / str(warm), warm=warm)
        outcomes.append([])
        for script in ENDINGS.values():
            end, log = runner.run(script)
            out = tmp_path / str(warm) / end["run"] / "out.txt"
            kept = out.exists() and out.read_text()
            log = log.replace(f"{tmp_path}/{warm}", "")
            outcomes[-1].append((end["exit_code"], end["signal"], end["cause"], log, kept))
        runner.close()
        assert runner.process.returncode == 0
    for name, cold, warm_one in zip(ENDINGS, *outcomes, strict=True):
        assert cold == warm_one, name
    assert [outcome[0] for outcome in outcomes[0]] == [0, 3, 255, 1, 1, 1, 7, None, None, None, None, 1, 0, 0, 0]
    assert [outcome[1] for outcome in outcomes[0][7:11]] == [11, 9, 2, 15]


@in_both_ways
def test_a_deadline_ends_a_run_that_will_not_hear_of_it(runner: Runner) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); time.sleep(99)"
    began = time.monotonic()
    end, log = runner.run(deaf, timeout_s=0.5)
    assert (end["cause"], end["signal"], log) == ("timeout", 9, "on\n")
    assert time.monotonic() - began < 5


def test_a_deadline_lets_a_run_say_goodbye(runner: Runner) -> None:
    script = "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit('bye'))\ntime.sleep(99)"
    end, log = runner.run(script, timeout_s=0.5, grace_s=20)
    assert (end["cause"], end["exit_code"], log) == ("timeout", 1, "bye\n")


@linux_only
@in_both_ways
def test_a_daemon_does_not_outlive_its_run(runner: Runner) -> None:
    end, _ = runner.run(DAEMON)
    daemon = int((runner.root / end["run"] / "daemon").read_text())
    assert end["exit_code"] == 0
    assert not is_alive(daemon)


@linux_only
def test_a_daemon_is_killed_while_its_run_goes_on(runner: Runner) -> None:
    folder = runner.order(DAEMON + "time.sleep(600)")
    until(lambda: (folder / "daemon").exists() and (folder / "daemon").read_text())
    until(lambda: not is_alive(int((folder / "daemon").read_text())))
    assert runner.hear()["kind"] == "started"
    (folder / "stop").touch()
    assert runner.hear()["cause"] == "stopped"


@in_both_ways
def test_a_grandchild_that_holds_the_output_does_not_delay_the_end(runner: Runner) -> None:
    script = "import subprocess, sys\np = subprocess.Popen(['sleep', '600'])\nprint(p.pid)\nprint('---')"
    began = time.monotonic()
    end, log = runner.run(script)
    assert (end["exit_code"], end["cause"]) == (0, "")
    assert time.monotonic() - began < 5
    assert not is_alive(int(log.split()[0]))


def test_endless_output_is_cut_and_ends_the_run(runner: Runner) -> None:
    end, log = runner.run("while True: print('x' * 9999)", output_bytes=1_000_000)
    assert (end["cause"], end["signal"], len(log)) == ("output", 9, 1_000_000)


@linux_only
def test_the_memory_of_children_counts(runner: Runner) -> None:
    hog = "import os, time\nfor _ in range(3):\n  if os.fork() == 0: break\nx = bytearray(60 << 20)\ntime.sleep(60)"
    end, _ = runner.run(hog, memory_mb=200)
    assert end["cause"] == "memory"


def test_a_full_disk_ends_the_run_with_a_reason(runner: Runner) -> None:
    if not LINUX:
        pytest.skip("needs prlimit")
    resource.prlimit(runner.process.pid, resource.RLIMIT_FSIZE, (50_000, 50_000))
    end, log = runner.run("while True: print('x' * 9999)")
    assert end["cause"] == "disk"
    assert end["reason"].startswith("run.log could not be written")
    assert len(log) == 50_000


def test_a_stop_file_ends_a_run_and_keeps_one_from_starting(runner: Runner) -> None:
    folder = runner.order("import time; time.sleep(600)")
    assert runner.hear()["kind"] == "started"
    (folder / "stop").touch()
    end = runner.hear()
    assert (end["cause"], end["signal"]) == ("stopped", 15)
    (runner.root / "e2-1").mkdir()
    (runner.root / "e2-1" / "stop").touch()
    runner.say(json.dumps({"op": "launch", "run": "e2-1", "folder": str(runner.root / "e2-1")} | minimal()))
    end = runner.hear()
    assert (end["kind"], end["cause"], end["exit_code"]) == ("ended", "stopped", None)


def minimal() -> dict[str, object]:
    limits = {"timeout_s": 9, "grace_s": 1, "output_bytes": 99, "memory_mb": 0}
    return {"argv": ["true"], "script": "train.py", "env": {}, "cpus": None, **limits}


def test_a_command_that_does_not_exist_says_so_in_the_log(runner: Runner) -> None:
    end, log = runner.run("", argv=["/no/such/python", "train.py"])
    assert end["exit_code"] == 127
    assert log.startswith("cannot start /no/such/python train.py: [Errno 2]")


def test_a_folder_is_claimed_once(runner: Runner) -> None:
    end, _ = runner.run("print(1)")
    op = {"op": "launch", "run": end["run"], "folder": str(runner.root / end["run"])} | minimal()
    runner.say(json.dumps(op))
    assert runner.hear() == {"kind": "claimed", "run": end["run"]}


def test_nonsense_is_survived(runner: Runner) -> None:
    for line in ("", "{", "[1]", "\x00\xff", "[" * 100_000, '{"op": "dance"}', "NaN", '{"op": "stop"}'):
        runner.say(line)
    runner.say('{"op": "launch", "run": "a"}')
    assert "was not understood" in runner.hear()["reason"]
    runner.say(json.dumps({"op": "launch", "run": "b", "folder": "/no/such/folder"} | minimal()))
    assert runner.hear()["reason"] == "it could not be started: No such file or directory"
    runner.say(json.dumps({"op": "launch", "run": "c", "folder": str(runner.root)} | minimal() | {"argv": []}))
    assert [runner.hear()["kind"], runner.hear()["exit_code"]] == ["started", 127]
    assert runner.run("print(1)")[1] == "1\n"


def test_a_folder_that_vanishes_does_not_stop_the_others(runner: Runner) -> None:
    script = "import os, time, shutil\nshutil.rmtree(os.getcwd())"
    runner.order(script)
    assert [runner.hear()["kind"], runner.hear()["kind"]] == ["started", "ended"]
    assert runner.run("print(1)")[1] == "1\n"


@in_both_ways
def test_nothing_of_the_supervisor_is_open_in_a_run(runner: Runner) -> None:
    other = runner.order("import time; time.sleep(600)")
    assert runner.hear()["kind"] == "started"
    _, log = runner.run(
        "import os\nfor n in os.listdir('/dev/fd'):\n  if int(n) > 2: print(os.path.exists('/dev/fd/' + n))"
    )
    assert log == "False\n"  # the listing itself, closed by now
    (other / "stop").touch()
    assert runner.hear()["cause"] == "stopped"


@linux_only
@in_both_ways
def test_a_run_stays_on_its_cores(runner: Runner) -> None:
    core = min(os.sched_getaffinity(0))
    assert runner.run("import os; print(os.sched_getaffinity(0))", cpus=[core])[1] == f"{{{core}}}\n"


def test_without_an_engine_it_goes_on_until_the_last_run_has_ended(runner: Runner) -> None:
    folder = runner.order("import time\nwhile not __import__('os').path.exists('go'): time.sleep(0.01)\nprint('---')")
    assert runner.hear()["kind"] == "started"
    runner.stdin.close()
    runner.stdout.close()
    assert local_folder.state(folder) == "alive"
    assert runner.process.poll() is None
    (folder / "go").touch()
    assert runner.process.wait(timeout=10) == 0
    assert local_folder.state(folder) == "ended"
    assert (folder / "run.log").read_text() == "---\n"


@linux_only
@in_both_ways
def test_runs_die_with_their_supervisor_and_their_lock_is_free(runner: Runner) -> None:
    folder = runner.order("import time; time.sleep(600)")
    pid = runner.hear()["pid"]
    until(lambda: (folder / "started.json").exists())
    with (folder / "claim").open() as claim, pytest.raises(BlockingIOError):
        fcntl.flock(claim, fcntl.LOCK_SH | fcntl.LOCK_NB)
    runner.process.send_signal(signal.SIGKILL)
    runner.process.wait()
    until(lambda: not is_alive(pid))
    assert local_folder.state(folder) == "dead"


@linux_only
def test_unseeded_dice_differ_between_warm_runs(tmp_path: Path) -> None:
    runner = Runner(tmp_path, warm=True)
    logs = {runner.run("import random; print(random.random())")[1] for _ in range(3)}
    runner.close()
    assert len(logs) == 3


@linux_only
@in_both_ways
def test_an_end_is_told_at_once(runner: Runner) -> None:
    """5 ms on an idle machine; the median of several, with room for a busy one."""
    script = "import os, time; print(time.time()); os._exit(0)"
    delays = []
    for _ in range(5):
        runner.order(script)
        runner.hear()
        runner.hear()
        delays.append(time.time() - float((runner.root / f"e{runner.count}-1" / "run.log").read_text()))
    assert sorted(delays)[2] < 0.05

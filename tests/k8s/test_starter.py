"""The program that runs train.py in a pod, as a process of its own with a folder in place of the container."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

STARTER = Path(__file__).parents[2] / "k8s" / "starter.py"
RESULT = 'print("fingerprint: abc", flush=True)\nprint("---\\nval_bpb:          0.997900\\nnum_steps:        7")\n'
PREPARE = b"BUDGET = 1\n"


class Pod:
    """`ordered` changes what jobs.py would order."""

    def __init__(self, folder: Path, source: str, *, packed: bool = False, **ordered: object) -> None:
        self.folder = folder
        files = {"train.py": source.encode(), "prepare.py": PREPARE, "lib/more.py": b"X = 1\n"}
        for name, body in files.items():
            path = folder / "source" / ("packed" if packed else "plain") / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(gzip.compress(body) if packed else body)
        order: dict[str, object] = {
            "python": sys.executable,
            "source": str(folder / "source"),
            "work": str(folder / "work"),
            "folders": [str(folder / "work"), str(folder / "home")],
            "message": str(folder / "message"),
            "timeout_s": 20,
            "grace_s": 0.5,
            "output_bytes": 1_000_000,
            "prepare_digest": hashlib.sha256(PREPARE).hexdigest(),
            "keep": [],
            **ordered,
        }
        self.argv = [sys.executable, "-I", "-u", str(STARTER), json.dumps(order)]

    def begin(self, **env: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self.argv, stdout=subprocess.PIPE, env={"PATH": os.environ["PATH"], **env})

    def run(self, **env: str) -> tuple[int, str]:
        """Exit code and log."""
        process = self.begin(**env)
        log, _ = process.communicate(timeout=30)
        return process.returncode, log.decode()

    @property
    def message(self) -> dict[str, Any]:
        body = (self.folder / "message").read_bytes()
        assert len(body) <= 4096
        said: dict[str, Any] = json.loads(body)
        return said


def wait_until_gone(process: int) -> None:
    """One that nobody has buried yet has no command line any more."""
    command, until = Path(f"/proc/{process}/cmdline"), time.monotonic() + 5
    while command.exists() and command.read_bytes():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize("packed", [False, True])
def test_a_run_finds_its_workspace_and_leaves_its_result_in_the_message(tmp_path: Path, packed: bool) -> None:
    pod = Pod(tmp_path, f"import prepare\nfrom lib import more\n{RESULT}", packed=packed)
    code, log = pod.run()
    assert code == 0
    assert "val_bpb:          0.997900\n" in log
    said = pod.message
    assert (said["exit_code"], said["signal"], said["cause"]) == (0, None, "")
    assert said["log"] == "fingerprint: abc\n---\nval_bpb:          0.997900\nnum_steps:        7\n"


def test_a_failed_run_leaves_the_end_of_its_log_in_the_message(tmp_path: Path) -> None:
    pod = Pod(tmp_path, "for n in range(5000): print('line', n)\nraise ValueError('no such width')")
    code, log = pod.run()
    assert (code, pod.message["exit_code"]) == (1, 1)
    assert log.startswith("line 0\n")
    assert pod.message["log"].endswith("ValueError: no such width\n")


def test_a_flood_of_odd_characters_still_fits_into_the_message(tmp_path: Path) -> None:
    pod = Pod(tmp_path, "for n in range(200): print('\\x1b\\u20ac\"' * 100)\nprint('corpus: ' + 'x' * 1400)\nexit(3)")
    assert pod.run()[0] == 3
    assert pod.message["log"].startswith("corpus: xxx")


def test_a_run_gets_its_environment_without_what_looks_like_a_secret(tmp_path: Path) -> None:
    pod = Pod(tmp_path, "import os, sys; print(sorted(os.environ), os.getcwd())", keep=["HF_TOKEN"])
    names = ("AUTORESEARCH_SEED", "AWS_SECRET", "HF_TOKEN", "KUBERNETES_SERVICE_HOST")
    _, log = pod.run(**dict.fromkeys(names, "7"))
    assert "AUTORESEARCH_SEED" in log
    assert "HF_TOKEN" in log
    assert "AWS_SECRET" not in log
    assert "KUBERNETES" not in log
    assert str(tmp_path / "work") in log


def test_a_run_that_takes_too_long_is_ended_with_all_it_started(tmp_path: Path) -> None:
    source = "import subprocess, time\nchild = subprocess.Popen(['sleep', '60'])\nprint(child.pid, flush=True)\n"
    pod = Pod(tmp_path, f"{source}time.sleep(60)", timeout_s=0.7)
    code, log = pod.run()
    assert (code, pod.message["cause"], pod.message["signal"]) == (1, "timeout", signal.SIGTERM)
    wait_until_gone(int(log))


def test_what_a_run_leaves_behind_dies_with_it(tmp_path: Path) -> None:
    source = "import subprocess\nchild = subprocess.Popen(['sleep', '60'])\nprint(child.pid)\n"
    code, log = Pod(tmp_path, source).run()
    assert code == 0
    wait_until_gone(int(log))


def test_a_run_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    source = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('on', flush=True)\n"
    pod = Pod(tmp_path, f"{source}time.sleep(60)", timeout_s=0.7)
    assert pod.run() == (1, "on\n")
    assert (pod.message["cause"], pod.message["signal"]) == ("timeout", signal.SIGKILL)


def test_a_run_that_prints_too_much_is_ended_and_the_log_stays_small(tmp_path: Path) -> None:
    pod = Pod(tmp_path, "while True: print('x' * 1000)", output_bytes=100_000)
    code, log = pod.run()
    assert (code, pod.message["cause"]) == (1, "output")
    assert 100_000 <= len(log) < 300_000


def test_a_pod_that_is_asked_to_stop_says_so_and_keeps_a_result(tmp_path: Path) -> None:
    pod = Pod(tmp_path, f"import time\n{RESULT}print('ready', flush=True)\ntime.sleep(60)")
    process = pod.begin()
    assert process.stdout is not None
    while b"ready" not in process.stdout.readline():
        pass
    process.terminate()
    process.communicate(timeout=10)
    assert (process.returncode, pod.message["cause"]) == (143, "stopped")
    assert "val_bpb:          0.997900" in pod.message["log"]


def test_a_prepare_that_is_not_the_sessions_own_runs_nothing(tmp_path: Path) -> None:
    pod = Pod(tmp_path, "print('ran')", prepare_digest="0" * 64)
    code, log = pod.run()
    assert (code, pod.message["cause"]) == (1, "void")
    assert "ran\n" not in log


def test_a_run_that_changes_prepare_is_void(tmp_path: Path) -> None:
    pod = Pod(tmp_path, f"open('prepare.py', 'a').write('#')\n{RESULT}")
    assert pod.run()[0] == 1
    assert pod.message["cause"] == "void"
    assert pod.message["reason"] == "prepare.py was changed or removed during the run, so its result is void"


def test_an_interpreter_that_is_not_there_is_told(tmp_path: Path) -> None:
    pod = Pod(tmp_path, RESULT, python="python9")
    assert pod.run()[0] == 1
    said = pod.message
    assert (said["exit_code"], said["cause"]) == (None, "")
    assert said["reason"].startswith("cannot start python9: ")


def test_a_run_that_is_killed_by_a_signal_says_which(tmp_path: Path) -> None:
    pod = Pod(tmp_path, "import os; os.kill(os.getpid(), 9)")
    assert pod.run()[0] == 137
    assert pod.message["signal"] == 9


def test_steps_that_rewrite_their_line_become_lines_once_a_second(tmp_path: Path) -> None:
    steps = "import time\nfor n in range(300):\n    print(f'\\rstep {n:05d} | loss: 1.0', end='', flush=True)\n"
    pod = Pod(tmp_path, f"{steps}    time.sleep(0.005)\nprint()\n{RESULT}")
    _, log = pod.run()
    shown = [line for line in log.splitlines() if line.startswith("step ")]
    assert "\r" not in log
    assert 2 <= len(shown) <= 6
    assert shown[-1] == "step 00299 | loss: 1.0"


def test_a_step_whose_line_stays_open_is_shown_all_the_same(tmp_path: Path) -> None:
    pod = Pod(tmp_path, "import time\nprint('\\rstep 00001 | loss: 1.0', end='', flush=True)\ntime.sleep(60)")
    process = pod.begin()
    assert process.stdout is not None
    assert process.stdout.readline() == b"step 00001 | loss: 1.0\n"
    process.terminate()
    process.communicate(timeout=10)


@pytest.mark.parametrize("before", ["", "\\r"])
def test_a_number_whose_line_is_not_complete_is_never_cut_in_two(tmp_path: Path, before: str) -> None:
    parts = f"print('---\\n{before}val_bpb: 0.99', end='', flush=True)\ntime.sleep(1.6)\nprint('79')\n"
    pod = Pod(tmp_path, f"import time\n{parts}")
    assert pod.run() == (0, "---\nval_bpb: 0.9979\n")

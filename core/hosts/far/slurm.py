"""Runs as Slurm jobs: submitted once, asked about in one call for all, cancelled; and, as a program, what a job does.

In a job it becomes the same supervisor that looks after runs elsewhere, which leaves the same notes in the run's
folder. File locks may not reach from node to node, so whether a run lives is for Slurm to say. Standard library alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.executors import local_folder
    from core.executors.local_environment import Share, base_environment, run_environment
else:
    sys.path.insert(0, str(Path(__file__).parent))
    import local_folder
    from local_environment import Share, base_environment, run_environment

    del sys.path[0]

POLL_S = 10.0  # between two questions to Slurm
HURRY_S = 2.0  # the same where a run has left its end
SETTLE_S = 30.0  # for a job's last files to arrive over a shared file system
STOP_S = 30.0  # a job that was asked to stop is cancelled after this
WITHIN_S = 60.0
JOB = "job.json"
MARK = "submitting"  # there before Slurm hears of the job


class Queue:
    """What Slurm said last."""

    def __init__(self) -> None:
        self.jobs: dict[str, tuple[str, str]] = {}  # id: state and reason, of jobs that are not over
        self.gone: dict[str, tuple[float, str]] = {}  # id: when it was missed first, and how sacct says it ended
        self.asked = 0.0

    def submit(self, folder: Path, options: dict[str, str]) -> dict[str, Any]:
        if (folder / JOB).exists():
            return {"state": "begun"}
        name = f"autoresearch-{folder.parent.name}-{folder.name}"
        mark = folder / MARK
        job = found(name) if mark.exists() else ""  # an agent died between telling Slurm and taking note of it
        mark.touch()
        if not job:
            done = ask(sbatch(folder, name, options), script(folder))
            job = done.stdout.strip().partition(";")[0]
            if done.returncode or not job.isdigit():
                return {"state": "refused", "why": (done.stderr.strip().splitlines() or ["sbatch said nothing"])[-1]}
        local_folder.write_json(folder / JOB, {"id": job, "name": name})
        self.jobs[job] = ("PENDING", "")
        return {"state": "begun"}

    def look(self, folders: Iterable[Path]) -> dict[str, Any]:
        """By run, the id of its job; Slurm is asked if it is time. Empty where no run is a job."""
        jobs = {folder: job for folder in folders if (job := job_of(folder))}
        ids = {folder.name: job for folder, job in jobs.items()}
        hurry = any((folder / "exit.json").exists() for folder in jobs)
        if ids and time.monotonic() - self.asked > (HURRY_S if hurry else POLL_S):
            self.ask(set(ids.values()))
        return ids

    def ask(self, ids: set[str]) -> None:
        self.asked = time.monotonic()
        done = ask(["squeue", "--me", "--noheader", "--states=all", "--format=%i|%T|%r"])
        if done.returncode:
            return  # Slurm is not to be reached: jobs go on as far as anybody knows
        rows = [line.strip().split("|") for line in done.stdout.splitlines()]
        over = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "OUT_OF_MEMORY", "BOOT_FAIL"}
        self.jobs = {row[0]: (row[1], row[2]) for row in rows if len(row) == 3 and row[1] not in over}
        for job in ids & self.jobs.keys():
            self.gone.pop(job, None)
        if missed := ids - self.jobs.keys() - self.gone.keys():
            ends = accounted(missed)
            self.gone.update({job: (time.monotonic(), ends.get(job, "")) for job in missed})

    def state(self, folder: Path, state: str, ids: dict[str, str]) -> tuple[str, str]:
        """The run's state, and why it waits or is dead. `state`: what its folder says."""
        job = ids[folder.name]
        if job not in self.gone:
            waits = self.jobs.get(job, ("", ""))[1]
            self.hasten(folder, job)
            return ("absent", f"Slurm: {waits}") if state == "absent" else ("alive", "")
        if state != "absent" and local_folder.read_json(folder / "exit.json"):
            return "ended", ""
        since, how = self.gone[job]
        if time.monotonic() - since < SETTLE_S:
            return ("absent", "") if state == "absent" else ("alive", "")
        return "dead", f"its Slurm job {job} ended without a word" + (f" ({how})" if how else "")

    def hasten(self, folder: Path, job: str) -> None:
        with contextlib.suppress(OSError):
            if time.time() - (folder / "stop").stat().st_mtime > STOP_S:
                ask(["scancel", job])
                (folder / "stop").touch()

    def cancel(self, folder: Path) -> None:
        """A job that waits goes at once; one that runs finds the file `stop`."""
        if job := job_of(folder):
            ask(["scancel", "--state=PENDING", job])


def job_of(folder: Path) -> str:
    return str(local_folder.read_json(folder / JOB).get("id", ""))


def is_half_submitted(folder: Path) -> bool:
    """Slurm may have a job of it whose number was never heard."""
    return (folder / MARK).exists() and not (folder / JOB).exists()


def sbatch(folder: Path, name: str, options: dict[str, str]) -> list[str]:
    """`options`: long options of sbatch with their values."""
    fixed = {"job-name": name, "chdir": str(folder), "output": "slurm.out", "export": "NONE"}
    given = [f"--{option}={value}" for option, value in {**options, **fixed}.items()]
    return ["sbatch", "--parsable", "--no-requeue", *given]


def script(folder: Path) -> str:
    return f"#!/bin/sh\nexec {shlex.join([sys.executable, '-I', '-u', __file__, str(folder)])}\n"


def found(name: str) -> str:
    """The id of the job of this name, or ""."""
    queued = ask(["squeue", "--me", "--noheader", "--states=all", f"--name={name}", "--format=%i"])
    if queued.returncode == 0 and queued.stdout.strip():
        return queued.stdout.split()[0]
    past = ask(["sacct", "-n", "-X", "-P", f"--name={name}", "--starttime=now-7days", "--format=JobID"])
    return past.stdout.split()[0] if past.returncode == 0 and past.stdout.strip() else ""


def accounted(ids: set[str]) -> dict[str, str]:
    """How jobs ended; empty without accounting."""
    done = ask(["sacct", "-n", "-X", "-P", "-j", ",".join(sorted(ids)), "--format=JobID,State"])
    rows = [line.split("|") for line in done.stdout.splitlines()] if done.returncode == 0 else []
    return {row[0]: row[1] for row in rows if len(row) == 2}


def ask(command: list[str], text: str = "") -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, input=text, capture_output=True, text=True, timeout=WITHIN_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 127, "", f"{command[0]}: {error}")


# --- in the job -------------------------------------------------------------------------------------------------------


def main(folder: Path) -> None:
    """Becomes the supervisor of the run in this folder."""
    order = local_folder.read_json(folder / "order.json")
    base = base_environment(os.environ, order["env"], order["time_budget"])
    env = run_environment(base, Share(), order["seed"])
    env["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "")  # Slurm's choice
    note = json.dumps({**order, "env": env, "op": "launch", "script": "train.py"}).encode() + b"\n"
    orders, ours = os.pipe()
    os.write(ours, note)  # less than a pipe holds
    os.close(ours)
    os.dup2(orders, 0)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    runner = Path(__file__).with_name("runner.py")
    os.environ.update(AUTORESEARCH_SUPERVISOR=os.urandom(8).hex())
    os.execv(sys.executable, [sys.executable, "-I", "-u", str(runner)])  # noqa: S606  no shell is the point


if __name__ == "__main__":
    main(Path(sys.argv[1]))

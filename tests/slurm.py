"""A Slurm made of one small program under five names, for a PATH: jobs are processes of this machine.

It knows what the executor asks for and nothing else. A file `hold` in its folder keeps jobs waiting; `calls` says what
it was asked; a job that is killed with `scancel` ends as Slurm's would.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from hosts import Box

PROGRAM = """\
#!{python}
import json, os, signal, subprocess, sys, time
from pathlib import Path
root, me = Path({root!r}), Path(sys.argv[0]).name
options = dict(word[2:].partition("=")[::2] for word in sys.argv[1:] if word.startswith("--"))
with (root / "calls").open("a") as calls:
    calls.write(json.dumps([me, *sys.argv[1:]]) + "\\n")
if (root / "down").exists():
    sys.exit("slurm_load_jobs error: Unable to contact slurm controller (connect failure)")

def jobs():
    return {{path.stem: json.loads(path.read_text()) for path in sorted(root.glob("*.job"))}}

def keep(job, note):
    (root / (job + ".job")).write_text(json.dumps(note))

def alive(pid):
    try:
        return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False

def turn():
    for job, note in jobs().items():
        if note["state"] == "PENDING" and not (root / "hold").exists():
            out = open(Path(note["chdir"], "slurm.out"), "ab")
            env = {{"PATH": os.environ["PATH"], "HOME": "/", "CUDA_VISIBLE_DEVICES": "5", "SLURM_JOB_ID": job}}
            child = subprocess.Popen(["/bin/sh", note["script"]], cwd=note["chdir"], env=env, stdout=out, stderr=out,
                                     stdin=subprocess.DEVNULL, start_new_session=True)
            keep(job, {{**note, "state": "RUNNING", "pid": child.pid}})
        elif note["state"] == "RUNNING" and not alive(note["pid"]):
            keep(job, {{**note, "state": "COMPLETED"}})

if me == "sbatch":
    if "--version" in sys.argv:
        sys.exit(print("slurm 24.05.3"))
    if options.get("partition") == "closed":
        sys.exit("sbatch: error: invalid partition specified: closed")
    job = str(4000 + len(jobs()))
    script = root / (job + ".sh")
    script.write_text(sys.stdin.read())
    keep(job, {{"name": options["job-name"], "chdir": options["chdir"], "script": str(script), "state": "PENDING"}})
    turn()
    if (root / "deaf").exists():
        (root / "deaf").unlink()
        os.kill(os.getppid(), signal.SIGKILL)
        sys.exit(1)
    print(job + ";lab")
elif me == "squeue":
    turn()
    for job, note in jobs().items():
        if note["state"] in ("PENDING", "RUNNING") and options.get("name") in (None, note["name"]):
            reason = "Resources" if note["state"] == "PENDING" else "None"
            print(job if options.get("name") else "|".join([job, note["state"], reason]))
elif me == "sacct":
    wanted = sys.argv[sys.argv.index("-j") + 1].split(",") if "-j" in sys.argv else None
    for job, note in jobs().items():
        if job in (wanted or [job]) and options.get("name") in (None, note["name"]):
            print(job if options.get("name") else job + "|" + note["state"])
elif me == "scancel":
    note = jobs()[sys.argv[-1]]
    if note["state"] == "RUNNING" and options.get("state") != "PENDING":
        os.killpg(note["pid"], signal.SIGTERM)
    if note["state"] == "PENDING" or options.get("state") != "PENDING":
        keep(sys.argv[-1], {{**note, "state": "CANCELLED"}})
"""


class Slurm:
    """On a host's PATH."""

    def __init__(self, box: Box) -> None:
        self.folder = box.root / "slurm"
        self.folder.mkdir()
        for name in ("sbatch", "squeue", "sacct", "scancel"):
            box.program(name, PROGRAM.format(python=sys.executable, root=str(self.folder)))

    def calls(self, name: str) -> list[list[str]]:
        file = self.folder / "calls"
        calls = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        return [call[1:] for call in calls if call[0] == name]

    def switch(self, name: str, *, on: bool = True) -> None:
        """hold, down or deaf: whoever submits dies before it hears the number, once."""
        if on:
            (self.folder / name).touch()
        else:
            (self.folder / name).unlink(missing_ok=True)

    def end(self, state: str) -> None:
        """What the cluster does to every job that is not over."""
        for path in self.folder.glob("*.job"):
            note = json.loads(path.read_text())
            if note["state"] in ("PENDING", "RUNNING"):
                path.write_text(json.dumps({**note, "state": state}))

    @property
    def pids(self) -> list[int]:
        notes = [json.loads(Path(path).read_text()) for path in self.folder.glob("*.job")]
        return [note["pid"] for note in notes if "pid" in note]

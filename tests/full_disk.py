"""A session on a disk of its own that fills up under the engine, where a tmpfs may be mounted.

As a program, with a folder, it prints what became of the engine as JSON.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import stub

from core import events as ev
from core import log as logs

SIZE_MB = 6


def apart(mount: str, *command: str) -> list[str] | None:
    """`command` with a file system of its own, which `mount` makes; None where there can be none."""
    alone = ["unshare", "-rm", "sh", "-c"]
    if not shutil.which("unshare") or subprocess.run([*alone, mount], capture_output=True, check=False).returncode:
        return None
    return [*alone, f'{mount} && exec "$@"', "sh", *command]


def command(folder: Path) -> list[str] | None:
    return apart(f"mount -t tmpfs -o size={SIZE_MB}m none {folder}", sys.executable, __file__, str(folder))


def report(folder: Path) -> dict[str, Any]:
    workspace = stub.make_stub(folder / "work")
    file = stub.file_of(workspace)
    engine = stub.start(workspace, "--no-ui")
    stub.until(lambda: file.exists() and stub.state_of(workspace).ended >= 2)
    known = len(logs.read_all(file))
    _fill(folder / "rubbish")
    said, _ = engine.communicate(timeout=60)
    (folder / "rubbish").unlink()
    ends = [fact.outcome for fact in logs.read_all(file)[known:] if isinstance(fact, ev.RunEnded)]
    again = stub.run(workspace, "--no-ui", "--for", "1s")
    return {"code": engine.returncode, "said": said, "ends": ends, "again": again.returncode}


def _fill(file: Path) -> None:
    with file.open("wb", buffering=0) as rubbish:
        try:
            while True:
                rubbish.write(bytes(4096))
        except OSError:
            return


if __name__ == "__main__":
    print(json.dumps(report(Path(sys.argv[1]))))

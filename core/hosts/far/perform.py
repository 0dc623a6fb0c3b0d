"""One command on the host, in the environment that runs have: the order is a line of JSON on stdin.

What was done once is not done again: a mark says so. Imports the standard library alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.executors.local_environment import base_environment
else:
    sys.path.insert(0, str(Path(__file__).parent))
    from local_environment import base_environment

    del sys.path[0]


def main() -> int:
    order = json.loads(sys.stdin.buffer.readline())
    folder, mark = Path(order["folder"]).expanduser(), order["mark"] and Path(order["mark"])
    if mark and mark.exists():
        print("done before")
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    argv = [os.path.expanduser(word) for word in order["argv"]]  # noqa: PTH111  words, not paths
    try:
        code = subprocess.run(
            argv,
            cwd=folder,
            env=base_environment(os.environ, order["env"], None),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode
    except OSError as error:
        print(f"{argv[0]}: {error.strerror}")
        return 127
    if code == 0 and mark:
        mark.touch()
    return code


if __name__ == "__main__":
    sys.exit(main())

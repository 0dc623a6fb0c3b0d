"""The first thing that runs on a host: takes the other programs if they are not there yet, and becomes the agent.

Sent as text in the command line, so it holds nothing secret and stays small. Arguments: digest, folder, how many bytes.
"""

import json
import os
import sys

digest, root, size = sys.argv[1], os.path.expanduser(sys.argv[2]), int(sys.argv[3])  # noqa: PTH111  pathlib is slow
tools = os.path.join(root, "tools", digest)  # noqa: PTH118
is_there = os.path.isdir(tools)  # noqa: PTH112
sys.stdout.write("\nautoresearch-tui " + ("has" if is_there else "wants") + "\n")
sys.stdout.flush()
if not is_there:
    body = b""
    while len(body) < size:
        piece = os.read(0, size - len(body))
        if not piece:
            sys.exit(1)
        body += piece
    draft = tools + "-" + str(os.getpid())
    os.makedirs(draft, mode=0o700)  # noqa: PTH103
    for name, text in json.loads(body).items():
        with open(os.path.join(draft, name), "w", encoding="utf-8") as file:  # noqa: PTH118, PTH123
            file.write(text)
    try:
        os.rename(draft, tools)  # noqa: PTH104
    except OSError:
        if not os.path.isdir(tools):  # noqa: PTH112  another engine was quicker
            raise
agent = os.path.join(tools, "agent.py")  # noqa: PTH118
os.execv(sys.executable, [sys.executable, "-I", "-u", agent, root])  # noqa: S606  no shell is the point

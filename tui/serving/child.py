"""The window process of one guest: takes the terminal that it was given, and opens the control room.

    python -P -m tui.serving.child INVITATION      a JSON object, `Invitation`

Started by `tui.serving.booth` with the terminal as its standard streams, as the leader of a session of its own.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import termios
from pathlib import Path
from typing import Any

import msgspec


class Invitation(msgspec.Struct, frozen=True, kw_only=True):
    workspace: str
    name: str
    is_viewer: bool
    flags: dict[str, Any] = {}  # of the command line, for the engine that an operator starts


def command(invitation: Invitation) -> list[str]:
    """-P: a folder of the workspace that is named like a module of ours must not be taken for it."""
    return [sys.executable, "-P", "-m", "tui.serving.child", msgspec.json.encode(invitation).decode()]


def main(text: str) -> int:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that it is hung up on, and told of new sizes
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # a service may have been started with hang-ups ignored
    os.umask(0o077)
    invitation = msgspec.json.decode(text, type=Invitation)
    from core.errors import AutoresearchError
    from tui.window import run_for_guest

    try:
        return run_for_guest(
            Path(invitation.workspace), invitation.flags, invitation.name, read_only=invitation.is_viewer
        )
    except AutoresearchError as error:
        print(f"autoresearch-tui: {error}")
        return error.exit_code


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))

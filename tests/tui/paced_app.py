"""A small full-screen program for tests of the driver: a busy screen, a heartbeat file, keys that leave in many ways.

python paced_app.py HEARTBEAT [busy|calm]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from tui.driver import PacedDriver


class Paced(App[int]):
    CSS = "Screen { overflow: hidden; } #key { height: 1; } #noise { height: 1fr; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "leave"),
        Binding("x", "fail"),
        Binding("f", "freeze"),
        Binding("z", "suspend_process"),
    ]

    def __init__(self, heartbeat: Path, *, busy: bool) -> None:
        super().__init__(driver_class=PacedDriver)
        self.heartbeat, self.busy = heartbeat, busy
        self.keys = self.frames = 0

    def compose(self) -> ComposeResult:
        yield Static("key 0", id="key")
        yield Static("", id="noise", markup=False)

    def on_mount(self) -> None:
        self.set_interval(0.05, self.beat)
        if self.busy:
            self.set_interval(0.05, self.draw)

    def beat(self) -> None:
        with self.heartbeat.open("a") as file:
            file.write(".")

    def draw(self) -> None:
        self.frames += self.busy
        width, height = self.size.width, self.size.height - 1
        rows = [f"{self.frames * 7919 + row * 104729:0{width}d}"[-width:] for row in range(height)]
        self.query_one("#noise", Static).update("\n".join(rows))

    def on_key(self, event: object) -> None:
        if getattr(event, "key", "") == "k":
            self.keys += 1
            self.query_one("#key", Static).update(f"key {self.keys}")

    def action_freeze(self) -> None:
        self.busy = False
        self.query_one("#key", Static).update(f"frozen at {self.frames}")
        self.draw()

    def action_fail(self) -> None:
        raise ValueError("on purpose")

    def action_leave(self) -> None:
        self.exit(7)


if __name__ == "__main__":
    app = Paced(Path(sys.argv[1]), busy=sys.argv[2:] != ["calm"])
    result = app.run()
    print("left in order")
    raise SystemExit(result if result is not None else app.return_code)

"""What the commands share: flags of the settings, errors as sentences, and where research is shown."""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tui import __version__

if TYPE_CHECKING:
    from core.executor import Executor
    from core.settings import Loaded
    from core.state import State

# Flags of the settings: (flag, type, metavar, help). Their names are those of the settings.
SETTING_FLAGS: tuple[tuple[str, Any, str | None, str], ...] = (
    ("--executor", str, None, "Where runs execute: local, or simulator (nothing is real)."),
    ("--researcher", str, None, "Who proposes experiments: designed, random, greedy."),
    ("--max-hours", str, "H", "The session ends after so many hours of work."),
    ("--max-experiments", str, "N", "The session ends after so many experiments; none: never."),
    ("--target-bpb", str, "X", "The session ends when a kept val_bpb is at or below X."),
    ("--max-usd", str, "X", "The session ends when it has cost so many dollars, at the prices in gpu_usd_hour."),
    ("--for", str, "TIME", 'This invocation ends after "1h", "90m", "45s".'),
    ("--slots", int, "N", "GPUs (or CPU slots) used at a time."),
    ("--max-gpus", str, "GPUS", 'GPUs in use or waited for, by type, like "H100:13,H200:3"; none: no limit.'),
    ("--seed", int, "S", "Every random choice follows from it."),
    ("--on-exit", click.Choice(["stop", "leave"]), None, "Jobs still running at a signal or after --for."),
    ("--time-budget", str, "TIME", "Training time per run; default: the trainer's own."),
    ("--fleet", str, "GPUS", 'The simulator\'s GPUs, like "H100:13,H200:3".'),
    ("--speed", str, "X", "The simulator's: 1 is real time, 60 a minute per second, max as fast as it computes."),
    ("--surface", str, "NAME", "The simulator's: bowl, ridge, sparse, cliff or basins."),
)


def research_options(command: Any) -> Any:
    for flag, kind, metavar, text in reversed(SETTING_FLAGS):
        name = flag.lstrip("-").replace("-", "_")
        target = "for_" if name == "for" else name
        command = click.option(flag, target, type=kind, metavar=metavar, help=text)(command)
    command = click.option("--json", "as_json", is_flag=True, help="With --no-ui: print the recording format.")(command)
    return click.option("--no-ui", is_flag=True, help="Run in the foreground and print lines (cron, containers).")(
        command
    )


class Group(click.Group):
    """Turns our errors into one sentence and their exit code."""

    def invoke(self, context: click.Context) -> Any:
        from core.errors import AutoresearchError

        for stream in (sys.stdout, sys.stderr):  # a terminal that cannot show ✓ gets a question mark, not a crash
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")
        try:
            return super().invoke(context)
        except (click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt:
            context.exit(130)
        except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, a home that is not there
            where = getattr(error, "filename", None)
            reason = getattr(error, "strerror", None) or error
            click.echo(f"autoresearch-tui: Cannot use {where or 'a path'}: {reason}. Is it yours to use?", err=True)
            context.exit(2)
        except AutoresearchError as error:
            click.echo(f"autoresearch-tui: {error}", err=True)
            context.exit(error.exit_code)


def load(workspace: Path, flags: dict[str, Any]) -> Loaded:
    from core import settings

    named = {("for" if name == "for_" else name): value for name, value in flags.items() if value is not None}
    loaded = settings.load(workspace, os.environ, named)
    for warning in loaded.warnings:
        click.echo(f"autoresearch-tui: {warning}", err=True)
    return loaded


def research(
    context: click.Context, workspace: Path, flags: dict[str, Any], *, no_ui: bool = False, as_json: bool = False
) -> None:
    """The control room where there is a terminal, else, or if that is wished, the engine in the foreground."""
    if not (no_ui or as_json) and has_terminal():
        from tui.window import run_control_room

        context.exit(run_control_room(workspace, flags, read_only=context.meta["read_only"]))
    if context.meta["read_only"]:
        raise click.UsageError("--read-only is for the control room, which needs a terminal and no --no-ui.")
    in_foreground(context, workspace, flags, as_json=as_json)


def has_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def in_foreground(context: click.Context, workspace: Path, flags: dict[str, Any], *, as_json: bool) -> None:
    from core import headless, simulated, virtual
    from tui.engine_log import bounded

    loaded, output = load(workspace, flags), context.meta["log"]
    told = say_json if as_json else say
    printing = bounded(told, output) if output else told
    elsewhere = {"kubernetes": _kubernetes, "ssh": _ssh}
    running = headless.run(workspace, loaded, __version__, printing, as_json=as_json, executors=elsewhere)
    run = virtual.run if simulated.needs_virtual_time(loaded.settings) else asyncio.run
    stopped, state = run(running)
    if not (as_json or output):
        draw(state)
        if len(state.lineage) > 1:
            say(f"What was kept: git -C {workspace} log -p {state.branch}")
    context.exit(stopped.exit_code)


def _kubernetes(*parts: Any) -> Executor:
    from k8s.parts import kubernetes_executor  # 0.8 s, for its own sessions alone

    return kubernetes_executor(*parts)


def _ssh(*parts: Any) -> Executor:
    from core.hosts.parts import ssh_executor  # asyncssh takes 0.1 s

    return ssh_executor(*parts)


def say(text: str) -> None:
    """Prints text that may come from anywhere. A closed pipe or a full disk ends the printing, not the research."""
    from core.transcript import clean

    text = clean(text, limit=1_000_000)
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns
        lines = [
            textwrap.fill(row, width, subsequent_indent=" " * 10) if len(row) > width else row
            for row in text.split("\n")
        ]
        text = "\n".join(lines)
    say_json(text)


def say_json(text: str) -> None:
    try:
        print(text, flush=True)
    except (OSError, ValueError):
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123


def draw(state: State) -> None:
    from tui.chart import chart, summary

    if text := chart(state):
        say(text)
        say(summary(state))


def session_file(workspace: Path) -> Path:
    from core import log

    return workspace.expanduser().resolve() / ".autoresearch" / log.FILE


def state_of(workspace: Path) -> State:
    from core import log
    from core.fold import fold
    from core.state import State

    return fold(State(), log.read_all(session_file(workspace)))


def text_of(argument: str) -> str:
    """Arguments may hold bytes that are no UTF-8."""
    return argument.encode("utf-8", "replace").decode()

"""The commands of the command line, each a thin shell around the core."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tui import __version__, orders
from tui.export import export
from tui.hosts import hosts
from tui.manifests import manifests
from tui.mcp_command import mcp
from tui.serving.command import serve
from tui.shell import (
    draw,
    has_terminal,
    load,
    research,
    research_options,
    say,
    say_json,
    session_file,
    state_of,
    text_of,
)

if TYPE_CHECKING:
    from core.state import State

Path_ = click.Path(path_type=Path)
IDLE_S = 10.0  # pauses of a recording are cut to this, in recorded seconds


# --- starting ---------------------------------------------------------------------------------------------------------


@click.command()
@click.argument("folder", type=Path_, required=False)
@research_options
@click.pass_context
def demo(context: click.Context, /, folder: Path | None, no_ui: bool, as_json: bool, **flags: Any) -> None:
    """Research a small GPT, in a workspace made for it.

    FOLDER is made from the template, with its data; default: a folder under your data folder. With
    --executor simulator nothing is real, and neither data nor torch is needed.
    """
    from core import simulated
    from tui import template

    given = {**context.meta["flags"], **{name: value for name, value in flags.items() if value is not None}}
    chosen = load(folder or template.demo_folder(), given).settings
    imagined = simulated.is_simulated(chosen)
    workspace = folder or template.demo_folder(simulated=imagined)
    template.prepare_demo(workspace, chosen, _aside if as_json else say)
    research(context, workspace, given, no_ui=no_ui, as_json=as_json)


def _aside(text: str) -> None:
    click.echo(text, err=True)


@click.command()
@click.pass_context
def init(context: click.Context) -> None:
    """Make a workspace: what is missing of one.

    That is a git repository, train.py, prepare.py, program.md and autoresearch.toml. Nothing is overwritten. With
    --executor kubernetes or ssh train.py is made for GPUs, whatever this machine has.
    """
    from tui import template

    elsewhere = load(context.obj, context.meta["flags"]).settings.executor in ("kubernetes", "ssh")
    template.make(context.obj, say, has_gpu=True if elsewhere else None)
    say("Next: `python prepare.py` prepares the data, `autoresearch-tui doctor` checks, `autoresearch-tui` starts.")


@click.command()
@click.pass_context
def doctor(context: click.Context) -> None:
    """Check everything, with a 5-second run.

    Settings and where they come from, Python, git, disk, slots, torch, the workspace and its trainer.
    """
    from tui.doctor import examine

    loaded = load(context.obj, context.meta["flags"])
    context.exit(examine(context.obj, loaded, say))


# --- looking ----------------------------------------------------------------------------------------------------------


@click.command()
@click.option("--json", "as_json", is_flag=True, help="The stable interface; described in the README.")
@click.pass_obj
def status(workspace: Path, as_json: bool) -> None:
    """What the session has reached, and whether an engine runs."""
    from core import log, telling, views
    from tui import ledger
    from tui.chart import summary

    state, file = state_of(workspace), session_file(workspace)
    alive = log.is_held(file)
    beat = log.heartbeat(file)
    now = time.time() if alive and not state.simulated else state.at  # simulated time is where its facts are
    if as_json:
        facts = views.status(state, now=now, alive=alive, pid=beat.pid if beat and alive else None)
        click.echo(json.dumps(facts, ensure_ascii=False))
        return
    on = f", {views.where(state.engine)}" if state.engine else ""
    engine = f"engine alive (pid {beat.pid}{on})" if alive and beat else "no engine running"
    stopped = f"; it ended: {state.last_stop.reason}" if state.last_stop and not alive else ""
    why = f" ({state.pause.reason})" if state.pause and state.pause.reason else ""
    paused = f"; paused by {state.pause.by}{why}" if state.pause else ""
    mark = "SIMULATED " if state.simulated else ""
    say(f"{mark}session {state.session} on {state.branch}: {engine}{stopped}{paused}")
    say(summary(state, now))
    for text in _attention(state, now):
        say(text)
    if books := ledger.table(state, now):
        say(books)
    if noise := ledger.noise(state):
        say(noise)
    if agreed := ledger.tiers(state):
        say(agreed)
    running = telling.progress(state) if alive else ""
    if running:
        say(running)


def _attention(state: State, now: float) -> Iterator[str]:
    """What waits for somebody, and what it has cost."""
    from core import telling, views

    if state.lost is not None:
        yield f"the executor cannot be reached: {state.lost.reason}"
    yield from telling.hindrances(state)
    if state.unseen:
        yield state.unseen
    if waiting := views.held(state):
        yield f"{', '.join(waiting)} waits for approval: `approve` or `gate off`"
    elif state.gate:
        yield "new waves wait for approval (`gate off` ends that)"
    if (spent := views.spent_usd(state, now)) is not None:
        limit = f" of ${state.limits.max_usd:,.2f}" if state.limits.max_usd is not None else ""
        yield f"spent ${spent:,.2f}{limit}"


@click.command()
@click.pass_obj
def chart(workspace: Path) -> None:
    """Draw val_bpb over experiments."""
    draw(state_of(workspace))


@click.command()
@click.argument("wave", required=False)
@click.option("--recording", type=Path_, help="Of a recorded session instead of this workspace's.")
@click.option("--json", "as_json", is_flag=True, help="The stable interface; described in the README.")
@click.pass_obj
def effects(workspace: Path, wave: str | None, recording: Path | None, as_json: bool) -> None:
    """What WAVE (such as w12) says: effects, cells, the predicted best.

    Default: the latest wave with a design and a result. It may still be running.
    """
    from tui import answer

    state = answer.recorded(recording) if recording else state_of(workspace)
    (say_json if as_json else say)(answer.effects(state, text_of(wave) if wave else None, as_json=as_json))


@click.command()
@click.argument("recording", type=Path_)
@click.option("--speed", type=float, default=1.0, metavar="X", help="Times real time; inf: no waiting.")
@click.option(
    "--idle-limit",
    type=float,
    default=IDLE_S,
    show_default=True,
    metavar="SECONDS",
    help="Cut longer pauses of the recording to this; 0: keep them.",
)
@click.option("--no-ui", is_flag=True, help="Print lines.")
@click.option("--json", "as_json", is_flag=True, help="Print the facts themselves.")
@click.pass_context
def play(
    context: click.Context, /, recording: Path, speed: float, idle_limit: float, no_ui: bool, as_json: bool
) -> None:
    """Play a recorded session."""
    from core import headless
    from core.player import Player

    if not speed > 0:
        raise click.BadParameter("must be above 0", param_hint="--speed")
    if not idle_limit >= 0:
        raise click.BadParameter("must be 0 or above", param_hint="--idle-limit")
    idle_s = idle_limit or math.inf
    if not (no_ui or as_json) and math.isfinite(speed) and has_terminal():
        from tui.window import play_control_room

        context.exit(play_control_room(recording, speed=speed, idle_s=idle_s))
    player = Player(recording, speed=speed, idle_s=idle_s if math.isfinite(speed) else 0.0)
    updates = player.updates()
    shown = headless.show_json(updates, say_json, version=__version__) if as_json else headless.show(updates, say)
    state = asyncio.run(_finished(shown))
    if player.note:
        click.echo(f"autoresearch-tui: {player.note}", err=True)
    if not as_json:
        draw(state)


async def _finished(shown: Any) -> Any:
    return await shown


# --- in and out -------------------------------------------------------------------------------------------------------


@click.command(name="import")
@click.argument("results", type=Path_)
@click.pass_context
def import_(context: click.Context, results: Path) -> None:
    """Take the rows of a results.tsv into the session, as history."""
    from tui import exchange

    loaded = load(context.obj, context.meta["flags"])
    rows, problems = exchange.import_results(context.obj, results, loaded.settings, __version__)
    for problem in problems:
        click.echo(f"{results}:{problem.line}: {problem.reason}", err=True)
    say(f"Imported {rows} row{'s' * (rows != 1)} of {results}; {len(problems)} could not be read.")


ALL = (demo, init, doctor, status, chart, effects, play, *orders.ALL, export, import_, hosts, manifests, serve, mcp)

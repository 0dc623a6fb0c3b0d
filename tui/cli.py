"""The command line: `autoresearch-tui`, its options and its commands.

The core is imported by the commands that need it, so that `--help` answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tui import __version__, commands
from tui.shell import Group, research, research_options

EPILOG = (
    "Exit codes: 0 budget or target reached, or stopped by command · 1 a command was refused · 2 usage, settings or "
    "workspace · 3 nothing can run here · 4 the researcher failed for good · 5 another engine holds this workspace · "
    "129/130/143 ended by a closed terminal, Ctrl-C or SIGTERM."
)


@click.group(
    cls=Group, invoke_without_command=True, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.option(
    "-C", "workspace", type=click.Path(path_type=Path), default=".", metavar="WORKSPACE", help="Default: this folder."
)
@research_options
@click.option("--read-only", is_flag=True, help="The control room can look and do nothing else; it starts no engine.")
@click.option("--log", type=click.Path(path_type=Path), hidden=True, help="The file that our output goes to.")
@click.version_option(__version__, prog_name="autoresearch-tui")
@click.pass_context
def main(
    context: click.Context,
    /,
    workspace: Path,
    no_ui: bool,
    as_json: bool,
    read_only: bool,
    log: Path | None,
    **flags: Any,
) -> None:
    """Autonomous research on a training script, under control: experiments are real runs, judged against the noise.

    Without a command: the control room on WORKSPACE, a git repository with train.py and prepare.py. It starts the
    engine, which goes on when it is left. Without a terminal, or with --no-ui: the engine in the foreground.
    """
    context.obj = workspace
    context.meta.update(flags=flags, read_only=read_only, log=log)
    if context.invoked_subcommand is None:
        research(context, workspace, flags, no_ui=no_ui, as_json=as_json)


for command in commands.ALL:
    main.add_command(command)

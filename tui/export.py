"""`autoresearch-tui export`: a session or a recording as tables, as a recording, as a picture or as a film.

Only the options; what makes the files is imported when it is needed, as the pictures need Textual.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import click

from tui.shell import session_file

FORMATS = ("tsv", "csv", "jsonl", "svg", "cast")
ONLY_FOR = {  # option -> formats that know it
    "size": ("svg", "cast"),
    "theme": ("svg", "cast"),
    "at": ("svg",),
    "seconds": ("cast",),
    "progress_every": ("jsonl",),
    "command": ("jsonl",),
}
Path_ = click.Path(path_type=Path)


def _size(context: click.Context, param: click.Parameter, text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,4})[x×](\d{1,4})", text)
    columns, rows = (int(found[1]), int(found[2])) if found else (0, 0)
    if not (20 <= columns <= 500 and 5 <= rows <= 200):
        raise click.BadParameter(f"{text!r} is no size: columns and rows, like 120x40, from 20x5 to 500x200.")
    return columns, rows


def _duration(context: click.Context, param: click.Parameter, text: str | None) -> float | None:
    from core.errors import SettingsError
    from core.settings import duration

    try:
        return None if text is None else duration(text)
    except SettingsError as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@click.option("--format", "form", type=click.Choice(FORMATS), required=True)
@click.option("-o", "--output", type=Path_, help="Default: standard output.")
@click.option("--recording", type=Path_, help="A recorded session instead of this workspace's.")
@click.option("--size", callback=_size, metavar="WxH", help="svg, cast: columns and rows; default: 120x40.")
@click.option("--theme", metavar="NAME", help="svg, cast: default is your own.")
@click.option("--at", metavar="WHEN", help="svg: a share such as 80%, or the verdict on e12; default: the end.")
@click.option("--seconds", type=click.FloatRange(1, 3600), metavar="S", help="cast: how long it plays; default: 60.")
@click.option("--progress-every", callback=_duration, metavar="TIME", help="jsonl: progress of a run, thinned.")
@click.option("--command", metavar="TEXT", help="jsonl: the command that made the session, for the header.")
@click.pass_obj
def export(workspace: Path, /, form: str, output: Path | None, recording: Path | None, **options: Any) -> None:
    """The session, or a recorded one, as a file.

    \b
    tsv    results.tsv, as upstream has it
    csv    a table of runs
    jsonl  a recording, for `autoresearch-tui play`
    svg    a picture of the dashboard
    cast   a film of the dashboard, for asciinema
    """
    from tui import exchange

    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        if form not in ONLY_FOR[name]:
            flag = "--" + name.replace("_", "-")
            raise click.UsageError(f"{flag} is for {' and '.join(ONLY_FOR[name])}, not for {form}.")
    source = recording or session_file(workspace)
    if form in ("svg", "cast"):
        exchange.check(source, is_session=recording is None)
        exchange.deliver(asyncio.run(_shot(source, form, given)), output)
    else:
        exchange.deliver(exchange.lines(source, form, is_session=recording is None, **given), output)


async def _shot(source: Path, form: str, options: dict[str, Any]) -> list[bytes]:
    if form == "svg":
        from tui.export_svg import picture

        return [(await picture(source, **options)).encode("utf-8", "replace")]
    from tui.export_cast import film

    return [line async for line in film(source, **options)]

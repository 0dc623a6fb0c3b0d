"""Snapshots: pictures of screens as SVG, kept beside the tests and compared as text.

One line of SVG per line of the screen, so that git shows what changed. `UPDATE_SNAPSHOTS=1 pytest
tests/tui/test_snapshots.py` writes them anew; look at the difference in git, and at the pictures in a browser.
"""

from __future__ import annotations

import os
import re
from html import escape
from pathlib import Path
from typing import Any

from rich.cells import cell_len
from rich.color import Color
from rich.style import Style
from textual._ansi_theme import MONOKAI
from textual.app import App
from textual.strip import Strip

FOLDER = Path(__file__).parent / "snapshots"
CELL, LINE = 10, 20  # pixels
INK, PAPER = "#d0d0d0", "#101010"  # of a terminal that shows no colours
TYPE = 'font-family="DejaVu Sans Mono,Menlo,monospace" font-size="16.6"'


def strips(app: App[Any]) -> list[Strip]:
    """What is on the screen, line by line."""
    found: list[Strip] = app.screen._compositor.render_strips()
    return found


def picture(app: App[Any]) -> str:
    classes: dict[str, str] = {}
    width, height = app.size
    lines = [_line(y, strip, classes) for y, strip in enumerate(strips(app))]
    styles = "".join(f".{name}{{{css}}}" for css, name in classes.items())
    size = f'width="{width * CELL}" height="{height * LINE}"'
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} {TYPE} xml:space="preserve">',
            f"<style>text{{fill:{INK};white-space:pre}}{styles}</style>",
            f'<rect {size} fill="{PAPER}"/>',
            *lines,
            "</svg>\n",
        )
    )


def _line(y: int, strip: Strip, classes: dict[str, str]) -> str:
    """The grounds of its cells, then the texts."""
    x, grounds = 0, []
    runs: list[tuple[int, int, str, str]] = []  # begins, ends, text, css
    for text, style, _ in strip:
        ink, paper = _look(style or Style.null())
        for word in re.findall(r" +|[^ ]+", text):
            cells = cell_len(word)
            if paper:
                grounds.append((x, cells, paper))
            if not word.isspace() or "decoration" in ink:
                if runs and runs[-1][3] == ink:  # how blanks were painted between them is nobody's concern
                    word, runs[-1:], begins = f"{runs[-1][2]}{' ' * (x - runs[-1][1])}{word}", [], runs[-1][0]
                else:
                    begins = x
                runs.append((begins, x + cells, word, ink))
            x += cells
    texts = []
    for begins, _, text, ink in runs:
        name = classes.setdefault(ink, f"s{len(classes)}")
        texts.append(f'<tspan x="{begins * CELL}" class="{name}">{escape(text, quote=False)}</tspan>')
    said = f'<text y="{y * LINE + 15}">{"".join(texts)}</text>' if texts else ""
    return "".join(_rects(y, grounds)) + said


def _rects(y: int, grounds: list[tuple[int, int, str]]) -> list[str]:
    """Neighbours of one colour are one."""
    made: list[tuple[int, int, str]] = []
    for x, cells, paper in grounds:
        if made and made[-1][2] == paper and made[-1][0] + made[-1][1] == x:
            made[-1] = (made[-1][0], made[-1][1] + cells, paper)
        else:
            made.append((x, cells, paper))
    return [
        f'<rect x="{x * CELL}" y="{y * LINE}" width="{cells * CELL}" height="{LINE}" fill="{paper}"/>'
        for x, cells, paper in made
    ]


def _look(style: Style) -> tuple[str, str]:
    """CSS of the text, and the colour of its ground or ""."""
    ink, paper = _rgb(style.color, INK), _rgb(style.bgcolor, "")
    if style.reverse:
        ink, paper = paper or PAPER, ink
    css = [f"fill:{ink}"]
    css += ["font-weight:bold"] * bool(style.bold) + ["font-style:italic"] * bool(style.italic)
    css += ["opacity:.6"] * bool(style.dim)
    lines = " ".join(["underline"] * bool(style.underline) + ["line-through"] * bool(style.strike))
    return ";".join([*css, f"text-decoration:{lines}"] if lines else css), paper


def _rgb(colour: Color | None, default: str) -> str:
    return default if colour is None or colour.is_default else colour.get_truecolor(MONOKAI).hex


def check(app: App[Any], name: str) -> None:
    """Fails where the screen differs from the picture that was kept; the new one lies beside it as `.new.svg`."""
    path, seen = FOLDER / f"{name}.svg", picture(app)
    fresh = path.with_suffix(".new.svg")
    if os.environ.get("UPDATE_SNAPSHOTS"):
        FOLDER.mkdir(exist_ok=True)
        path.write_text(seen, encoding="utf-8")
    elif not path.exists() or path.read_text(encoding="utf-8") != seen:
        FOLDER.mkdir(exist_ok=True)
        fresh.write_text(seen, encoding="utf-8")
        raise AssertionError(
            f"{name} looks different: compare {path} with {fresh}; UPDATE_SNAPSHOTS=1 keeps the new one"
        )
    fresh.unlink(missing_ok=True)

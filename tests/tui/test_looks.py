"""Roles to styles, themes to Textual, glyphs to terminals that have few."""

from __future__ import annotations

import pytest
from rich.cells import cell_len
from rich.color import Color
from rich.style import Style
from textual.app import App, ComposeResult
from textual.widgets import Static

from themes.loader import ROLES, built_in
from tui.glyphs import ASCII, UNICODE, Glyphs, ascii_only, glyphs
from tui.looks import Looks, textual_theme

NIGHT = built_in()["night"]
STATES = (
    "proposed",
    "queued",
    "held",
    "running",
    "retest",
    "kept",
    "discarded",
    "crashed",
    "vetoed",
    "duplicate",
    "merged",
)
GPUS = ("gpu_ours", "gpu_other", "gpu_free", "crashed")


def test_a_role_is_its_colour_with_attributes_and_ground() -> None:
    looks = Looks(NIGHT)
    kept, selection = NIGHT.colours["kept"], NIGHT.colours["selection"]
    assert looks.style("kept") == Style(color=Color.parse(kept))
    assert looks.style("kept bold") == looks.style("kept", bold=True) == Style(color=Color.parse(kept), bold=True)
    assert looks.style("kept on selection") == Style(color=Color.parse(kept), bgcolor=Color.parse(selection))
    assert looks.style("kept on cursor bold") == looks.style("kept bold on selection")
    assert (
        looks.style("on cursor")
        == looks.style("cursor")
        == looks.style("selection")
        == Style(bgcolor=Color.parse(selection))
    )
    assert looks.style("") == looks.style() == Style.null()
    assert looks.style("kept") is looks.style("kept")
    assert looks.rgb("kept") == tuple(bytes.fromhex(kept[1:]))


def test_a_word_that_is_no_role_is_refused() -> None:
    for role in ("kep", "kept on grass", "kept loud", "kept on"):
        with pytest.raises(KeyError):
            Looks(NIGHT).style(role)


@pytest.mark.parametrize("theme", built_in().values(), ids=lambda theme: theme.name)
def test_every_role_of_every_theme_is_a_style_alone_on_the_selection_and_without_colours(theme) -> None:  # type: ignore[no-untyped-def]
    for looks in (Looks(theme), Looks(theme, no_color=True)):
        for role in ROLES:
            for style in (looks.style(role), looks.style(f"{role} on selection"), looks.style(f"{role} bold dim")):
                assert not looks.no_color or (style.color is None and style.bgcolor is None and not style.dim)
        assert looks.style("cursor") != looks.style("")


def test_sixteen_colours_mark_changed_words_and_the_cursor_without_tints() -> None:
    looks = Looks(built_in()["terminal"])
    assert looks.style("selection").reverse
    assert looks.style("syntax-string on added-word").bgcolor is None
    assert looks.style("foreground on added") != looks.style("foreground on removed")
    assert looks.rgb("kept") is None


@pytest.mark.parametrize("name", Glyphs.__struct_fields__)
def test_a_glyph_and_its_twin_are_single_cells(name: str) -> None:
    glyph, twin = getattr(UNICODE, name), getattr(ASCII, name)
    assert [cell_len(each) for each in glyph] == [1] * len(twin)
    assert twin.isascii()
    assert twin.isprintable()


@pytest.mark.parametrize("kind", [UNICODE, ASCII], ids=["unicode", "ascii"])
@pytest.mark.parametrize("names", [STATES, (*GPUS,), ("best", "predicted", "kept")], ids=["states", "GPUs", "best"])
def test_states_are_told_apart_by_glyph_alone(kind: Glyphs, names: tuple[str, ...]) -> None:
    assert len({getattr(kind, name) for name in names}) == len(names)


def test_an_interval_is_no_sign_of_a_state_that_stands_beside_numbers() -> None:
    assert ASCII.plus_minus not in (ASCII.retest, ASCII.ellipsis, ASCII.minus)


@pytest.mark.parametrize(
    ("environ", "encoding", "chosen"),
    [
        ({}, "utf-8", UNICODE),
        ({}, "UTF8", UNICODE),
        ({}, "ANSI_X3.4-1968", ASCII),
        ({}, "iso-8859-1", ASCII),
        ({}, "nonsense", ASCII),
        ({}, None, ASCII),
        ({"AUTORESEARCH_ASCII": "1"}, "utf-8", ASCII),
        ({"AUTORESEARCH_ASCII": "true"}, "utf-8", ASCII),
        ({"AUTORESEARCH_ASCII": "0"}, "ascii", UNICODE),
        ({"AUTORESEARCH_ASCII": ""}, "utf-8", UNICODE),
        ({"TERM": "linux"}, "utf-8", ASCII),
        ({"TERM": "dumb"}, "utf-8", ASCII),
        ({"TERM": "xterm-256color"}, "utf-8", UNICODE),
        ({"LC_ALL": "C"}, "utf-8", ASCII),
        ({"LC_ALL": "C.UTF-8"}, "utf-8", UNICODE),
        ({"LC_ALL": "C", "AUTORESEARCH_ASCII": "0"}, "utf-8", UNICODE),
    ],
)
def test_glyphs_follow_the_locale_and_the_wish(environ: dict[str, str], encoding: str | None, chosen: Glyphs) -> None:
    assert glyphs(environ, encoding) is chosen


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("╭─┬╮│┃╋", "+-++||+"),
        ("▁█▌", "_##"),
        ("日本", "????"),
        ("é", "e"),
        ("e\u0301", "e"),
        ("⠿ ⠁", "* ."),
        ("✓", "+"),
    ],
)
def test_text_in_ascii_keeps_its_width(text: str, shown: str) -> None:
    assert ascii_only(text) == shown
    assert cell_len(text) == len(shown)


class Framed(App[None]):
    CSS = (
        "Static { border: round $border; height: 4; width: 20; overflow-y: scroll; color: $kept; background: $panel; }"
    )

    def __init__(self, looks: Looks) -> None:
        super().__init__()
        self.looks = looks
        self.register_theme(textual_theme(looks.theme))
        self.theme = looks.theme.name

    def get_line_filters(self):  # type: ignore[no-untyped-def]
        return [*super().get_line_filters(), *self.looks.line_filters()]

    def compose(self) -> ComposeResult:
        yield Static("✓ kept\nmore\nmore")


@pytest.mark.parametrize("theme", built_in().values(), ids=lambda theme: theme.name)
async def test_stylesheets_know_every_role_of_every_theme(theme) -> None:  # type: ignore[no-untyped-def]
    Framed.CSS = "".join(f".a{index} {{ color: ${role}; }}" for index, role in enumerate(ROLES)) + Framed.CSS
    app = Framed(Looks(theme))
    async with app.run_test():
        assert app.current_theme.name == theme.name


async def test_in_ascii_without_colours_nothing_else_reaches_the_screen() -> None:
    app = Framed(Looks(NIGHT, no_color=True, glyphs=ASCII))
    async with app.run_test(size=(24, 6)):
        strips = app.screen._compositor.render_strips()
        segments = [segment for strip in strips for segment in strip]
        text = "\n".join(strip.text for strip in strips)
    assert text.isascii()
    assert "+ kept" in text
    assert "+--" in text
    for segment in segments:
        if segment.style:
            assert segment.style.color is None or segment.style.color.is_default
            assert segment.style.bgcolor is None or segment.style.bgcolor.is_default

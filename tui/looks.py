"""What a theme looks like here: roles resolved to styles of cells, a theme for Textual, filters for poor terminals.

A role is a meaning, with attributes and a ground if need be: "kept", "muted bold", "best on selection". Without
colours (NO_COLOR) roles keep what bold, underline and reverse can say; glyph and word tell the rest. Role names are
checked: a role that no theme knows is a mistake of ours and raises KeyError.
"""

from __future__ import annotations

from collections.abc import Mapping

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.color import Color as ScreenColour
from textual.filter import LineFilter, NoColor
from textual.theme import Theme as ScreenTheme

from themes.loader import ROLES, SURFACES, Theme
from tui.glyphs import ASCII, UNICODE, Glyphs, ascii_only, glyphs

__all__ = ["ASCII", "UNICODE", "AsciiOnly", "Glyphs", "Looks", "glyphs", "textual_theme"]

_ATTRIBUTES = frozenset({"bold", "dim", "italic", "underline", "reverse", "strike"})
_DERIVED = {"cursor": "selection", "cursor-away": "panel"}  # grounds by another name
_TINTS = frozenset({"added", "removed", "added-word", "removed-word"})
_PLAIN: Mapping[str, str] = {  # what is left of a role where there are no colours
    **dict.fromkeys(("best", "kept", "crashed", "warning", "key", "accent", "focus", "staircase"), "bold"),
    **dict.fromkeys(("run-running", "gpu-ours", "better", "syntax-keyword"), "bold"),
    **dict.fromkeys(("added-word", "removed-word", "predicted", "cursor-away"), "underline"),
    **dict.fromkeys(("selection", "cursor", "simulated"), "reverse"),
    "error": "bold underline",
    "added": "bold",
}
_SIXTEEN: Mapping[str, str] = {  # grounds of the terminal's own 16 colours are no tints: attributes instead
    **dict.fromkeys(("selection", "cursor"), "reverse"),
    **dict.fromkeys(("added-word", "removed-word"), "bold underline"),
    "cursor-away": "underline",
}


class Looks:
    """Styles of one theme, kept once resolved, and the glyphs that go with them."""

    def __init__(self, theme: Theme, *, no_color: bool = False, glyphs: Glyphs = UNICODE) -> None:
        self.theme = theme
        self.glyphs = glyphs
        self.no_color = no_color
        self.textual = textual_theme(theme)
        self._styles: dict[str, Style] = {"": Style.null()}

    def style(self, role: str = "", *, bold: bool = False, dim: bool = False, reverse: bool = False) -> Style:
        """What cells of `role` look like; raises KeyError for a word that is neither role nor attribute."""
        if (found := self._styles.get(role)) is None:
            found = self._styles[role] = self._resolved(role)
        return (
            found + Style(bold=bold or None, dim=dim or None, reverse=reverse or None)
            if bold or dim or reverse
            else found
        )

    def rgb(self, role: str) -> tuple[int, int, int] | None:
        """0 to 255 each; None where the terminal's own colours or none are shown."""
        colour = self.theme.colours[role]
        if self.no_color or not colour.startswith("#"):
            return None
        return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)

    def line_filters(self) -> list[LineFilter]:
        """For the end of `App.get_line_filters`: what Textual and its widgets draw beyond our roles and glyphs."""
        found: list[LineFilter] = [NoColor()] if self.no_color else []
        return [*found, AsciiOnly()] if self.glyphs is ASCII else found

    def _resolved(self, role: str) -> Style:
        made, words = Style.null(), iter(role.split())
        for word in words:
            if word == "on":
                made += self._ground(next(words, word))
            else:
                made += self._attribute(word) if word in _ATTRIBUTES else self._front(word)
        return made

    def _front(self, role: str) -> Style:
        if role in SURFACES or role in _DERIVED:
            return self._ground(role)
        colour = self.theme.colours[role]
        return _attributes(_PLAIN.get(role, "")) if self.no_color else Style(color=_colour(colour))

    def _ground(self, role: str) -> Style:
        colour = self.theme.colours[_DERIVED.get(role, role)]
        if self.no_color:
            return _attributes(_PLAIN.get(role, ""))
        if not self.theme.ansi:
            return Style(bgcolor=_colour(colour))
        return _attributes(_SIXTEEN.get(role, "")) + (Style(color=_colour(colour)) if role in _TINTS else Style.null())

    def _attribute(self, word: str) -> Style:
        return Style.null() if self.no_color and word == "dim" else _attributes(word)


class AsciiOnly(LineFilter):
    """Every line in ASCII: borders and scroll bars of Textual, and text that only UTF-8 can show."""

    def apply(self, segments: list[Segment], background: ScreenColour) -> list[Segment]:
        return [
            segment if segment.text.isascii() else Segment(ascii_only(segment.text), segment.style, segment.control)
            for segment in segments
        ]


def textual_theme(theme: Theme) -> ScreenTheme:
    """For `App.register_theme`. Every role is a variable of stylesheets ($kept, $ledger-queue); so are the colours of
    Textual's own widgets, derived from roles."""
    of = theme.colours
    return ScreenTheme(
        name=theme.name,
        primary=of["accent"],
        secondary=of["run-running"],
        warning=of["warning"],
        error=of["error"],
        success=of["success"],
        accent=of["accent"],
        foreground=of["foreground"],
        background=of["background"],
        surface=None if theme.ansi else of["surface"],
        panel=None if theme.ansi else of["panel"],
        dark=theme.dark,
        ansi=theme.ansi,
        variables=_variables(theme),
    )


def _variables(theme: Theme) -> dict[str, str]:
    of = theme.colours
    roles = {role: of[role] for role in ROLES if not (theme.ansi and role in {"surface", "panel", "background"})}
    derived = {
        "text-muted": of["muted"],
        "border-blurred": of["border"],
        "block-cursor-background": of["selection"],
        "block-cursor-foreground": of["foreground"],
        "block-cursor-blurred-background": of["selection"],
        "block-cursor-blurred-foreground": of["foreground"],
        "block-hover-background": of["selection"],
        "input-selection-background": of["selection"],
        "screen-selection-background": of["selection"],
        "footer-key-foreground": of["key"],
        "footer-description-foreground": of["foreground"],
        "scrollbar": of["border"],
        "scrollbar-hover": of["muted"],
        "scrollbar-active": of["accent"],
        "scrollbar-background": of["background"],
        "scrollbar-background-hover": of["background"],
        "scrollbar-background-active": of["background"],
        "scrollbar-corner-color": of["background"],
        "link-color": of["accent"],
        "link-color-hover": of["accent"],
        "link-background-hover": of["selection"],
    }
    if theme.ansi:
        derived |= {"ansi-background": "ansi_black", "ansi-foreground": "ansi_white"}  # Textual asks for both
    return {**derived, **roles}


def _attributes(words: str) -> Style:
    return Style(**dict.fromkeys(words.split(), True)) if words else Style.null()  # type: ignore[arg-type]


def _colour(value: str) -> Color:
    if value.startswith("#"):
        return Color.parse(value)
    return Color.parse(value.removeprefix("ansi_"))

"""Themes read and checked: every role has a colour, every colour can be read.

A theme says what each meaning looks like ("kept", "gpu-free"); nothing else in the program names a colour. A user's
theme may build on one of ours (`base = "night"`) and give only what differs. Knows nothing of Textual.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from core.errors import AutoresearchError

SURFACES = (  # what text stands on
    *("background", "surface", "panel", "selection"),
    *("added", "removed", "added-word", "removed-word"),
)
GRAPHICS = ("border", "noise")  # lines and areas; never text
TEXTS = (
    *("foreground", "muted", "focus", "accent", "key", "warning", "error", "success", "simulated"),
    *("gpu-ours", "gpu-other", "gpu-free"),
    *("run-queued", "run-running", "kept", "discarded", "crashed", "vetoed", "retest", "duplicate", "merged"),
    *("best", "predicted", "baseline", "staircase", "better", "worse"),
    *("ledger-training", "ledger-startup", "ledger-evaluation", "ledger-ideas", "ledger-queue"),
    *("ledger-crash", "ledger-duplicate", "ledger-idle", "ledger-other"),
    *("syntax-keyword", "syntax-string", "syntax-number", "syntax-comment", "syntax-name", "syntax-function"),
)
ROLES = (*SURFACES, *GRAPHICS, *TEXTS)
BUILT_IN = ("night", "day", "contrast", "colour-blind", "terminal")

_RGB = re.compile(r"#[0-9a-fA-F]{6}")
_ANSI = re.compile(r"ansi_(default|(bright_)?(black|red|green|yellow|blue|magenta|cyan|white))")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_KEYS = {"name": "text", "title": "text", "dark": "true or false", "ansi": "true or false", "base": "text"}
_FOLDER = Path(__file__).parent


class ThemeError(AutoresearchError):
    """A theme file that cannot be used; the sentence names the file, the key and what is expected."""


class Theme(msgspec.Struct, frozen=True, kw_only=True):
    """Colours are "#rrggbb" or, where `ansi`, names of the terminal's own such as "ansi_red" or "ansi_default"."""

    name: str
    title: str
    dark: bool
    ansi: bool
    colours: dict[str, str]  # one for each of ROLES


@cache
def built_in() -> dict[str, Theme]:
    """Our own, by name; the first is the one that is used when nothing else is asked for."""
    return {name: load(_FOLDER / f"{name}.toml") for name in BUILT_IN}


def load(path: Path) -> Theme:
    """Reads one theme; raises ThemeError."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ThemeError(
            f"{path}: the theme cannot be read ({error.strerror}); check that the file is there."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ThemeError(f"{path}: the theme is no TOML ({error}); correct the file or remove it.") from error
    _check_keys(path, raw)
    base = _base(path, raw)
    own = raw.get("colours", {})
    ansi = bool(raw.get("ansi", base.ansi if base else False))
    colours = {**(base.colours if base else {}), **own}
    _check_colours(path, own, colours, ansi)
    name = str(raw.get("name", path.stem))
    if not _NAME.fullmatch(name):
        raise ThemeError(f"{path}: name must be of small letters, digits and hyphens, not {name[:40]!r}.")
    dark = bool(raw.get("dark", base.dark if base else True))
    return Theme(name=name, title=str(raw.get("title", name)), dark=dark, ansi=ansi, colours=colours)


def available(folder: Path | None = None) -> tuple[dict[str, Theme], list[str]]:
    """Our themes and those in the user's folder, which win; and a sentence about each that is broken."""
    found, broken = dict(built_in()), []
    for path in sorted(folder.glob("*.toml")) if folder and folder.is_dir() else ():
        try:
            theme = load(path)
        except ThemeError as error:
            broken.append(str(error))
        else:
            found[theme.name] = theme
    return found, broken


def _check_keys(path: Path, raw: Mapping[str, Any]) -> None:
    for key, value in raw.items():
        if key == "colours":
            if not isinstance(value, dict):
                raise ThemeError(f"{path}: colours must be a table of roles and colours, like [colours].")
        elif key not in _KEYS:
            raise ThemeError(f"{path}: {key[:40]} is no key of a theme; there are {', '.join(_KEYS)} and [colours].")
        elif not isinstance(value, bool if _KEYS[key] == "true or false" else str):
            raise ThemeError(f"{path}: {key} must be {_KEYS[key]}, not {str(value)[:40]}.")


def _base(path: Path, raw: Mapping[str, Any]) -> Theme | None:
    name = raw.get("base")
    if name is None:
        return None
    if name not in BUILT_IN:
        raise ThemeError(f"{path}: base must be one of {', '.join(BUILT_IN)}, not {name[:40]!r}.")
    return built_in()[name]


def _check_colours(path: Path, own: Mapping[str, Any], colours: Mapping[str, Any], ansi: bool) -> None:
    for role in own:
        if role not in ROLES:
            raise ThemeError(
                f"{path}: {role[:40]} is no role; correct its spelling (roles are in the file night.toml)."
            )
    pattern, expects = (_ANSI, 'like "ansi_red" or "ansi_default"') if ansi else (_RGB, 'like "#8fbf8f"')
    for role in ROLES:
        if role not in colours:
            raise ThemeError(f'{path}: colours.{role} is missing; give it, or build on a theme with base = "night".')
        if not isinstance(colours[role], str) or not pattern.fullmatch(colours[role]):
            raise ThemeError(f"{path}: colours.{role} must be a colour {expects}, not {str(colours[role])[:40]!r}.")

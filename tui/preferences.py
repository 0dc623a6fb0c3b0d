"""What a person prefers, on whatever workspace: theme, keys, motion. One small file in the user's settings folder.

`config.toml` there holds `theme = "day"`, `ascii`, `reduced_motion`, `vim` and a table [keys] by action id; themes of
one's own lie in `themes/`. AUTORESEARCH_THEME and AUTORESEARCH_ASCII win over the file; where nobody chose a theme it
is one that fits the terminal. What is wrong is a sentence to show, never a reason not to start. It does not know the
settings of a workspace.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from themes.loader import available
from tui.glyphs import ASCII, Glyphs, glyphs
from tui.keys import keymap
from tui.looks import Looks
from tui.terminal import fitting_theme, terminal

FILE = "config.toml"
THEME, PLAIN = "AUTORESEARCH_THEME", "AUTORESEARCH_ASCII"
KINDS: Mapping[str, tuple[type, str]] = {
    "theme": (str, 'the name of a theme, like "day"'),
    "ascii": (bool, "true or false"),
    "reduced_motion": (bool, "true or false"),
    "vim": (bool, "true or false"),
    "keys": (dict, 'a table of actions and keys, like { veto = "V" }'),
}


class Preferences(msgspec.Struct, frozen=True, kw_only=True):
    looks: dict[str, Looks]  # by theme name
    theme: str
    keys: dict[str, str] = {}  # action id -> keys as Textual names them; only what differs from the table
    vim: bool = False  # hjkl move on the dashboard too
    reduced_motion: bool = False
    complaints: tuple[str, ...] = ()  # sentences about what is wrong


def settings_folder() -> Path:
    from platformdirs import user_config_path

    return user_config_path("autoresearch-tui")


def preferences(environ: Mapping[str, str], *, folder: Path | None = None, encoding: str | None = None) -> Preferences:
    """`folder`: default, the user's own; `encoding` of the terminal: default, that of standard output."""
    folder = settings_folder() if folder is None else folder
    complaints: list[str] = []
    table = _checked(folder / FILE, complaints)
    themes, broken = available(folder / "themes")
    complaints += broken
    encoding = sys.stdout.encoding if encoding is None else encoding
    signs = _glyphs(table, environ, encoding)
    fitting = fitting_theme(terminal(environ, encoding))
    no_color = bool(environ.get("NO_COLOR"))
    looks = {name: Looks(theme, no_color=no_color, glyphs=signs) for name, theme in themes.items()}
    mapped = keymap(table.get("keys", {}), vim=bool(table.get("vim")))
    return Preferences(
        looks=looks,
        theme=_theme(environ.get(THEME) or str(table.get("theme", fitting)), looks, complaints),
        keys=mapped.keys,
        vim=bool(table.get("vim")),
        reduced_motion=bool(table.get("reduced_motion")),
        complaints=(*complaints, *mapped.complaints),
    )


def _checked(path: Path, complaints: list[str]) -> dict[str, Any]:
    """What the file says, without what is wrong."""
    good: dict[str, Any] = {}
    for name, value in _table(path, complaints).items():
        if name not in KINDS:
            near = difflib.get_close_matches(name, KINDS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(KINDS)}."
            complaints.append(f"{path}: {name[:40]} is no preference; {hint}")
        elif not isinstance(value, KINDS[name][0]):
            complaints.append(f"{path}: {name} must be {KINDS[name][1]}, not {value!r:.40}.")
        else:
            good[name] = value
    return good


def _table(path: Path, complaints: list[str]) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        complaints.append(f"{path} cannot be read ({error}); correct it, your preferences are left out until then.")
        return {}


def _glyphs(table: Mapping[str, Any], environ: Mapping[str, str], encoding: str | None) -> Glyphs:
    if "ascii" in table and not environ.get(PLAIN):
        return ASCII if table["ascii"] else glyphs({}, "utf-8")
    return glyphs(environ, encoding)


def _theme(name: str, looks: Mapping[str, Looks], complaints: list[str]) -> str:
    if name in looks:
        return name
    near = difflib.get_close_matches(name, looks, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(looks)}."
    complaints.append(f"There is no theme {name[:40]!r}; {hint}")
    return next(iter(looks))


def remember_theme(name: str, *, folder: Path | None = None) -> str:
    """Writes the theme into the person's file, the rest of it untouched. "" for done, else a sentence why not."""
    path = (settings_folder() if folder is None else folder) / FILE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text(encoding="utf-8-sig") if path.exists() else ""
        fresh = path.with_name(f".{FILE}.{os.getpid()}")
        fresh.write_text(_with_theme(text, name), encoding="utf-8")
        fresh.replace(path)
    except (OSError, UnicodeDecodeError) as error:
        return f"The theme cannot be remembered in {path}: {error}."
    return ""


_LINE = re.compile(r"^theme\s*=.*$", re.MULTILINE)


def _with_theme(text: str, name: str) -> str:
    """The first `theme =` line before any table replaced, or a new line at the top."""
    table = re.search(r"^\s*\[", text, re.MULTILINE)
    head, tail = (text[: table.start()], text[table.start() :]) if table else (text, "")
    row = f'theme = "{name}"'
    head = _LINE.sub(row, head, count=1) if _LINE.search(head) else f"{row}\n{head}"
    return head + tail

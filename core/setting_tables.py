"""What the tables of autoresearch.toml, `[claude]`, `[hosts]` and `[kubernetes]`, have in common.

Each is one struct whose fields are annotated with what a value must be and a comment. Here they are read as rows, and
a value is checked against its row. Reads no file.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, NamedTuple, get_args

import msgspec
from msgspec import Meta

from core.errors import SettingsError


class Row(NamedTuple):
    """One setting of a table."""

    name: str
    hint: Any
    default: object
    comment: str
    expects: str  # completes "must be …"


def rows_of(table: type[msgspec.Struct], *, without: str = "") -> dict[str, Row]:
    """By name; a field `without` belongs to no row."""
    rows = {}
    for field in msgspec.structs.fields(table):
        if field.name != without:
            _, *rest = get_args(field.type)
            expects = next(part.description for part in rest if isinstance(part, Meta) and part.description)
            default = {} if field.default is msgspec.NODEFAULT else field.default
            rows[field.name] = Row(field.name, field.type, default, rest[-1], expects)
    return rows


def converted(rows: Mapping[str, Row], path: str, name: str, value: object, where: str) -> Any:
    """`value` in the type of its row. `path`: the table's, like "hosts.box1". Raises SettingsError."""
    row = rows.get(name)
    if row is None:
        near = difflib.get_close_matches(name.replace("-", "_"), rows, n=1, cutoff=0.6)
        hint = f"did you mean {path}.{near[0]}?" if near else f"the settings are {', '.join(rows)}."
        raise SettingsError(f"{where}: there is no setting '{path}.{name}'; {hint}")
    try:
        return msgspec.convert(value, row.hint)
    except msgspec.ValidationError as error:
        raise wrong(row, path, value, where) from error


def wrong(row: Row, path: str, value: object, where: str) -> SettingsError:
    """Tables are not shown: variables of runs may be secrets."""
    shown = str(value).lower() if isinstance(value, bool) else repr(value)
    seen = "" if isinstance(value, dict) else f", not {shown[:80]}"
    return SettingsError(f"{where}: {path}.{row.name} must be {row.expects}{seen}.")

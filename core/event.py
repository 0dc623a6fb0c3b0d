"""What every fact is: a frozen struct with the time it happened, which is also its JSON form.

The facts themselves stand in `core.events`, and those of operators in `core.operated`.
"""

from __future__ import annotations

import msgspec

from core.ids import CommandId


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag=True):
    at: float  # seconds since the epoch
    cause: CommandId = CommandId("")  # the command that this fact answers, if any

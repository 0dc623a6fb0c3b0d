"""What this machine refuses whoever asks: a full disk, a read-only file system, no more files.

It says nothing of the code that met it, so it is no result of an experiment. Here it becomes a sentence.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from core.errors import AutoresearchError, NothingRuns

REFUSALS = {
    errno.ENOSPC: "The disk is full",
    errno.EDQUOT: "The disk quota is used up",
    errno.EROFS: "The file system is read-only",
    errno.EMFILE: "This process has too many files open (`ulimit -n`)",
    errno.ENFILE: "This machine has too many files open",
}


def refusal(error: OSError) -> NothingRuns | None:
    """What to tell when this machine refuses whoever asks, whatever the code; None for any other error."""
    if error.errno not in REFUSALS:
        return None
    where = f"{error.filename} cannot be written" if error.filename else error.strerror
    return NothingRuns(f"{REFUSALS[error.errno]}: {where}. Mend that, then start again; what was recorded is safe.")


def refused(reason: str) -> NothingRuns | None:
    """The same, for an error that another process told in words."""
    number = next((number for number in REFUSALS if os.strerror(number) in reason), None)
    return NothingRuns(f"{REFUSALS[number]}: {reason}. Mend that, then start again.") if number else None


def plain(group: BaseExceptionGroup) -> BaseException:
    """An error of ours, or of this machine, as a sentence; the whole group if it holds anything else."""
    told = [_sentence(error) for error in _leaves(group)]
    return next((error for error in told if error is not None), group) if all(told) else group


def _sentence(error: BaseException) -> AutoresearchError | None:
    if isinstance(error, OSError):
        return refusal(error) or NothingRuns(f"This machine refused: {error}. Mend that, then start again.")
    return error if isinstance(error, AutoresearchError) else None


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _leaves(part)
    else:
        yield error

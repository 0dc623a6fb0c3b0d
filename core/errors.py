"""Everything that goes wrong on purpose. Each message is a sentence that says what is wrong and what to do.

    AutoresearchError
    ├── UsageError            a flag or setting is wrong                               exit 2
    │   └── SettingsError     a value in autoresearch.toml, the environment or a flag
    ├── WorkspaceError        the folder cannot be researched in as it is              exit 2
    ├── LogError              the session's database cannot be read or written         exit 2
    ├── RecordingError        a recording or results.tsv cannot be read                exit 2
    ├── NothingRuns           no GPU, no trainer, or the baseline itself fails         exit 3
    ├── ResearcherFailed      the researcher cannot go on                              exit 4
    ├── EngineRunning         another engine holds this workspace                      exit 5
    ├── PatchError            a change cannot be applied to train.py                   (told to the researcher)
    ├── DesignError           factors, levels or generators make no design             (told to the researcher)
    └── Refused               a command cannot be carried out now                      exit 1

A failed run is not here: it is a fact (`RunEnded`), not an exception.
"""

from __future__ import annotations


class AutoresearchError(Exception):
    exit_code = 2


class UsageError(AutoresearchError):
    pass


class SettingsError(UsageError):
    pass


class WorkspaceError(AutoresearchError):
    pass


class LogError(AutoresearchError):
    pass


class RecordingError(AutoresearchError):
    pass


class NothingRuns(AutoresearchError):  # noqa: N818  reads as the sentence it is
    exit_code = 3


class ResearcherFailed(AutoresearchError):  # noqa: N818
    exit_code = 4


class EngineRunning(AutoresearchError):  # noqa: N818
    exit_code = 5


class PatchError(AutoresearchError):
    exit_code = 1


class GoesInCircles(AutoresearchError):  # noqa: N818
    exit_code = 1


class DesignError(AutoresearchError):
    exit_code = 1


class Refused(AutoresearchError):  # noqa: N818
    exit_code = 1

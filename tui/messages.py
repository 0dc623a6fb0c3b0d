"""What panes tell the control room: where the operator looks."""

from __future__ import annotations

from textual.message import Message

from core.ids import ExperimentId, WaveId


class Selected(Message):
    """The cursor is on this experiment."""

    def __init__(self, experiment: ExperimentId) -> None:
        super().__init__()
        self.experiment = experiment


class GpuChosen(Message):
    """The cursor is on a GPU of this type; on none any more: ""."""

    def __init__(self, gpu_type: str) -> None:
        super().__init__()
        self.gpu_type = gpu_type


class Marked(Message):
    """These experiments are marked, for veto and promote of several."""

    def __init__(self, experiments: frozenset[ExperimentId]) -> None:
        super().__init__()
        self.experiments = experiments


class Opened(Message):
    """This experiment is to be shown full screen."""

    def __init__(self, experiment: ExperimentId) -> None:
        super().__init__()
        self.experiment = experiment


class WaveChosen(Message):
    """This wave is to be in view; None follows the latest."""

    def __init__(self, wave: WaveId | None) -> None:
        super().__init__()
        self.wave = wave

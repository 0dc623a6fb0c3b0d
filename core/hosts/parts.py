"""Puts the executor together from a workspace and its settings. Connects to nothing yet."""

from __future__ import annotations

from pathlib import Path

from core.clock import Clock
from core.executors.local_outcome import Limits
from core.hosts.campaign import Campaign, workspace_files
from core.hosts.executor import SshExecutor
from core.hosts.settings import all_on_cpu, checked
from core.ids import BASELINE, SessionId
from core.settings import Settings
from core.state import State
from core.time_budget import trainer_budget
from core.workspace import Workspace


def ssh_executor(
    workspace: Workspace, state: State, settings: Settings, clock: Clock, session: SessionId
) -> SshExecutor:
    """Raises SettingsError, WorkspaceError."""
    hosts = checked(settings.hosts)
    start = state.experiments.get(BASELINE)
    base = workspace.base_files(workspace.state / "base", start.commit if start else "HEAD")
    budget = settings.time_budget or trainer_budget(workspace, on_cpu=all_on_cpu(hosts))
    campaign = Campaign(
        session=session,
        files=dict(workspace_files(base)),
        prepare_digest=state.prepare_digest or workspace.prepare_digest(),
        limits=Limits(
            timeout_s=settings.timeout_s(budget),
            output_mb=settings.output_mb,
            memory_mb=int(settings.memory_gb * 1024) if settings.memory_gb else 0,
        ),
        env=settings.env,
        time_budget=settings.time_budget,
        links=tuple(Path(link).name for link in settings.links),
    )
    return SshExecutor(hosts=hosts, campaign=campaign, runs=workspace.state / "runs", clock=clock, slots=settings.slots)

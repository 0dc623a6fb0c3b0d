"""Puts the executor together from a workspace and its settings. Makes no request yet."""

from __future__ import annotations

from pathlib import Path

from core.clock import Clock
from core.errors import SettingsError
from core.ids import BASELINE, SessionId
from core.settings import Settings
from core.state import State
from core.time_budget import trainer_budget
from core.workspace import Workspace
from k8s.client import Connection
from k8s.executor import KubernetesExecutor
from k8s.jobs import Campaign
from k8s.settings import checked
from k8s.work import Work


def kubernetes_executor(
    workspace: Workspace, state: State, settings: Settings, clock: Clock, session: SessionId
) -> KubernetesExecutor:
    """Raises SettingsError, WorkspaceError."""
    if settings.slots is not None:
        raise SettingsError(
            f"slots = {settings.slots} counts the GPUs of one machine; on a cluster use max_gpus, "
            'such as --max-gpus "H100:4,H200:1", or leave it out.'
        )
    cluster = checked(settings.kubernetes)
    start = state.experiments.get(BASELINE)
    base = workspace.base_files(workspace.state / "base", start.commit if start else "HEAD")
    budget = settings.time_budget or trainer_budget(workspace, on_cpu=False)
    campaign = Campaign(
        session=session,
        files=_files(base),
        prepare_digest=state.prepare_digest or workspace.prepare_digest(),
        timeout_s=settings.timeout_s(budget),
        output_mb=settings.output_mb,
        memory_mb=int(settings.memory_gb * 1024) if settings.memory_gb else 0,
        time_budget=settings.time_budget,
        env=settings.env,
    )
    connection = Connection(
        clock=clock,
        kubeconfig=cluster.kubeconfig,
        context=cluster.context,
        namespace=cluster.namespace,
        followed=cluster.followed_logs,
    )
    return KubernetesExecutor(
        connection=connection, work=Work(campaign, cluster), runs=workspace.state / "runs", clock=clock
    )


def _files(base: Path) -> dict[str, bytes]:
    """Of the workspace, by path; train.py is each run's own."""
    paths = (path for path in sorted(base.rglob("*")) if path.is_file())
    named = {path.relative_to(base).as_posix(): path for path in paths}
    return {name: path.read_bytes() for name, path in named.items() if name != "train.py"}

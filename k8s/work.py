"""What a session asks of a cluster for a run: names, labels and bodies, from its settings and its files. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from core.executor import Job
from core.executors.local_outcome import Limits
from core.ids import RunId
from k8s import jobs
from k8s.inventory import MANAGED, MANAGER, SESSION, Placement
from k8s.settings import ClusterSettings


class Work(NamedTuple):
    campaign: jobs.Campaign
    settings: ClusterSettings

    @property
    def label(self) -> str:
        return jobs.session_label(self.campaign.session)

    @property
    def selector(self) -> str:
        """Of everything that is this session's."""
        return f"{MANAGER}={MANAGED},{SESSION}={self.label}"

    def name(self, run: RunId) -> str:
        """Of a run's Job and ConfigMap."""
        return jobs.name(self.campaign.session, run)

    @property
    def limits(self) -> Limits:
        campaign = self.campaign
        return Limits(campaign.timeout_s, campaign.output_mb, campaign.memory_mb)

    def bodies(self, job: Job, placement: Placement) -> tuple[dict[str, Any], Callable[[str], dict[str, Any]]]:
        """Its Job, and its ConfigMap once the uid of the Job is known. Raises NothingRuns if it is too large."""
        body = jobs.job(job, self.campaign, self.settings, placement)
        return body, lambda uid: jobs.config_map(job, self.campaign, self.settings, owner_uid=uid)

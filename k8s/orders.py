"""What is asked of the cluster for one run: its Job and ConfigMap made, its Job deleted. Each as often as it takes.

A name is given once: what is there already under it is the run's own. Knows nothing of how runs end.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from random import Random, SystemRandom
from typing import Any

import msgspec

from core.clock import Clock
from k8s.client import ClusterError, Connection
from k8s.shapes import Job
from k8s.watching import pause_s

SEEN_S = 0.5  # until the cluster's controller of Jobs has seen that a Job goes, so that it makes no second pod

Body = Mapping[str, Any]
Troubled = Callable[[ClusterError | None], None]
Told = Callable[[str], None]


def _nobody(_said: str) -> None:
    pass


class Orders:
    """`troubled` hears of each failure that is waited out, and None when the cluster took an order, or has no room."""

    def __init__(self, connection: Connection, *, clock: Clock, troubled: Troubled, dice: Random | None = None) -> None:
        self._connection, self._clock, self._troubled = connection, clock, troubled
        self._dice = dice or SystemRandom()

    async def make(
        self, job: Body, config_map: Callable[[str], Body], is_wanted: Callable[[], bool], over_quota: Told = _nobody
    ) -> str:
        """The uid of the Job; "" if it is not wanted any more. `config_map` gets that uid, to be owned by it.

        `over_quota` hears what the server says whenever a quota refuses one of the two, and "" when it is taken.
        Raises ClusterError for what waiting does not mend.
        """
        name = str(job["metadata"]["name"])
        jobs, maps = self._jobs, f"/api/v1/namespaces/{self._connection.namespace}/configmaps"
        body = await self._until_done("POST", jobs, job, is_wanted, over_quota)
        if body == b"":  # it is there already
            body = await self._until_done("GET", f"{jobs}/{name}", None, is_wanted)
        if body is None:
            return ""
        uid = msgspec.json.decode(body, type=Job).metadata.uid
        done = await self._until_done("POST", maps, config_map(uid), is_wanted, over_quota)
        return "" if done is None else uid

    async def delete(self, name: str, *, pod: str = "", at_once: bool = False) -> None:
        """The Job, and with it its ConfigMap and pods; what is gone already is fine.

        A `pod` that is named is not left to the garbage collector, `at_once`: nor to a node that may be dead; where
        pods may not be deleted it is. What cannot be deleted at all goes when its time is over.
        """
        with contextlib.suppress(ClusterError):
            await self._until_done("DELETE", f"{self._jobs}/{name}", {"propagationPolicy": "Background"}, _always)
            if pod:
                await self._clock.sleep(SEEN_S)
                path = f"/api/v1/namespaces/{self._connection.namespace}/pods/{pod}"
                await self._connection.request("DELETE", path, body={"gracePeriodSeconds": 0} if at_once else None)

    @property
    def _jobs(self) -> str:
        return f"/apis/batch/v1/namespaces/{self._connection.namespace}/jobs"

    async def _until_done(
        self, method: str, path: str, body: Body | None, is_wanted: Callable[[], bool], over_quota: Told = _nobody
    ) -> bytes | None:
        """The answer; b"" for what had been done before; None if it is not wanted any more."""
        failures = 0
        while is_wanted():
            try:
                answer = await self._connection.request(method, path, body=body)
            except ClusterError as error:
                if _was_done(method, error):
                    over_quota("")
                    return b""
                if not (error.may_pass or error.is_refusal):
                    raise
                self._troubled(None if error.is_quota else error)
                over_quota(str(error) if error.is_quota else "")
                await self._clock.sleep(pause_s(error, failures, self._dice))
                failures += 1
            else:
                self._troubled(None)
                over_quota("")
                return answer
        return None


def _was_done(method: str, error: ClusterError) -> bool:
    return (method, error.status) == ("DELETE", 404) or (method == "POST" and error.reason == "AlreadyExists")


def _always() -> bool:
    return True

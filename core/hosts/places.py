"""All hosts' places for runs together: what there is, how it is now, what is free. Asks nobody."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from core.clock import Clock
from core.events import Gpu
from core.hosts.fleet import Seat, observed
from core.hosts.post import Post
from core.ids import GpuId


class Places:
    def __init__(self, posts: Mapping[str, Post], clock: Clock, most: int | None) -> None:
        """`most`: GPUs used at a time; None: all."""
        self._posts, self._clock, self._most = posts, clock, most

    @property
    def seats(self) -> list[Seat]:
        return [seat for post in self._posts.values() for seat in post.seats][: self._most]

    @property
    def types(self) -> set[str]:
        return {seat.gpu.type for seat in self.seats}

    def seat(self, gpu: GpuId) -> Seat | None:
        return next((seat for seat in self.seats if seat.gpu.id == gpu), None)

    def post(self, gpu: GpuId) -> Post:
        """The host that has it. Raises StopIteration if none has."""
        return next(post for post in self._posts.values() if any(seat.gpu.id == gpu for seat in post.seats))

    def fleet(self, ours: Collection[GpuId]) -> tuple[Gpu, ...]:
        """`ours`: those that runs of this session have."""
        now = self._clock.now()
        gpus = (gpu for post in self._posts.values() for gpu in observed(post.seats, post.standing(now), ours))
        return tuple(gpus)[: self._most]

    def free(self, ours: Collection[GpuId]) -> list[Gpu]:
        return [gpu for gpu in self.fleet(ours) if not gpu.held_by and gpu.id not in ours]

"""The loop: observe, record, plan, carry out. One per workspace; the only writer of the session's log.

The engine keeps no truth of its own: what it knows is the fold of what it recorded. A fact that has an effect outside
(a launch, a commit, a question to the researcher) is on the disk before the effect happens, so that a killed engine
finds everything again. It prints nothing; windows follow the log.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine
from typing import Any, assert_never

import msgspec

from core import commands, noted, policy, waves
from core import events as ev
from core import executor as seen
from core.clock import Clock, SystemClock
from core.consulting import Consulting
from core.errors import AutoresearchError, GoesInCircles, LogError, NothingRuns, PatchError
from core.executor import Executor
from core.fold import fold
from core.ids import ExperimentId, RunId
from core.invocation import Invocation as Invocation
from core.invocation import Stopped as Stopped
from core.invocation import first_facts
from core.keeping import keep
from core.log import Log
from core.looks import next_look
from core.noted import Sight, decided, reached, sighted
from core.obeying import SIGNALS
from core.refusals import plain, refusal
from core.researcher import Researcher
from core.state import State
from core.workspace import Workspace

COMMAND_POLL_S = 0.025
MOST_ROUNDS = 1000  # of planning without any news; a few are usual
BEAT_S = 1.0
QUICK_S = 0.005  # a plan that takes longer is made less often
LOOK_EVERY_S = 15.0  # while runs progress and nothing else happens
QUIET = (ev.RunProgressed, ev.RunWaiting, ev.ResearcherSaid, ev.ToolUsed)  # they change no plan


class Engine:
    """Runs one session until it ends. `interrupt` may be called from a signal handler of the loop."""

    def __init__(
        self,
        *,
        workspace: Workspace,
        log: Log,
        executor: Executor,
        researcher: Researcher,
        invocation: Invocation,
        clock: Clock,
    ) -> None:
        self._workspace = workspace
        self._log = log
        self._executor = executor
        self._researcher = researcher
        self._invocation = invocation
        self._clock = clock
        self._wall = SystemClock()  # for signs of life, and for commands
        self._began = self._wall.now()
        self.state = State()
        self._wake = asyncio.Event()
        self._synced = False
        self._cancelling: set[RunId] = set()
        self._committing = False
        self._latest: asyncio.Future[None] | None = None  # of the last fact that was recorded
        self._looked_at = 0.0
        self._stopped: Stopped | None = None
        self._signal = 0
        self._consulting = Consulting(self, researcher, clock)

    async def run(self, state: State, opening: ev.SessionStarted | None = None) -> Stopped:
        """Goes on from `state`, the fold of the log; `opening` begins a session that has none.

        Raises AutoresearchError for what no retry mends; the reason is recorded where the log can still be written.
        """
        self.state = state
        committer = asyncio.create_task(self._log.committer(), name="committer")
        committer.add_done_callback(lambda _: self._wake.set())
        try:
            if opening is not None:
                self.record(opening)
            self._start()
            await self._obey()  # what was asked for while no engine ran comes before anything is launched
            await self._work(committer)
        finally:
            with self._clock.working():
                self._log.close()
                await committer
        assert self._stopped is not None  # noqa: S101  `_work` returns only then
        return self._stopped

    def interrupt(self, signal: int) -> None:
        """The first signal ends research as `on_exit` says, a second one at once, leaving the jobs."""
        if self._stopped is not None:
            return
        if self._signal or self._invocation.on_exit == "leave":
            self._finish(f"left on {SIGNALS.get(signal, signal)}; running jobs go on", 128 + signal)
        else:
            self._signal = signal
            self.record(ev.StopRequested(at=self._now(), by=SIGNALS.get(signal, f"signal {signal}"), now=True))

    # --- the loop ---

    def _start(self) -> None:
        self.record(*first_facts(self.state, self._invocation, self._researcher.name, self._now()))
        self._log.beat(self._wall.now())

    async def _work(self, committer: asyncio.Task[None]) -> None:
        """Ends when the session or this invocation does, or when the log cannot be written any more."""
        self._tasks = asyncio.TaskGroup()
        try:
            async with self._tasks:
                self._spawn(self._observe(), "observer")
                self._spawn(self._listen(), "commands")
                self._spawn(self._beat(), "heartbeat")
                self._spawn(self._deadline(), "deadline")
                await self._act_until_stopped(committer)
                raise _Done
        except BaseExceptionGroup as group:
            rest = group.split(_Done)[1]
            if rest is not None:
                error = plain(rest)
                await self._give_up(error)
                raise error from rest

    async def _give_up(self, error: BaseException) -> None:
        """Says why in the log, and stops what runs if that is wanted."""
        if isinstance(error, AutoresearchError):
            if self._invocation.on_exit == "stop":
                stopping = (self._executor.cancel(run) for run in self.state.active)
                await asyncio.gather(*stopping, return_exceptions=True)  # what broke may break them too
            if not isinstance(error, LogError):
                self._finish(str(error), error.exit_code)

    def _spawn(self, job: Coroutine[Any, Any, None], name: str) -> None:
        self._tasks.create_task(job, name=name)

    async def _act_until_stopped(self, committer: asyncio.Task[None]) -> None:
        while self._stopped is None:
            if committer.done():
                committer.result()
            began = self._wall.now()
            if self._synced:
                self._act()
            took = self._wall.now() - began
            self._wake.clear()  # what it recorded itself is no news
            if self._stopped is None:
                await self._news()
                if self._clock.is_real and took > QUICK_S:
                    await asyncio.sleep(took)  # so that planning takes half of the time at most

    async def _news(self) -> None:
        """Until something happens, or until time alone may change the plan."""
        seconds = next_look(self.state, self._now()) if self._synced else math.inf
        alarm = self._tasks.create_task(self._alarm(seconds), name="alarm") if math.isfinite(seconds) else None
        await self._wake.wait()
        if alarm is not None:
            alarm.cancel()

    async def _alarm(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self._wake.set()

    def _act(self) -> None:
        """Plans and carries out until nothing more is to be recorded."""
        rounds = 0
        while self._stopped is None:
            rounds += 1
            if rounds > MOST_ROUNDS:  # rather than filling the disk
                raise GoesInCircles("a mistake of this program: its plan goes in circles; what is recorded is kept")
            self._looked_at = self._now()
            moves = policy.plan(self.state, self._invocation.rules, self._looked_at)
            self._request([move for move in moves if isinstance(move, policy.Launch)])
            changed = [self._carry_out(move) for move in moves]
            if not any(changed):
                return

    def _carry_out(self, move: policy.Move) -> bool:
        """True if it changed the state."""
        match move:
            case policy.Launch():
                pass  # requested already, all at once: a fold per fact is slow with many runs
            case policy.Ask() if self._consulting.is_asking:
                return False  # the wave is still being checked
            case policy.Merge() if self._consulting.is_checking:
                return False  # the wave that is being checked was told apart from what there was
            case policy.Ask(slots):
                self._consulting.is_asking = True
                (recorded,) = self.record(ev.WaveAsked(at=self._now(), slots=slots))
                self._spawn(self._consulting.ask(slots, self._on_disk(recorded)), "researcher")
            case policy.Cancel(run):
                return self._cancel(run)
            case policy.StopRun(run, reason):
                self._cancel(run, *self.record(ev.RunStopped(at=self._now(), run=run, reason=reason)))
            case policy.Commit(experiment):
                return self._commit(experiment)
            case policy.Finish(reason, code):
                self._finish(reason, 128 + self._signal if self._signal else code)
            case _:
                self.record(*decided(self.state, move, self._now()))
        return True

    def _finish(self, reason: str, code: int) -> None:
        if self._stopped is not None:
            return
        self.record(ev.EngineStopped(at=self._now(), reason=reason, exit_code=code))
        self._stopped = Stopped(reason, code)

    def record(self, *facts: ev.Known) -> list[asyncio.Future[None]]:
        """Appends and folds; each future is done when its fact is on the disk."""
        recorded = [self._log.append(fact) for fact in facts]
        if facts:
            self.state, self._latest = fold(self.state, facts), recorded[-1]
            self._consulting.changed()
        if not all(isinstance(fact, QUIET) for fact in facts):
            self.wake()
        return recorded

    def wake(self) -> None:
        """The plan is to be looked at again."""
        self._wake.set()

    def _now(self) -> float:
        return self._clock.now()

    # --- runs ---

    def _request(self, moves: list[policy.Launch]) -> None:
        """Records all that is to be launched; each launch waits until its fact is on the disk."""
        at = self._now()
        facts = [ev.RunRequested(at=at, **msgspec.structs.asdict(move)) for move in moves]
        for fact, recorded in zip(facts, self.record(*facts), strict=True):
            self._spawn(self._launch(fact.run, recorded), f"launch {fact.run}")

    async def _launch(self, name: RunId, recorded: asyncio.Future[None] | None = None) -> None:
        if recorded is not None:
            await self._on_disk(recorded)
        if name in self._cancelling:  # before the executor had heard of it
            self._end(seen.Ended(run=name, at=self._now(), outcome="cancelled"))
            return
        run = self.state.runs[name]
        try:
            await self._executor.launch(noted.job(self.state, run))
        except PatchError as error:
            self._end(seen.Ended(run=name, at=self._now(), outcome="crashed", reason=str(error)))
        except OSError as error:  # it did not run, so it says nothing of the experiment
            if told := refusal(error):
                raise told from error
            self._end(seen.Ended(run=name, at=self._now(), outcome="lost", reason=f"it could not be launched: {error}"))

    def _cancel(self, run: RunId, *why: asyncio.Future[None]) -> bool:
        if run not in self._cancelling:
            self._cancelling.add(run)
            self._spawn(self._stop(run, why), f"cancel {run}")
        return False

    async def _stop(self, run: RunId, why: tuple[asyncio.Future[None], ...]) -> None:
        for recorded in why:
            await self._on_disk(recorded)
        await self._executor.cancel(run)

    async def _on_disk(self, recorded: asyncio.Future[None]) -> None:
        with self._clock.working():
            await recorded

    async def _observe(self) -> None:
        async for observation in self._executor.watch(tuple(self.state.active)):
            match observation:
                case seen.FleetObserved():
                    self._fleet(observation)
                case seen.Waiting() | seen.Started() | seen.Reported() | seen.Progressed():
                    self._see(observation)
                case seen.Ended():
                    self._end(observation)
                case seen.Lost() | seen.Found():
                    self.record(*reached(self.state, observation, self._now()))
                case seen.Absent(run):
                    self._absent(run)
                case seen.Synced():
                    self._synced = True
                    self._wake.set()
                case _:
                    assert_never(observation)

    def _fleet(self, fleet: seen.FleetObserved) -> None:
        """None at all is a mistake where a session begins. Later it is how things are: it waits until one comes."""
        if not fleet.gpus and not self._synced and not self.state.runs:
            raise NothingRuns("There is no GPU or CPU slot to run on; check `autoresearch-tui doctor`.")
        if (fleet.gpus, fleet.unseen) != (self.state.gpus, self.state.unseen) or not self.state.fleet_seen:
            self.record(ev.FleetSeen(at=self._now(), gpus=fleet.gpus, unseen=fleet.unseen))

    def _see(self, sight: Sight) -> None:
        """Progress alone rarely changes a plan, and is frequent: it is looked at now and then."""
        self.record(*sighted(self.state, sight))
        if self._now() - self._looked_at >= LOOK_EVERY_S:
            self._wake.set()

    def _end(self, ended: seen.Ended) -> None:
        run = self.state.runs.get(ended.run)
        if run is None or run.id not in self.state.active:
            return
        engine = self.state.engine
        ours = engine is not None and run.requested_at >= engine.at
        if ended.outcome == "cancelled" and ours and run.id not in self._cancelling:
            ended = msgspec.structs.replace(ended, outcome="crashed", reason="it stopped itself from outside")
        self._cancelling.discard(ended.run)
        self.record(waves.result(ended))

    def _absent(self, name: RunId) -> None:
        """Never launched: say it again. Launched before: gone, and starting it twice would be worse than once more."""
        run, types = self.state.runs[name], {gpu.type for gpu in self.state.gpus}
        if run.started_at is None and (run.gpu_type in types or not types):  # without any GPU it waits for one
            self._spawn(self._launch(name), f"launch {name}")
        elif run.started_at is None:
            reason = f"there is no {run.gpu_type} here any more"
            self._cancel(name)  # it may wait there
            self._end(seen.Ended(run=name, at=self._now(), outcome="lost", reason=reason))
        else:
            reason = "no trace of it was left when the engine came back"
            self._end(seen.Ended(run=name, at=self._now(), outcome="lost", reason=reason))

    # --- what is kept ---

    def _commit(self, name: ExperimentId) -> bool:
        if not self._committing:
            self._committing = True
            self._spawn(self._keep(name), f"commit {name}")
        return False

    async def _keep(self, name: ExperimentId) -> None:
        """Commits the kept train.py once the verdict is on the disk, and moves the baseline."""
        if self._latest is not None:
            await self._on_disk(self._latest)
        source, commit = await keep(self._workspace, self.state, name, self._clock)
        self._committing = False
        reason = self.state.experiments[name].reason
        self.record(ev.BaselineMoved(at=self._now(), experiment=name, commit=commit, source=source, reason=reason))

    # --- operators and time ---

    async def _listen(self) -> None:
        while True:
            await self._obey()
            await asyncio.sleep(COMMAND_POLL_S)

    async def _obey(self) -> None:
        for number, body in await self._log.commands():
            facts, answer = commands.respond(self.state, number, body, self._now(), since=self._began)
            self.record(*facts)
            self._log.respond(number, answer)

    async def _beat(self) -> None:
        """A sign of life, and, where time is real, a look at the plan: better once too often."""
        while True:
            await asyncio.sleep(BEAT_S)
            self._log.beat(self._wall.now())
            if self._clock.is_real:
                self._wake.set()

    async def _deadline(self) -> None:
        if self._invocation.for_s is None:
            return
        await self._clock.sleep(self._invocation.for_s)
        if self._invocation.on_exit == "leave":
            self._finish("the time of this invocation is over; running jobs go on", 0)
        else:
            self.record(ev.StopRequested(at=self._now(), by="--for", now=True))


class _Done(Exception):  # noqa: N818  not an error
    """Ends the task group from within: the waiting tasks are cancelled."""

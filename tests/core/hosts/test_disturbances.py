"""What befalls hosts and the ways to them: nothing is started twice, nothing that finished in time is lost."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from pathlib import Path

import asyncssh
import pytest
from hosts import NO_SSHD, SSHD, Box, Cable, Site, asyncsshd, filled_disk, small_disk, sshd
from place import UNTIL_GO, job, until
from watched import FOREVER, OTHER, RESULT, RUN

from core.errors import NothingRuns
from core.executor import Ended, FleetObserved, Found, Job, Lost, Started
from core.executors import local_folder
from core.hosts import connection, executor, post
from core.ids import RunId

needs_sshd = pytest.mark.skipif(SSHD is None, reason=NO_SSHD)
H100 = "0, GPU-1, NVIDIA H100 80GB HBM3, 81559, Disabled"


def fleet(engine: object) -> FleetObserved:
    return [seen for seen in engine.seen if isinstance(seen, FleetObserved)][-1]  # type: ignore[attr-defined]


@pytest.mark.parametrize("way", ["cut", "stall"])
async def test_a_run_goes_on_while_the_connection_is_away(
    site: Site, box: Box, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "KEEPALIVE_S", 0.2)
    cable = Cable(box.port)
    counting = f"open({str(box.root / 'count')!r}, 'a').write('x')\nprint('first', flush=True)\n"
    async with cable.laid() as port:
        box.known_hosts.write_text(box.known_hosts.read_text().replace(str(box.port), str(port)))
        async with site.engine(port=port) as engine:
            await engine.executor.launch(job(counting + UNTIL_GO + "print('last')"))
            await engine.first(Started)
            getattr(cable, way)()
            await until(lambda: any(isinstance(seen, Lost) for seen in engine.seen))
            assert fleet(engine).gpus[0].broken
            assert fleet(engine).gpus[0].held_by.startswith("host gone")
            (box.run(RUN) / "go").touch()
            await until(lambda: (box.run(RUN) / "exit.json").exists())
            assert not engine.of(Ended, RUN)
            cable.mend()
            assert (await engine.first(Ended)).outcome == "finished"
            await until(lambda: any(isinstance(seen, Found) for seen in engine.seen))
            assert not fleet(engine).gpus[0].broken
            assert (await engine.run(RESULT, OTHER)).outcome == "finished"
    assert site.log(RUN).split()[::2] == ["first", "val_bpb:", "training_seconds:", "last"] or "last" in site.log(RUN)
    assert (box.root / "count").read_text() == "x"


@needs_sshd
async def test_a_server_that_is_killed_and_started_again_costs_no_run(tmp_path: Path) -> None:
    with sshd(tmp_path) as box:
        site = Site(tmp_path, box)
        async with site.engine(gpus="cpu:2") as engine:
            await engine.executor.launch(job(UNTIL_GO))
            await engine.first(Started)
            box.kill()
            await engine.executor.launch(job(RESULT, OTHER))  # while it is away
            await until(lambda: any(isinstance(seen, Lost) for seen in engine.seen))
            assert local_folder.state(box.run(RUN)) == "alive"
            box.start()
            (box.run(RUN) / "go").touch()
            assert (await engine.first(Ended)).outcome == "finished"
            assert (await engine.first(Ended, OTHER)).outcome == "finished"
            assert len(engine.of(Started, RUN)) == 1


@needs_sshd
async def test_a_run_that_its_host_cannot_have_heard_of_goes_to_another(tmp_path: Path) -> None:
    with sshd(tmp_path) as box, sshd(tmp_path, "box2") as other:
        cable = Cable(box.port)
        async with cable.laid() as port:
            box.known_hosts.write_text(box.known_hosts.read_text().replace(f":{box.port}", f":{port}"))
            box.port = port
            async with Site(tmp_path, box, other).engine() as engine:
                cable.cut()
                for run in (RUN, OTHER):
                    await engine.executor.launch(job(RESULT, run))
                gpus = {(await engine.first(Started, run)).gpu for run in (RUN, OTHER)}
                assert gpus == {"box2/cpu0"}


@needs_sshd
async def test_after_its_grace_a_run_is_lost_and_what_comes_later_is_kept_and_never_counted(tmp_path: Path) -> None:
    done, going = RUN, OTHER
    with sshd(tmp_path) as box:
        site = Site(tmp_path, box)
        async with site.engine(gpus="cpu:2", grace_s=1.0) as engine:
            await engine.executor.launch(job(UNTIL_GO, done))
            await engine.executor.launch(job(FOREVER, going))
            await engine.first(Started, done)
            await engine.first(Started, going)
            box.kill()
            for run in (done, going):
                end = await engine.first(Ended, run)
                assert (end.outcome, end.reason) == ("lost", "box1 has not answered for 1 s")
            (box.run(done) / "go").touch()
            await until(lambda: (box.run(done) / "exit.json").exists())
        box.start()
        async with site.engine(done, gpus="cpu:2") as later:  # the note of it outlives the engine, too
            assert (await later.first(Ended, done)).outcome == "lost"
            await until(lambda: (site.runs / going / "late.json").exists())
            assert len(later.of(Ended, done)) == 1
            assert not later.of(Ended, going)
        assert local_folder.state(box.run(going)) == "ended"  # it was stopped
        assert local_folder.read_json(site.runs / done / "late.json")["val_bpb"] == 1.25


@needs_sshd
async def test_an_engine_that_comes_back_while_the_host_is_gone_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sshd(tmp_path) as box, sshd(tmp_path, "box2") as other:
        site = Site(tmp_path, box, other)
        async with site.engine() as engine:
            await engine.executor.launch(job(UNTIL_GO))
            started = await engine.first(Started)
        box.kill()
        async with site.engine(RUN) as engine:
            assert (await engine.first(Started)) == started
            box.start()
            (box.run(RUN) / "go").touch()
            assert (await engine.first(Ended)).outcome == "finished"
            assert len(engine.of(Started, RUN)) == 1


@needs_sshd
async def test_a_cancelled_run_on_a_host_that_is_gone_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "FAREWELL_S", 0.5)
    with sshd(tmp_path) as box:
        async with Site(tmp_path, box).engine() as engine:
            await engine.executor.launch(job(FOREVER))
            await engine.first(Started)
            box.kill()
            await until(lambda: any(isinstance(seen, Lost) for seen in engine.seen))
            await engine.executor.cancel(RUN)
            assert (await engine.first(Ended)).outcome == "cancelled"
            box.start()
            await until(lambda: local_folder.state(box.run(RUN)) == "ended")


# --- who else is there ------------------------------------------------------------------------------------------------


async def test_gpus_are_found_and_one_that_somebody_uses_is_left_alone(
    site: Site, box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(post, "SURVEY_S", 0.1)
    box.has_gpus(H100, "1, GPU-2, NVIDIA H100 80GB HBM3, 81559, Disabled", "2, GPU-3, NVIDIA A100, 40960, Enabled")
    box.has_apps(f"GPU-1, {os.getpid()}, /usr/bin/python")
    async with site.engine(gpus="") as engine:
        first, second, third = fleet(engine).gpus
        assert (first.id, first.type, first.memory_mb, first.broken) == ("box1/gpu0", "H100", 81559, False)
        assert first.held_by.endswith(f"(python, process {os.getpid()})")
        assert (second.held_by, third.held_by, third.broken) == ("", "split by MIG", True)
        source = "import os\nprint('sees', os.environ['CUDA_VISIBLE_DEVICES'])\n" + RESULT
        for run in (RUN, OTHER):
            await engine.executor.launch(Job(run=run, source=source, seed=7, gpu_type="H100"))
        for run in (RUN, OTHER):
            await engine.first(Ended, run)
            assert (await engine.first(Started, run)).gpu == "box1/gpu1"
            assert "sees 1" in site.log(run)
        box.has_apps()
        await until(lambda: not fleet(engine).gpus[0].held_by)


async def test_a_process_that_came_just_before_sends_the_run_elsewhere(site: Site, box: Box) -> None:
    box.has_gpus(H100, "1, GPU-2, NVIDIA H100 80GB HBM3, 81559, Disabled")
    async with site.engine(gpus="") as engine:
        box.has_apps("GPU-1, 1, python")  # nobody was asked since
        await engine.executor.launch(Job(run=RUN, source=RESULT, seed=7, gpu_type="H100"))
        assert (await engine.first(Ended)).outcome == "finished"
        assert (await engine.first(Started)).gpu == "box1/gpu1"


async def test_a_gpu_is_free_as_soon_as_its_run_has_ended(site: Site, box: Box) -> None:
    box.has_gpus(H100)
    async with site.engine(gpus="") as engine:
        began = time.monotonic()
        for number in range(1, 5):
            run = RunId(f"e{number}-1")
            await engine.executor.launch(Job(run=run, source=RESULT, seed=7, gpu_type="H100"))
            assert (await engine.first(Ended, run)).outcome == "finished"
        assert time.monotonic() - began < post.SURVEY_S
    held = {gpu.held_by for seen in engine.seen if isinstance(seen, FleetObserved) for gpu in seen.gpus}
    assert held == {""}, "our own lease was taken for another engine's"


async def test_a_gpu_is_leased_for_as_long_as_its_run_lives(site: Site, box: Box) -> None:
    box.has_gpus(H100)
    lease = box.root / "leases" / "GPU-1"
    async with site.engine(gpus="") as engine:
        await engine.executor.launch(Job(run=RUN, source=UNTIL_GO, seed=7, gpu_type="H100"))
        await engine.first(Started)
        assert not can_take(lease)
        assert fleet(engine).gpus[0].held_by == ""
    assert not can_take(lease)  # without its engine, too
    (box.run(RUN) / "go").touch()
    await until(lambda: can_take(lease))
    with lease.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        async with site.engine(gpus="") as engine:
            assert fleet(engine).gpus[0].held_by == "another engine"


def can_take(lease: Path) -> bool:
    with lease.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


# --- a full disk ------------------------------------------------------------------------------------------------------


@needs_sshd
async def test_a_full_disk_on_one_host_sends_runs_to_the_other(tmp_path: Path) -> None:
    with sshd(tmp_path) as box, sshd(tmp_path, "box2") as other, small_disk(box.disk):
        async with Site(tmp_path, box, other).engine() as engine:
            await engine.executor.launch(job("print('x' * 99)\n" + UNTIL_GO.replace("0.01", "0.01); print('x'*9999")))
            assert (await engine.first(Started)).gpu == "box1/cpu0"
            filled_disk(box.disk)
            end = await engine.first(Ended)
            assert (end.outcome, end.reason) == ("lost", "the disk of its host is full")
            await engine.executor.launch(job(RESULT, OTHER))
            assert (await engine.first(Ended, OTHER)).outcome == "finished"
            assert (await engine.first(Started, OTHER)).gpu == "box2/cpu0"
            assert fleet(engine).gpus[0].held_by.startswith("disk full")


# --- who is let in, and who is believed -------------------------------------------------------------------------------


async def test_an_unknown_host_is_not_spoken_to(site: Site, box: Box) -> None:
    box.known_hosts.write_text("")
    with pytest.raises(NothingRuns, match=rf"ssh-keyscan -p {box.port} 127.0.0.1 >> .*known_hosts"):
        async with site.engine():
            pass
    assert not list(box.disk.iterdir())


async def test_a_key_that_is_not_taken_is_told(site: Site, tmp_path: Path) -> None:
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(tmp_path / "other"))
    with pytest.raises(NothingRuns, match="does not take our key"):
        async with site.engine(key=str(tmp_path / "other")):
            pass


@needs_sshd
async def test_a_jump_host_leads_to_a_host_and_is_checked_as_strictly(tmp_path: Path) -> None:
    with sshd(tmp_path) as gate, sshd(tmp_path, "box2") as box:
        site = Site(tmp_path, box)
        with pytest.raises(NothingRuns, match="The host key of box2's jump host"):
            async with site.engine(jump=f"127.0.0.1:{gate.port}"):
                pass
        box.known_hosts.write_text(box.known_hosts.read_text() + gate.known_hosts.read_text())
        async with site.engine(jump=f"127.0.0.1:{gate.port}") as engine:
            assert (await engine.run(RESULT)).outcome == "finished"


async def test_a_host_without_python_says_so(tmp_path: Path) -> None:
    async with asyncsshd(tmp_path) as box:
        (box.bin / "python3").unlink()
        box.program("python3", "#!/bin/sh\necho 'python3: not found' >&2\nexit 127\n")
        with pytest.raises(NothingRuns, match=r"box1 has no python3 .*: install Python 3.9 or newer there"):
            async with Site(tmp_path, box).engine():
                pass


async def test_a_login_that_talks_is_no_hindrance(tmp_path: Path) -> None:
    async with asyncsshd(tmp_path) as box:
        (box.bin / "python3").unlink()
        box.program("python3", f'#!/bin/sh\necho Welcome to the lab\nexec {sys.executable} "$@"\n')
        async with Site(tmp_path, box).engine() as engine:
            assert (await engine.run(RESULT)).outcome == "finished"


async def test_a_new_agent_ends_one_that_hangs_on_a_dead_connection(site: Site, box: Box) -> None:
    """Else a launch that is still on its way could begin what another host has begun since."""
    async with site.engine() as first:
        assert (await first.run(RESULT)).outcome == "finished"
        async with site.engine() as second:
            began = time.monotonic()
            assert (await second.run(RESULT, OTHER)).outcome == "finished"
            assert time.monotonic() - began < 10

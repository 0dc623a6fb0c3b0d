"""`hosts prepare` and what `doctor` finds on hosts, on real SSH servers."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import stub
from hosts import NO_SSHD, SSHD, Box, Site, sshd
from watched import RESULT

from core.errors import NothingRuns
from core.hosts.preparing import Wanted, prepare
from core.hosts.settings import HostSettings
from core.hosts.survey import Finding, survey
from core.ids import RunId


def wanted(box: Box, prepare_py: bytes = b"", **links: Path) -> Wanted:
    count = f"open({str(box.root / 'prepared')!r}, 'a').write('x')\n".encode()
    return Wanted(files={"prepare.py": count + prepare_py}, links=links, env={"MINE": "1"})


async def test_what_a_host_needs_is_made_once(box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "one").write_text("1")
    host = box.settings(python="", packages=())
    said: list[str] = []
    for _ in range(2):
        await prepare(
            host, wanted(box, b"import os; assert os.environ['MINE']\n", shards=tmp_path / "shards"), said.append
        )
    assert (box.root / "prepared").read_text() == "x"
    assert (box.disk / "venv" / "bin" / "python").exists()
    assert (box.disk / "links" / "shards" / "one").read_text() == "1"
    assert "box1: shards: 1 files" in said
    assert said.count("box1: done before") == 2

    site = Site(tmp_path, box)
    source = "import sys\nprint(sys.prefix, open('shards/one').read())\n" + RESULT
    async with site.engine(python="", links=("shards",)) as engine:
        assert (await engine.run(source)).outcome == "finished"
    assert f"{box.disk}/venv 1" in site.log(RunId("e1-1"))


async def test_a_prepare_that_fails_is_told_with_its_last_line_and_tried_again(box: Box) -> None:
    for _ in range(2):
        with pytest.raises(NothingRuns, match=r"box1: data by prepare.py failed \(ValueError: no data\): mend that"):
            await prepare(box.settings(), wanted(box, b"raise ValueError('no data')\n"), lambda _: None)
    assert (box.root / "prepared").read_text() == "xx"


async def found(*hosts: HostSettings) -> list[Finding]:
    return [finding async for finding in survey(hosts, {})]


async def test_doctor_says_of_each_host_what_it_has_and_what_is_missing(box: Box) -> None:
    box.has_gpus("0, GPU-1, NVIDIA H100 80GB HBM3, 81559, Disabled", "1, GPU-2, NVIDIA H100 80GB HBM3, 81559, Disabled")
    box.has_apps(f"GPU-1, {os.getpid()}, python")
    first, disk, torch = await found(box.settings(gpus="", python="/no/such/python"))
    version = ".".join(map(str, sys.version_info[:3]))
    assert first == Finding("box1", True, f"Python {version}, 2 × H100 (1 held)", "Set hosts.box1.gpus.", False)
    assert "GB free in" in disk.found
    assert (torch.is_good, torch.found) == (False, "/no/such/python: No such file or directory")
    assert torch.remedy == "Install torch for /no/such/python there."


async def test_a_host_that_is_missing_is_no_obstacle_if_another_works(box: Box) -> None:
    missing = box.settings(name="box9", known_hosts=())
    lost, *rest = await found(missing, box.settings())
    assert (lost.name, lost.is_good, lost.is_fatal) == ("box9", False, False)
    assert "ssh-keyscan" in lost.remedy
    assert all(finding.is_good for finding in rest if finding.is_fatal)
    (alone,) = await found(missing)
    assert alone.is_fatal


@pytest.mark.slow
@pytest.mark.skipif(SSHD is None, reason=NO_SSHD)
def test_the_command_line_prepares_and_examines_hosts(tmp_path: Path) -> None:
    with sshd(tmp_path) as box:
        folder = stub.make_stub(tmp_path / "work", settings=box.table())
        done = stub.run(folder, "hosts", "prepare")
        assert done.returncode == 0, done.stderr
        assert "box1: data by prepare.py" in done.stdout
        done = stub.run(folder, "hosts", "prepare", "box7")
        assert "There is no host 'box7' in [hosts]; there are box1." in done.stderr
        done = stub.run(folder, "--executor", "ssh", "doctor")
        assert done.returncode == 0, done.stdout
        assert "✓ box1" in done.stdout
        assert "1 × cpu" in done.stdout

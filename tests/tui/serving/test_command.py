"""`autoresearch-tui serve` on the command line: what it says when it starts, and when it cannot."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import stub
from service import Served, service
from stub import ROOT


def serve(served: Served, *arguments: str) -> subprocess.CompletedProcess[str]:
    files = ["--authorized-keys", str(served.folder / "authorized_keys"), "--host-key", str(served.folder / "host_key")]
    return stub.run(served.workspace, "serve", *files, *arguments, timeout=30)


def test_it_says_where_it_listens_and_by_what_key_it_is_known(tmp_path: Path) -> None:
    with service(tmp_path) as served:
        pass
    text = "\n".join(served.lines)
    assert f"Serving {served.workspace} on 127.0.0.1 port {served.port}" in text
    assert "Host key SHA256:" in text
    assert "authorized_keys: 2 operators, 2 viewers" in text
    shown = subprocess.run(
        ["ssh-keygen", "-lf", served.folder / "host_key.known_hosts"], capture_output=True, text=True, check=True
    ).stdout
    assert shown.split()[1] in text, "the fingerprint of the line for known_hosts"
    assert f"[127.0.0.1]:{served.port}" in (served.folder / "host_key.known_hosts").read_text()


def test_a_port_that_is_taken_is_a_sentence(tmp_path: Path) -> None:
    served = Served(tmp_path)
    served.session()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = serve(served, "--port", str(taken.getsockname()[1]))
    assert done.returncode == 2
    assert "Cannot listen on 127.0.0.1" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("host", "says"), [("nowhere.invalid", "Cannot listen"), ("192.0.2.1", "Cannot listen")])
def test_an_address_that_is_not_ours_is_a_sentence(tmp_path: Path, host: str, says: str) -> None:
    served = Served(tmp_path)
    done = serve(served, "--host", host, "--port", "0")
    assert done.returncode == 2
    assert says in done.stderr


def test_a_host_key_that_others_can_read_stops_it(tmp_path: Path) -> None:
    served = Served(tmp_path)
    (tmp_path / "host_key").write_text("x")
    (tmp_path / "host_key").chmod(0o644)
    done = serve(served, "--port", "0")
    assert done.returncode == 2
    assert "chmod 600" in done.stderr


def test_without_keys_it_says_how_to_let_somebody_in(tmp_path: Path) -> None:
    served = Served(tmp_path)
    (tmp_path / "authorized_keys").unlink()
    process = stub.start(tmp_path, "serve", "--port", "0", "--authorized-keys", str(tmp_path / "authorized_keys"),
                         "--host-key", str(tmp_path / "host_key"))  # fmt: skip
    assert process.stdout is not None
    try:
        lines = [process.stdout.readline() for _ in range(5)]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(10)
        process.stdout.close()
    assert any("Nobody can come in yet: add lines like" in line for line in lines), lines
    assert served.port == 0


def test_help_and_the_command_row_load_no_ssh() -> None:
    code = (
        "from click.testing import CliRunner; from tui.cli import main; CliRunner().invoke(main, ['serve', '--help'])\n"
        "import sys; print([name for name in ('asyncssh', 'textual', 'cryptography') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

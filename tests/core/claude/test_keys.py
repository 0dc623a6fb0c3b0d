"""Keys: taken from the environment of children, and cleaned out of what is recorded."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from core.claude.keys import hidden, scrubbed, without_keys

KEY = "sk-ant-api03-not-a-real-one"


def test_no_child_that_is_started_meanwhile_inherits_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    with hidden(os.environ) as keys:
        show = [sys.executable, "-c", "import os; print(dict(os.environ))"]
        child = subprocess.run(show, capture_output=True, text=True, check=True)
        assert keys == {"ANTHROPIC_API_KEY": KEY}
        assert KEY not in child.stdout
    assert os.environ["ANTHROPIC_API_KEY"] == KEY, "and afterwards it is where it was"


def test_a_child_gets_everything_but_keys() -> None:
    ours = {"PATH": "/bin", "ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": "http://x", "AWS_BEARER_TOKEN_BEDROCK": "b"}
    assert without_keys(ours) == {"PATH": "/bin", "ANTHROPIC_BASE_URL": "http://x"}


@pytest.mark.parametrize(
    "text",
    [
        f"invalid x-api-key {KEY}",
        "authorization: Bearer abcdefghijklmnop",
        "my own secret-value-123 was refused",
        "AKIAABCDEFGHIJKLMNOP",
    ],
)
def test_what_is_recorded_has_no_key_in_it(text: str) -> None:
    clean = scrubbed(text, {"SERVICE_SECRET": "secret-value-123", "PATH": "refused"})
    assert "[key]" in clean
    for secret in (KEY, "abcdefghijklmnop", "secret-value-123", "AKIAABCDEFGHIJKLMNOP"):
        assert secret not in clean


def test_other_text_stays_as_it_is() -> None:
    assert scrubbed("the rate limit is reached", {"MY_TOKEN": "rate"}) == "the rate limit is reached"

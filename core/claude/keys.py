"""Keys are the client's business alone: children do not inherit them, and what is recorded is cleaned of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager

SECRETS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "AWS_BEARER_TOKEN_BEDROCK")
_NAMES = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|AUTHORIZATION", re.IGNORECASE)
_SHAPES = re.compile(r"sk-ant-[\w-]{6,}|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bya29\.[\w-]+|(?i:\bbearer)\s+[\w.~+/-]{12,}=*")
SHORTEST = 8  # characters of a value that is looked for: shorter ones stand everywhere


@contextmanager
def hidden(environ: MutableMapping[str, str]) -> Iterator[dict[str, str]]:
    """The keys in it, which it has no more until this is left: no child that is started meanwhile inherits them."""
    taken = {name: environ.pop(name) for name in SECRETS if name in environ}
    try:
        yield taken
    finally:
        for name, value in taken.items():
            environ.setdefault(name, value)


def without_keys(environ: Mapping[str, str]) -> dict[str, str]:
    """For a child process of a program that needs its keys itself."""
    return {name: value for name, value in environ.items() if name not in SECRETS}


def scrubbed(text: str, environ: Mapping[str, str]) -> str:
    """`text` without the values of secret variables, and without anything that looks like a key."""
    for name, value in environ.items():
        if len(value) >= SHORTEST and _NAMES.search(name):
            text = text.replace(value, "[key]")
    return _SHAPES.sub("[key]", text)

"""The files of a run as a ConfigMap holds them: texts as they are, or everything compressed where that is too much.

A ConfigMap's keys know no folders, so each has a path besides; below `plain/` or `packed/`, by which the starter in the
pod knows what to unpack. Knows no Jobs.
"""

from __future__ import annotations

import base64
import gzip
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources

import msgspec

from core.errors import NothingRuns

STARTER = "starter.py"
PLAIN_BYTES = 900_000  # of files, above which they are compressed
MOST_BYTES = 1_000_000  # of what goes into a ConfigMap: the server takes 1 MiB, in which names count too
_KEY = re.compile(r"(?!file-)[a-zA-Z0-9_][-._a-zA-Z0-9]{0,199}")


class Parcel(msgspec.Struct, frozen=True):
    texts: dict[str, str]  # by key
    binaries: dict[str, str]  # by key, in base64
    paths: dict[str, str]  # by key: where it belongs in the volume


@cache
def starter() -> str:
    """The program that runs train.py in the pod."""
    return resources.files("k8s").joinpath(STARTER).read_text(encoding="utf-8")


def parcel(source: str, files: Mapping[str, bytes]) -> Parcel:
    """`source` as train.py, the workspace's other `files`, and the starter. Raises NothingRuns if it is too much."""
    bodies = {**files, "train.py": source.encode()}
    keys = {_key(index, path): path for index, path in enumerate(sorted(bodies))}
    is_packed = _size(bodies) > PLAIN_BYTES
    if is_packed:
        bodies = {path: gzip.compress(body, mtime=0) for path, body in bodies.items()}
        _check(_size(bodies))
    texts = {} if is_packed else {key: text for key, path in keys.items() if (text := _text(bodies[path])) is not None}
    binaries = {key: base64.b64encode(bodies[path]).decode() for key, path in keys.items() if key not in texts}
    folder = "packed" if is_packed else "plain"
    paths = {key: f"{folder}/{path}" for key, path in keys.items()}
    return Parcel({**texts, STARTER: starter()}, binaries, {**paths, STARTER: STARTER})


def _size(bodies: Mapping[str, bytes]) -> int:
    return len(starter()) + sum(len(path) + len(body) for path, body in bodies.items())


def _check(size: int) -> None:
    if size > MOST_BYTES:
        raise NothingRuns(
            f"The workspace's files take {size // 1000} kB even compressed, and a ConfigMap holds "
            f"{MOST_BYTES // 1000} kB: put data on a volume (kubernetes.volumes) and take it out of the repository."
        )


def _key(index: int, path: str) -> str:
    return path if _KEY.fullmatch(path) and path != STARTER else f"file-{index}"


def _text(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None

"""The objects of the manifests for a small workspace, and how tests find their parts."""

from __future__ import annotations

from typing import Any

from k8s.deployment import Object, Wanted, deployed
from k8s.settings import checked

ON_DATA = {"mount": "/data", "claim": "corpora"}
FILES = {"train.py": b"LR = 1\n", "prepare.py": b"", "lib/model.py": b"import os\n", "vocabulary": b"\xff\x00"}


def objects(given: dict[str, Any] | None = None, **wishes: Any) -> list[Object]:
    given = given or {}
    cluster = wishes.pop("cluster", None) or checked(given.get("kubernetes", {}))
    return list(deployed(Wanted(given=given, cluster=cluster, files=wishes.pop("files", FILES), **wishes)).objects)


def only(things: list[Object], kind: str, name: str = "") -> Object:
    (found,) = [each for each in things if each["kind"] == kind and name in each["metadata"]["name"]]
    return found


def pod_of(thing: Object) -> Object:
    spec = thing["spec"].get("jobTemplate", thing)["spec"]
    pod: Object = spec["template"]["spec"]
    return pod

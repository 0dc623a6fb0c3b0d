"""The Role of the manifests on a real API server: it is enough, every verb of it is missed, and doctor says which."""

from __future__ import annotations

import asyncio
import copy
import json
from typing import Any

import yaml
from accounts import FOLDERS, account, admin, all_of, path_of, put, renamed, rights
from lab import Lab
from watched import FOREVER, OTHER, RESULT, is_clean

from core.clock import SystemClock
from core.executor import Ended, FleetObserved, Started
from k8s.client import Connection
from k8s.deployment import Object
from k8s.permissions import PERMISSIONS, Permission, granting, missing, subject
from k8s.settings import ClusterSettings
from k8s.survey import Finding, survey

OPTIONAL = [each for each in PERMISSIONS if not each.is_needed and not each.everywhere]  # of the Role


def without(things: list[Object], lost: Permission) -> Object:
    """The role with that permission, without it."""
    kind = "ClusterRole" if lost.everywhere else "Role"
    for thing in copy.deepcopy([thing for thing in things if thing["kind"] == kind]):
        for rule in thing["rules"]:
            if rule["resources"] == [lost.resource] and lost.verb in rule["verbs"]:
                rule["verbs"].remove(lost.verb)
                thing["rules"] = [each for each in thing["rules"] if each["verbs"]]
                return thing
    raise AssertionError(f"no role has {lost}")


def includes(one: Permission, other: Permission) -> bool:
    """Whether somebody with `one` has the other, too: pods of all namespaces are also those of this one."""
    return one == other or (one.everywhere and (one.verb, one.resource) == (other.verb, other.resource))


async def settled(lab: Lab, kubeconfig: str, *expected: Permission) -> tuple[Permission, ...]:
    """What is missing, once the server has taken note of changed roles."""
    async with Connection(clock=SystemClock(), kubeconfig=kubeconfig, namespace=lab.namespace) as connection:
        for _ in range(50):
            found = await missing(connection)
            if found == expected:
                break
            await asyncio.sleep(0.1)
        return found


async def examined(lab: Lab, kubeconfig: str) -> dict[str, list[Finding]]:
    settings = ClusterSettings(kubeconfig=kubeconfig, namespace=lab.namespace, image="registry.example/trainer:1")
    found: dict[str, list[Finding]] = {}
    async for finding in survey(settings, {}, SystemClock()):
        found.setdefault(finding.name, []).append(finding)
    return found


async def test_with_exactly_this_role_a_run_completes_and_doctor_is_content(lab: Lab) -> None:
    async with admin(lab) as connection, account(lab, connection, rights(lab)) as own:
        assert await settled(lab, own) == ()
        found = await examined(lab, own)
        assert [found[name][0].is_good for name in ("cluster", "rights", "GPUs", "Jobs")] == [True] * 4
        async with lab.engine(kubeconfig=own) as engine:
            assert (await engine.run(RESULT)).outcome == "finished"
            assert engine.of(FleetObserved)[0].gpus
            await engine.launch(FOREVER, OTHER)
            await engine.first(Started, OTHER)
            await engine.executor.cancel(OTHER)
            assert (await engine.first(Ended, OTHER)).outcome == "cancelled"
        assert await is_clean(lab)


async def test_without_the_rights_that_are_not_needed_a_run_completes(lab: Lab) -> None:
    things = [thing for thing in rights(lab) if "others" not in thing["metadata"]["name"]]
    (less,) = (without(things, each) for each in OPTIONAL)
    things = [less if thing["kind"] == "Role" else thing for thing in things]
    async with admin(lab) as connection, account(lab, connection, things) as own:
        expected = tuple(each for each in PERMISSIONS if not each.is_needed)
        assert await settled(lab, own, *expected) == expected
        async with lab.engine(kubeconfig=own) as engine:
            assert (await engine.run(RESULT)).outcome == "finished"
            assert (await engine.run("raise ValueError", OTHER)).outcome == "crashed"


async def test_with_one_verb_less_doctor_names_it(lab: Lab) -> None:
    whole = rights(lab)
    async with admin(lab) as connection, account(lab, connection, whole) as own:
        for lost in PERMISSIONS:
            gone = [each for each in PERMISSIONS if includes(each, lost)]
            for each in gone:
                await put(connection, lab, without(whole, each))
            assert await settled(lab, own, *gone) == tuple(gone)
            for each, finding in zip(gone, (await examined(lab, own))["rights"], strict=True):
                assert (finding.is_good, finding.is_fatal) == (False, each.is_needed)
                assert f"may not {each}" in finding.found
            for each in gone:
                path = path_of(lab, without(whole, each))
                await put(connection, lab, next(thing for thing in whole if path_of(lab, thing) == path))
            assert await settled(lab, own) == ()


async def test_what_doctor_prints_gives_an_account_all_that_it_lacks(lab: Lab) -> None:
    nobody = [thing for thing in rights(lab) if thing["kind"] == "ServiceAccount"]
    who = subject(f"system:serviceaccount:{lab.namespace}:autoresearch")
    async with admin(lab) as connection, account(lab, connection, nobody) as own:
        assert await settled(lab, own, *PERMISSIONS) == PERMISSIONS
        printed = (await examined(lab, own))["rights"][-1].to_apply
        things = granting(PERMISSIONS, lab.namespace, who)
        assert [each["kind"] for each in yaml.safe_load_all(printed)] == [each["kind"] for each in things]
        async with account(lab, connection, [*things]):
            assert await settled(lab, own) == ()


async def test_the_server_takes_every_manifest(lab: Lab) -> None:
    async with admin(lab) as connection:
        offered = json.loads(await connection.request("GET", "/apis/batch/v1"))
        has_cron_jobs = any(each["name"] == "cronjobs" for each in offered["resources"])  # 1.21
        cron_job = all_of(lab.namespace, schedule="0 22 * * *")[-1]
        for thing in renamed(lab, (*all_of(lab.namespace, engine=True), cron_job)):
            folder = FOLDERS[thing["kind"]]
            if thing["kind"] == "CronJob" and not has_cron_jobs:
                folder, thing["apiVersion"] = folder.replace("v1/", "v1beta1/"), "batch/v1beta1"
            if thing["kind"] == "Deployment" or thing["kind"].endswith("Job"):
                assert_restricted(thing)
            body = json.loads(await connection.request("POST", folder.format(lab.namespace), {"dryRun": "All"}, thing))
            assert unknown_to(body, thing) == []


def unknown_to(answer: Any, sent: Any, where: str = "") -> list[str]:
    """What was sent and is not in the answer: servers drop what they do not know."""
    if isinstance(sent, dict):
        rest = [f"{where}.{key}" for key in sent if key not in answer]
        return rest + [each for key in sent if key in answer for each in unknown_to(answer[key], sent[key], key)]
    if isinstance(sent, list) and len(sent) == len(answer):
        return [each for one, other in zip(answer, sent, strict=True) for each in unknown_to(one, other, where)]
    return [] if answer == sent else [f"{where}: {sent} became {answer}"]


def assert_restricted(thing: Object) -> None:
    """As the Pod Security Standard "restricted" wants it."""
    spec = thing["spec"]
    spec = spec["jobTemplate"]["spec"] if thing["kind"] == "CronJob" else spec
    pod = spec["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in (*pod.get("initContainers", ()), *pod["containers"]):
        assert not container["securityContext"]["allowPrivilegeEscalation"]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}

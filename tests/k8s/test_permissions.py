"""The list of rights: what the README says of it, and the roles that follow from it."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from k8s.permissions import PERMISSIONS, Permission, granting, rules, subject

README = Path(__file__).parents[2] / "README.md"


def table() -> str:
    """`python tests/k8s/test_permissions.py` prints it, to be put into the README."""
    rows = ["| in | may | because |", "|---|---|---|"]
    for (resource, everywhere), group in groupby(PERMISSIONS, key=lambda each: (each.resource, each.everywhere)):
        found = list(group)
        where = "all namespaces" if everywhere and resource != "nodes" else "the cluster" if everywhere else "its own"
        optional = "" if found[0].is_needed else " (can do without)"
        verbs = ", ".join(f"`{each.verb}`" for each in found)
        rows.append(f"| {where}{optional} | {verbs} {resource} | {'; '.join(each.why for each in found)} |")
    return "\n".join(rows)


def test_the_readme_lists_every_right() -> None:
    assert table() in README.read_text(encoding="utf-8"), (
        "put the output of `python tests/k8s/test_permissions.py` there"
    )


def test_no_right_is_asked_for_twice_or_without_a_reason() -> None:
    keys = [(each.verb, each.group, each.resource, each.everywhere) for each in PERMISSIONS]
    assert len(set(keys)) == len(keys)
    assert all(each.why for each in PERMISSIONS)


def test_nothing_can_change_what_is_not_its_own() -> None:
    """Secrets are out of reach, and of all namespaces things are read only."""
    assert "secrets" not in {each.resource for each in PERMISSIONS}
    assert {each.verb for each in PERMISSIONS if each.everywhere} == {"list", "watch"}


def test_what_is_missing_is_granted_by_a_role_that_takes_nothing_from_anybody() -> None:
    lacking = [each for each in PERMISSIONS if each.resource == "pods/log"]
    role, binding = granting(lacking, "lab", subject("ada@lab.example"))
    assert role["rules"] == rules(each for each in PERMISSIONS if not each.everywhere), "applied again, it is the same"
    assert role["metadata"] == binding["metadata"] == {"name": "autoresearch-ada-lab-example", "namespace": "lab"}
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"] == [{"kind": "User", "name": "ada@lab.example", "apiGroup": "rbac.authorization.k8s.io"}]


def test_verbs_of_one_resource_share_a_rule_and_the_cluster_has_its_own_role() -> None:
    things = granting(PERMISSIONS, "lab", subject("system:serviceaccount:lab:default"))
    role, _, cluster, binding = things
    assert {tuple(rule["resources"]) for rule in role["rules"]} == {
        ("jobs",),
        ("configmaps",),
        ("pods",),
        ("pods/log",),
        ("events",),
    }
    assert [rule["resources"] for rule in cluster["rules"]] == [["nodes"], ["pods"]]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "default", "namespace": "lab"}]


def test_a_right_reads_as_words() -> None:
    assert str(Permission("list", "pods", "")) == "list pods"
    assert str(Permission("list", "pods", "", everywhere=True)) == "list pods in all namespaces"
    assert str(Permission("list", "nodes", "", everywhere=True)) == "list nodes"


if __name__ == "__main__":
    print(table())

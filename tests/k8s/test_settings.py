"""The `[kubernetes]` table: what it may hold, and what is said of what it may not."""

from __future__ import annotations

import tomllib
from typing import Any

import msgspec
import pytest

from core.errors import SettingsError
from k8s.settings import CLUSTER_SETTINGS, ClusterSettings, Toleration, Volume, checked


def test_an_empty_table_is_all_defaults() -> None:
    assert checked({}) == ClusterSettings()


def test_every_default_is_what_its_own_setting_allows() -> None:
    for row in CLUSTER_SETTINGS.values():
        msgspec.convert(msgspec.to_builtins(row.default), row.hint)
        assert row.comment
        assert row.expects


def test_a_table_of_a_file_is_read() -> None:
    table = tomllib.loads(
        """
        namespace = "research"
        memory = "64Gi"
        ready = { H100 = 3, "A100-40GB MIG 1g.5gb" = 0 }
        tolerations = [{ key = "team", operator = "Exists" }]
        volumes = [{ mount = "/data", claim = "corpus" }]
        template = { spec = { hostIPC = true } }
        start_s = 600
        """
    )
    settings = checked(table)
    assert (settings.namespace, settings.memory, settings.start_s) == ("research", "64Gi", 600.0)
    assert settings.ready == {"H100": 3, "A100-40GB MIG 1g.5gb": 0}
    assert settings.tolerations == (Toleration(key="team", operator="Exists"),)
    assert settings.volumes == (Volume(mount="/data", claim="corpus"),)
    assert settings.template == {"spec": {"hostIPC": True}}


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"nmespace": "x"}, "f.toml: there is no setting 'kubernetes.nmespace'; did you mean kubernetes.namespace?"),
        ({"namespace": "No!"}, "f.toml: kubernetes.namespace must be a Kubernetes name, not 'No!'."),
        ({"read_only_root": 1}, "f.toml: kubernetes.read_only_root must be true or false, not 1."),
        ({"user": 0}, "f.toml: kubernetes.user must be a user's number above 0, not 0."),
        ({"memory": "lots"}, 'f.toml: kubernetes.memory must be a quantity, like "8" or "64Gi", not \'lots\'.'),
        (
            {"volumes": [{"mount": "/data"}]},
            "f.toml: the volume at /data must have one of claim, host_path and config_map.",
        ),
        (
            {"tolerations": [{"kye": "x"}]},
            (
                "f.toml: kubernetes.tolerations must be a list of tables, like "
                "[{ key = \"sku\", operator = \"Exists\" }], not [{'kye': 'x'}]."
            ),
        ),
        (
            {"ready": {"H100": -1}},
            "f.toml: kubernetes.ready must be GPU types with how many, like { H100 = 3 }.",
        ),
    ],
)
def test_a_wrong_value_is_told_in_a_sentence(table: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        checked(table, "f.toml")
    assert str(caught.value) == sentence

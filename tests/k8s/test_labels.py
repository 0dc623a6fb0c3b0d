"""Each platform's labels, and the GPU types that people would name."""

from __future__ import annotations

import pytest
from labelled import GPU, PRODUCT, node

from k8s.labels import Kind, gpu_kinds, whole
from k8s.shapes import Labels


def only(labels: Labels, resources: dict[str, int] | None = None) -> Kind:
    (kind,) = gpu_kinds(node(labels, resources))
    return kind


@pytest.mark.parametrize(
    ("product", "memory", "name"),
    [
        ("NVIDIA-H100-80GB-HBM3", "81559", "H100"),
        ("NVIDIA-H100-PCIe", "81559", "H100-PCIe"),
        ("NVIDIA-A100-SXM4-80GB", "", "A100-80GB"),
        ("NVIDIA-A100-80GB-PCIe", "", "A100-80GB-PCIe"),
        ("NVIDIA-A100-PCIE-40GB", "40536", "A100-40GB-PCIe"),
        ("A100-SXM4-40GB", "40537", "A100-40GB"),
        ("Tesla-V100-SXM2-16GB", "16384", "V100-16GB"),
        ("Tesla-T4", "15360", "T4"),
        ("NVIDIA-A10", "23028", "A10"),
        ("NVIDIA-A10G", "23028", "A10G"),
        ("NVIDIA-L4", "", "L4"),
        ("NVIDIA-L40S", "", "L40S"),
        ("NVIDIA-H200", "", "H200"),
        ("NVIDIA-H200-NVL", "", "H200-NVL"),
        ("NVIDIA-GH200-480GB", "", "GH200"),
        ("NVIDIA-B200", "", "B200"),
        ("NVIDIA-GeForce-RTX-3090", "24576", "RTX 3090"),
        ("NVIDIA-RTX-PRO-6000-Blackwell-Max-Q-Workstation-Edition", "", "RTX PRO 6000 Max-Q"),
    ],
)
def test_nvidia_feature_discovery_names_the_product(product: str, memory: str, name: str) -> None:
    kind = only({PRODUCT: product, "nvidia.com/gpu.memory": memory})
    assert (kind.type, kind.flavour, kind.count, kind.key, kind.value) == (name, "whole", 8, PRODUCT, product)
    assert kind.memory_mb == whole(memory)


@pytest.mark.parametrize(
    ("product", "name"),
    [("NVIDIA-A16-4Q", "A16 vGPU 4Q"), ("GRID-A100-8C", "A100 vGPU 8C"), ("GRID-A100-40C", "A100 vGPU 40C")],
)
def test_a_virtual_gpu_is_not_a_whole_one(product: str, name: str) -> None:
    kind = only({PRODUCT: product, "nvidia.com/gpu.memory": "4096"})
    assert (kind.type, kind.flavour, kind.memory_mb) == (name, "vgpu", 4096)


def test_a_time_sliced_gpu_is_shared_and_counts_as_often_as_it_is_offered() -> None:
    labels = {PRODUCT: "NVIDIA-A10G-SHARED", "nvidia.com/gpu.replicas": "2", "nvidia.com/gpu.count": "1"}
    labels |= {"nvidia.com/gpu.sharing-strategy": "time-slicing", "nvidia.com/gpu.memory": "23028"}
    kind = only(labels, {GPU: 2})
    assert (kind.type, kind.flavour, kind.count) == ("A10G shared", "shared", 2)


def test_time_slicing_that_keeps_the_product_name_is_found_all_the_same() -> None:
    labels = {PRODUCT: "NVIDIA-A10G", "nvidia.com/gpu.replicas": "4", "nvidia.com/gpu.sharing-strategy": "mps"}
    assert only(labels).type == "A10G shared"
    not_shared = {PRODUCT: "NVIDIA-A10G", "nvidia.com/gpu.replicas": "1", "nvidia.com/gpu.sharing-strategy": "none"}
    assert only(not_shared).type == "A10G"


@pytest.mark.parametrize(
    ("product", "count", "name", "memory"),
    [
        ("A100-PCIE-40GB-MIG-1g.5gb", 7, "A100-40GB MIG 1g.5gb", 5120),
        ("NVIDIA-A100-80GB-PCIe-MIG-1g.10gb", 28, "A100-80GB MIG 1g.10gb", 10240),
    ],
)
def test_slices_of_the_single_strategy_are_what_they_are(product: str, count: int, name: str, memory: int) -> None:
    kind = only({PRODUCT: product, "nvidia.com/mig.strategy": "single"}, {GPU: count})
    assert (kind.type, kind.flavour, kind.count, kind.memory_mb) == (name, "mig", count, memory)
    assert kind.resource == GPU


def test_a_shared_slice_says_both() -> None:
    kind = only({PRODUCT: "A100-SXM4-40GB-MIG-1g.5gb-SHARED"}, {GPU: 14})
    assert (kind.type, kind.flavour) == ("A100-40GB MIG 1g.5gb shared", "shared")


def test_broken_mig_offers_nothing() -> None:
    kind = only({PRODUCT: "NVIDIA-A100-SXM4-80GB-MIG-INVALID"})
    assert (kind.type, kind.flavour, kind.count, kind.broken) == ("A100-80GB MIG invalid", "invalid", 0, 8)


def test_slices_of_the_mixed_strategy_are_resources_of_their_own() -> None:
    labels = {PRODUCT: "A100-PCIE-40GB", "nvidia.com/mig-1g.5gb.memory": "4864", "nvidia.com/gpu.count": "8"}
    kinds = gpu_kinds(node(labels, {GPU: 7, "nvidia.com/mig-1g.5gb": 4, "nvidia.com/mig-2g.10gb": 2}))
    assert {(kind.type, kind.resource, kind.count, kind.memory_mb, kind.flavour) for kind in kinds} == {
        ("A100-40GB-PCIe", GPU, 7, 0, "whole"),
        ("A100-40GB MIG 1g.5gb", "nvidia.com/mig-1g.5gb", 4, 4864, "mig"),
        ("A100-40GB MIG 2g.10gb", "nvidia.com/mig-2g.10gb", 2, 10240, "mig"),
    }


def test_the_card_count_of_a_label_is_not_what_pods_can_have() -> None:
    assert only({PRODUCT: "NVIDIA-H100-80GB-HBM3", "nvidia.com/gpu.count": "8"}, {GPU: 3}).count == 3


def test_the_memory_label_decides_between_sizes_that_the_name_leaves_open() -> None:
    assert only({PRODUCT: "NVIDIA-A100", "nvidia.com/gpu.memory": "40536"}).type == "A100-40GB"
    assert only({PRODUCT: "NVIDIA-A100", "nvidia.com/gpu.memory": "81920"}).type == "A100-80GB"


def test_machine_family_and_deploy_labels_decide_nothing() -> None:
    labels = {"nvidia.com/gpu.machine": "NVIDIA-DGX-2H", "nvidia.com/gpu.family": "volta", PRODUCT: "Tesla-T4"}
    assert only(labels | {"nvidia.com/gpu.deploy.nvsm": "", "nvidia.com/gpu.deploy.driver": "true"}).type == "T4"


@pytest.mark.parametrize(
    ("card", "vram", "name"),
    [
        ("H100_NVLINK_80GB", "81", "H100"),
        ("L40S", "46", "L40S"),
        ("A100", "81", "A100-80GB"),
        ("Tesla_V100", "16", "V100-16GB"),
    ],
)
def test_coreweave_is_read_before_the_gke_key_that_its_nodes_carry_too(card: str, vram: str, name: str) -> None:
    labels = {"gpu.nvidia.com/class": card, "gpu.nvidia.com/vram": vram, "gpu.nvidia.com/count": "8"}
    kind = only(labels | {"cloud.google.com/gke-accelerator": card, "node.kubernetes.io/instance-type": "gd-8xh100ib"})
    assert (kind.type, kind.key, kind.value) == (name, "gpu.nvidia.com/class", card)
    assert kind.memory_mb == int(vram) * 1000


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("nvidia-h100-mega-80gb", "H100"),
        ("nvidia-h100-80gb", "H100"),
        ("nvidia-h200-141gb", "H200"),
        ("nvidia-a100-80gb", "A100-80GB"),
        ("nvidia-tesla-a100", "A100-40GB"),
        ("nvidia-l4", "L4"),
        ("nvidia-tesla-t4", "T4"),
        ("nvidia-tesla-k80", "K80"),
        ("nvidia-tesla-p100", "P100"),
    ],
)
def test_gke_names_the_accelerator(value: str, name: str) -> None:
    kind = only({"cloud.google.com/gke-accelerator": value, "cloud.google.com/gke-gpu": "true", GPU: "present"})
    assert (kind.type, kind.key, kind.value) == (name, "cloud.google.com/gke-accelerator", value)


@pytest.mark.parametrize("strategy", ["time-sharing", "TIME_SHARING", "MPS"])
def test_gke_says_elsewhere_that_a_gpu_is_shared(strategy: str) -> None:
    labels = {"cloud.google.com/gke-accelerator": "nvidia-l4", "cloud.google.com/gke-gpu-sharing-strategy": strategy}
    kind = only(labels | {"cloud.google.com/gke-max-shared-clients-per-gpu": "4"}, {GPU: 4})
    assert (kind.type, kind.flavour, kind.count) == ("L4 shared", "shared", 4)


def test_gke_says_elsewhere_that_a_gpu_is_sliced() -> None:
    labels = {"cloud.google.com/gke-accelerator": "nvidia-tesla-a100"}
    kind = only(labels | {"cloud.google.com/gke-gpu-partition-size": "1g.5gb"}, {GPU: 7})
    assert (kind.type, kind.flavour, kind.count) == ("A100-40GB MIG 1g.5gb", "mig", 7)


def test_karpenter_on_aws_names_gpu_and_memory() -> None:
    prefix = "karpenter.k8s.aws/instance-gpu"
    labels = {f"{prefix}-name": "l4", f"{prefix}-manufacturer": "nvidia", f"{prefix}-count": "1"}
    kind = only(labels | {f"{prefix}-memory": "22888", "node.kubernetes.io/instance-type": "g6.xlarge"}, {GPU: 1})
    assert (kind.type, kind.memory_mb, kind.key, kind.value) == ("L4", 22888, f"{prefix}-name", "l4")
    assert only({f"{prefix}-name": "a100", f"{prefix}-memory": "40960"}).type == "A100-40GB"


@pytest.mark.parametrize(("value", "name"), [("t4", "T4"), ("l4", "L4"), ("h200", "H200"), ("b200", "B200")])
def test_eks_auto_mode_names_the_gpu(value: str, name: str) -> None:
    labels = {"eks.amazonaws.com/instance-gpu-name": value, "eks.amazonaws.com/compute-type": "auto"}
    assert only(labels).type == name


@pytest.mark.parametrize(
    ("instance", "name"),
    [("p5.48xlarge", "H100"), ("p5en.48xlarge", "H200"), ("p4d.24xlarge", "A100-40GB"), ("g6.xlarge", "L4")],
)
def test_eks_without_karpenter_says_the_instance_type_alone(instance: str, name: str) -> None:
    kind = only({"node.kubernetes.io/instance-type": instance})
    assert (kind.type, kind.key, kind.value) == (name, "node.kubernetes.io/instance-type", instance)


@pytest.mark.parametrize(
    ("instance", "name"),
    [
        ("Standard_NC4as_T4_v3", "T4"),
        ("Standard_NC6s_v3", "V100-16GB-PCIe"),
        ("Standard_NC24ads_A100_v4", "A100-80GB-PCIe"),
        ("Standard_ND96asr_v4", "A100-40GB"),
        ("Standard_ND96isr_H100_v5", "H100"),
        ("Standard_NC40ads_H100_v5", "H100-NVL"),
        ("Standard_ND96isr_MI300X_v5", "MI300X"),
    ],
)
def test_aks_names_the_vendor_alone_so_the_instance_type_says_the_model(instance: str, name: str) -> None:
    labels = {"accelerator": "nvidia", "kubernetes.azure.com/accelerator": "nvidia"}
    resource = "amd.com/gpu" if name.startswith("MI") else GPU
    assert only(labels | {"node.kubernetes.io/instance-type": instance}, {resource: 8}).type == name


@pytest.mark.parametrize(
    ("card", "instance", "name"),
    [
        ("A100", "Standard_NC24ads_A100_v4", "A100-80GB-PCIe"),
        ("T4", "Standard_NC4as_T4_v3", "T4"),
        ("V100", "Standard_NC6s_v3", "V100-16GB-PCIe"),
        ("V100", "", "V100"),
    ],
)
def test_karpenter_on_azure_names_the_model_and_the_instance_type_its_size(card: str, instance: str, name: str) -> None:
    labels = {"karpenter.azure.com/sku-gpu-name": card, "karpenter.azure.com/sku-gpu-count": "1"}
    kind = only(labels | {"node.kubernetes.io/instance-type": instance})
    assert (kind.type, kind.key, kind.value) == (name, "karpenter.azure.com/sku-gpu-name", card)


@pytest.mark.parametrize(
    ("card", "name"),
    [("P100", "P100"), ("T4", "T4"), ("V100M16", "V100-16GB"), ("V100M32", "V100-32GB"), ("A10", "A10"), ("G3", "G3")],
)
def test_alibaba_names_the_card(card: str, name: str) -> None:
    assert only({"alibabacloud.com/gpu-card-model": card, "alibabacloud.com/gpu-count": "2"}, {GPU: 2}).type == name


def test_amd_names_product_and_memory() -> None:
    labels = {"amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM", "amd.com/gpu.vram": "192G"}
    kind = only(labels | {"amd.com/gpu.cu-count": "304", "amd.com/gpu.family": "AI"}, {"amd.com/gpu": 8})
    assert (kind.type, kind.memory_mb, kind.resource) == ("MI300X", 192 * 1024, "amd.com/gpu")


def test_amds_old_labels_have_their_values_in_the_key() -> None:
    labels = {f"beta.amd.com/gpu.{name}": "1" for name in ("cu-count.64", "vram.16G", "family.AI")}
    kind = only(labels, {"amd.com/gpu": 1})
    assert (kind.type, kind.memory_mb) == ("AMD 16GB 64CU", 16 * 1024)
    assert (kind.key, kind.value) == ("beta.amd.com/gpu.cu-count.64", "1")


def test_a_partitioned_amd_gpu_counts_as_the_plugin_offers_it() -> None:
    assert only({"amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM"}, {"amd.com/gpu": 8}).count == 8


@pytest.mark.parametrize(("value", "name"), [("Max_1550", "Max 1550"), ("Flex_170", "Flex 170")])
def test_intel_names_the_product(value: str, name: str) -> None:
    kind = only({"gpu.intel.com/product": value, "gpu.intel.com/device.count": "2"}, {"gpu.intel.com/i915": 2})
    assert (kind.type, kind.count, kind.resource) == (name, 2, "gpu.intel.com/i915")


def test_akash_has_the_model_in_the_key() -> None:
    prefix = "akash.network/capabilities.gpu.vendor.nvidia.model.rtx1660ti"
    kind = only({prefix: "1", f"{prefix}.ram.6Gi": "1"}, {GPU: 1})
    assert (kind.type, kind.memory_mb, kind.key, kind.value) == ("RTX 1660 Ti", 6144, prefix, "1")


def test_a_node_whose_plugin_is_not_up_has_no_gpus_yet() -> None:
    assert gpu_kinds(node({"gpu": "on"}, {GPU: 0})) == ()


def test_gpus_of_a_model_that_nobody_names_are_told_apart_by_node() -> None:
    kind = only({"gpu": "on"}, {GPU: 1})
    assert (kind.type, kind.key, kind.value) == ("NVIDIA GPU", "kubernetes.io/hostname", "n1")


def test_gpus_handed_to_virtual_machines_are_none_of_ours() -> None:
    resources = {GPU: 0, "nvidia.com/AD102_GEFORCE_RTX_4090": 1, "nvidia.com/AD102_HIGH_DEFINITION_AUDIO_CONTROLLER": 1}
    assert gpu_kinds(node({}, resources)) == ()


def test_gpus_that_the_node_has_and_does_not_offer_are_broken() -> None:
    (kind,) = gpu_kinds(node({PRODUCT: "NVIDIA-L4"}, {GPU: 7}, capacity={GPU: 8}))
    assert (kind.count, kind.broken) == (7, 1)


@pytest.mark.parametrize(("text", "number"), [("8", 8), ("1k", 1000), ("2000m", 2), ("1e1", 10), ("", 0), ("x", 0)])
def test_quantities_are_whole_numbers(text: str, number: int) -> None:
    assert whole(text) == number

"""The files of `deploy/kubernetes`: by the schemas of Kubernetes, and for what they promise."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.settings import SECRET_FILES
from gateway.settings_variables import from_mapping
from tests.deploy.compose import DEPLOY, ROLES, of_image, read

FOLDER = DEPLOY / "kubernetes"
KUSTOMIZATION = read(FOLDER / "kustomization.yaml")
RELEASES = ("1.30", "1.37")
"""The oldest that knows all that is asked for, and the newest that the schemas are of."""
STOPPING_S = 40
"""What a node may take beside its drain, by docs/operations.md."""
MOUNT = "/run/secrets/caller"


def documents() -> Iterator[dict[str, Any]]:
    for name in KUSTOMIZATION["resources"]:
        yield from yaml.safe_load_all((FOLDER / name).read_text())


OBJECTS = {(each["kind"], each["metadata"]["name"]): each for each in documents()}
SETS = {name: each for (_, name), each in OBJECTS.items() if "template" in each.get("spec", {})}
"""What starts pods, by the role of these."""


def pod(role: str) -> dict[str, Any]:
    return SETS[role]["spec"]["template"]["spec"]


def container(role: str) -> dict[str, Any]:
    (only,) = pod(role)["containers"]
    return only


def environment(role: str) -> dict[str, str]:
    """Return what the image, the generated map and the pod say, of the first pod."""
    (generated,) = KUSTOMIZATION["configMapGenerator"]
    assert container(role)["envFrom"] == [{"configMapRef": {"name": generated["name"]}}]
    own = {}
    for each in container(role).get("env", []):
        assert each["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}
        own[each["name"]] = f"{role}-0"
    return {**of_image(), **dict(line.split("=", 1) for line in generated["literals"]), **own}


@pytest.mark.parametrize("release", RELEASES)
def test_kubernetes_understands_every_object(release: str) -> None:
    validator = pytest.importorskip("kubernetes_validate")
    assert len(OBJECTS) == len(list(documents())) > 10
    for each in OBJECTS.values():
        validator.validate(each, release, strict=True)
    broken = OBJECTS["StatefulSet", "media"] | {"spec": {"replica": 2}}
    with pytest.raises(validator.ValidationError):
        validator.validate(broken, release, strict=True)


def test_every_file_takes_part() -> None:
    assert {*KUSTOMIZATION["resources"], "kustomization.yaml"} == {
        file.name for file in FOLDER.iterdir()
    }
    (image,) = KUSTOMIZATION["images"]
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", image["digest"])
    assert set(image) == {"name", "newName", "digest"}
    assert {container(role)["image"] for role in SETS} == {image["name"]}


@pytest.mark.parametrize("role", ["web", "media", "worker"])
def test_no_pod_has_a_privilege(role: str) -> None:
    """What the standard `restricted` of Kubernetes asks for, and more."""
    spec = pod(role)
    assert spec["enableServiceLinks"] is False
    assert spec["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(spec)
    context = spec["securityContext"]
    uid = int(re.search(r"^USER (\d+)", (DEPLOY.parent / "Dockerfile").read_text(), re.M)[1])
    assert context["runAsNonRoot"] is True
    assert context["runAsUser"] == context["runAsGroup"] == context["fsGroup"] == uid
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(role)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    # Bounded in memory and on the disk; not in CPU, which would hold audio up.
    assert set(container(role)["resources"]["limits"]) == {"memory"}
    for volume in spec["volumes"]:
        assert "hostPath" not in volume
        assert "emptyDir" not in volume or volume["emptyDir"]["sizeLimit"]
    assert OBJECTS["ServiceAccount", spec["serviceAccountName"]]


@pytest.mark.parametrize("role", ["web", "media", "worker"])
def test_the_settings_are_read_and_its_secrets_are_files(role: str) -> None:
    environ = environment(role)
    named = {environ.pop(each) for each in SECRET_FILES.values() if each in environ}
    assert not set(environ) & set(SECRET_FILES)
    settings = from_mapping(environ)
    assert container(role)["args"] == ["serve", "--role", role]
    mounts = {each["name"]: each for each in container(role)["volumeMounts"]}
    assert mounts["secrets"]["readOnly"] is True
    assert mounts["secrets"]["mountPath"] == MOUNT
    (volume,) = (each["secret"] for each in pod(role)["volumes"] if each["name"] == "secrets")
    assert named == {f"{MOUNT}/{each['path']}" for each in volume["items"]}
    # The script makes them for both.
    assert {each["key"] for each in volume["items"]} <= set(read(ROLES)["secrets"])
    assert volume["defaultMode"] == 0o440
    # A folder that the process makes, since the volume itself belongs to root.
    assert settings.data_dir.parent == Path(mounts["data"]["mountPath"])


@pytest.mark.parametrize("role", ["web", "media", "worker"])
def test_no_address_is_believed_until_the_operator_names_the_proxy(role: str) -> None:
    environ = environment(role)
    assert "CALLER_TRUSTED_PROXIES" in environ
    named = {k: v for k, v in environ.items() if k not in SECRET_FILES.values()}
    assert not from_mapping(named).trusted_proxies


def test_calls_may_end_by_themselves_before_a_pod_is_killed() -> None:
    settings = from_mapping(
        {k: v for k, v in environment("media").items() if k not in SECRET_FILES.values()}
    )
    grace_s = pod("media")["terminationGracePeriodSeconds"]
    assert grace_s > settings.drain_timeout_s + STOPPING_S
    # Of pods that are moved, one at a time.
    for role in ("web", "media"):
        budget = OBJECTS["PodDisruptionBudget", role]["spec"]
        assert budget["maxUnavailable"] == 1 < SETS[role]["spec"]["replicas"]
        assert budget["selector"] == SETS[role]["spec"]["selector"]


@pytest.mark.parametrize("role", ["web", "media"])
def test_pods_that_listen_are_asked_whether_they_live_and_nodes_whether_they_take_calls(
    role: str,
) -> None:
    asked = {
        probe: container(role)[f"{probe}Probe"]["httpGet"]["path"]
        for probe in ("startup", "liveness", "readiness")
    }
    # While Valkey is away nobody is ready. Pages answer all the same, as behind the other proxies;
    # calls are led to nodes by the fleet itself.
    readiness = {"web": "/healthz", "media": "/readyz"}[role]
    assert asked == {"startup": "/healthz", "liveness": "/healthz", "readiness": readiness}
    (port,) = container(role)["ports"]
    assert port["containerPort"] == int(of_image()["CALLER_PORT"])
    # What it has kept outlives it: who was erased, above all.
    (claim,) = SETS[role]["spec"]["volumeClaimTemplates"]
    assert claim["metadata"]["name"] == "data"


def test_each_node_is_reached_below_its_name_also_while_it_drains() -> None:
    (rule,) = OBJECTS["Ingress", "caller"]["spec"]["rules"]
    paths = {each["path"]: each["backend"]["service"]["name"] for each in rule["http"]["paths"]}
    replicas = SETS["media"]["spec"]["replicas"]
    assert paths == {"/": "web"} | {f"/n/media-{n}/media/": f"media-{n}" for n in range(replicas)}
    for n in range(replicas):
        service = OBJECTS["Service", f"media-{n}"]["spec"]
        assert service["selector"] == {"statefulset.kubernetes.io/pod-name": f"media-{n}"}
        # One that takes no new calls is not ready, and holds its calls still.
        assert service["publishNotReadyAddresses"] is True
    assert environment("media")["CALLER_NODE"] == "media-0"
    assert OBJECTS["Service", SETS["media"]["spec"]["serviceName"]]["spec"]["clusterIP"] == "None"
    assert rule["host"] == from_mapping(
        {"CALLER_PUBLIC_ORIGIN": environment("web")["CALLER_PUBLIC_ORIGIN"]}
    ).origin.removeprefix("https://")


def test_a_callback_that_a_pod_dies_over_goes_to_another_in_time() -> None:
    callbacks, media = OBJECTS["Ingress", "caller-callbacks"], OBJECTS["Ingress", "caller"]
    told = {
        name.rpartition("/")[2]: value
        for name, value in callbacks["metadata"]["annotations"].items()
    }
    # As nginx.conf has it, which is tested with nodes that hang and die.
    text = (DEPLOY / "nginx.conf").read_text()
    repeated = text.partition("# The carrier's callbacks")[2].partition("}\n")[0]
    for name in ("proxy-connect-timeout", "proxy-read-timeout", "proxy-next-upstream"):
        number_or_words = told[name] if " " in told[name] else f"{told[name]}s"
        assert f"{name.replace('-', '_')} {number_or_words};" in repeated
    (rule,), (other,) = callbacks["spec"]["rules"], media["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    assert (path["path"], path["backend"]["service"]["name"]) == ("/n/", "web")
    assert SETS["web"]["spec"]["replicas"] > 1
    # The same site: a media socket's path is longer, and wins.
    assert rule["host"] == other["host"]
    assert callbacks["spec"]["tls"] == media["spec"]["tls"]


def test_every_selector_finds_its_pods() -> None:
    labels = {role: each["spec"]["template"]["metadata"]["labels"] for role, each in SETS.items()}
    for role, each in SETS.items():
        assert each["spec"]["selector"]["matchLabels"] == labels[role]
    for role in ("web", "media"):
        assert OBJECTS["Service", role]["spec"]["selector"] == labels[role]
    policies = [each["spec"] for (kind, _), each in OBJECTS.items() if kind == "NetworkPolicy"]
    # All are shut, and those that listen are opened to the proxy alone.
    assert next(each for each in policies if not each["podSelector"])["ingress"] == []
    (opened,) = (each for each in policies if each["podSelector"])
    (chosen,) = opened["podSelector"]["matchExpressions"]
    assert sorted(chosen["values"]) == sorted(
        next(iter(labels[role].values())) for role in ("web", "media")
    )
    assert [list(each) for each in opened["ingress"][0]["from"]] == [["namespaceSelector"]]

"""The rules of Kubernetes' Pod Security Standard `restricted`, and a few of our own."""

import re
from collections.abc import Iterator

from .manifests import Object

PINNED = re.compile(r"[\w./-]+(:\d[\w.-]*\d[\w.-]*|:RELEASE\.[\dTZ-]+|:v\d+\.\d+\.\d+|@sha256:[0-9a-f]{64})")
"""An image with a whole version or a digest."""


def faults(spec: Object) -> Iterator[str]:
    """Yield what is wrong with a pod."""
    of_pod = spec.get("securityContext", {})
    if of_pod.get("runAsNonRoot") is not True or not of_pod.get("runAsUser"):
        yield "runs as root, or as a user without a number"
    if of_pod.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield "no seccomp profile"
    if spec.get("automountServiceAccountToken") is not False:
        yield "has a token of the cluster"
    if spec.get("hostNetwork") or spec.get("hostPID") or spec.get("hostIPC"):
        yield "shares namespaces with its node"
    for volume in spec.get("volumes", []):
        if not set(volume) & {"configMap", "secret", "projected", "emptyDir", "persistentVolumeClaim"}:
            yield f"volume {volume['name']} is of a kind that is not allowed"
    for container in spec["containers"]:
        yield from (f"{container['name']}: {fault}" for fault in _container_faults(container))


def _container_faults(container: Object) -> Iterator[str]:
    context = container.get("securityContext", {})
    if context.get("allowPrivilegeEscalation") is not False:
        yield "may gain rights"
    if context.get("readOnlyRootFilesystem") is not True:
        yield "can write its own files"
    if context.get("capabilities") != {"drop": ["ALL"]}:
        yield "has capabilities"
    if "memory" not in container.get("resources", {}).get("limits", {}):
        yield "has no limit of memory"
    if not {"cpu", "memory"} <= set(container["resources"].get("requests", {})):
        yield "asks for no CPU or memory"
    if not PINNED.fullmatch(container["image"]):
        yield f"image {container['image']} is not pinned"

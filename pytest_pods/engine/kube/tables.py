"""Fields of Kubernetes that are known and mean nothing here, by the object that has them.

What is in IGNORED concerns a cluster and is passed over; what is in WITHOUT_EFFECT would change what a pod does, and is
told as a warning. Everything else that is not read is a mistake.
"""

from __future__ import annotations

from collections.abc import Mapping


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


IGNORED: Mapping[str, frozenset[str]] = {
    "document": _names("apiVersion kind status"),
    "metadata": _names(
        "annotations namespace creationTimestamp uid resourceVersion generation generateName ownerReferences finalizers"
        " managedFields selfLink deletionTimestamp deletionGracePeriodSeconds"
    ),
    "deployment": _names(
        "selector strategy minReadySeconds revisionHistoryLimit progressDeadlineSeconds paused"
    ),
    "pod": _names(
        "serviceAccountName serviceAccount automountServiceAccountToken nodeSelector nodeName tolerations affinity"
        " topologySpreadConstraints priority priorityClassName preemptionPolicy schedulerName schedulingGates overhead"
        " enableServiceLinks imagePullSecrets readinessGates runtimeClassName subdomain setHostnameAsFQDN os"
        " hostUsers resourceClaims"
    ),
    "container": _names("terminationMessagePath terminationMessagePolicy stdinOnce resizePolicy"),
    "pod security": _names("runAsNonRoot fsGroupChangePolicy windowsOptions supplementalGroupsPolicy"),
    "container security": _names("runAsNonRoot procMount windowsOptions"),
    "resources": _names("requests claims"),
    "port": _names("name"),
    "mount": _names("recursiveReadOnly"),
    "volume claim": _names("readOnly"),
    "claim": _names(
        "accessModes resources storageClassName volumeMode volumeName selector dataSource dataSourceRef"
        " volumeAttributesClassName"
    ),
    "bag": _names("immutable type"),
}

WITHOUT_EFFECT: Mapping[str, Mapping[str, str]] = {
    "pod": {
        "activeDeadlineSeconds": "has no effect: a pod lives as long as its test",
        "ephemeralContainers": "has no effect: those are made by hand in a running pod",
    },
    "container": {"lifecycle": "has no effect: nothing is executed after the start or before the stop"},
    "pod security": {
        "fsGroup": "has no effect: volumes keep the owners of their files",
        "supplementalGroups": "has no effect: a container gets the groups that its image says",
        "sysctls": "has no effect: kernel parameters are not set",
        "seLinuxOptions": "has no effect here",
        "seLinuxChangePolicy": "has no effect here",
        "appArmorProfile": "has no effect here",
    },
    "container security": {"seLinuxOptions": "has no effect here", "appArmorProfile": "has no effect here"},
}

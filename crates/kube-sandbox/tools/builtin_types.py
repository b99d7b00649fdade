#!/usr/bin/env python3
"""Writes src/builtin/types.txt: names, numbers and merge rules of built-in types.

    builtin_types.py v0.35.3 API APIMACHINERY APIEXTENSIONS > src/builtin/types.txt

Arguments are a tag and checkouts (or bare clones) of k8s.io/api, k8s.io/apimachinery and k8s.io/apiextensions-apiserver. Only
facts are taken from their Go declarations: JSON names, protobuf numbers, types, list types and merge keys.
"""
import re
import subprocess
import sys

TAG, API, MACHINERY, EXTENSIONS = sys.argv[1:5]
# short name -> (repository, file, roots)
PACKAGES = {
    "meta": (MACHINERY, "pkg/apis/meta/v1/types.go", ["ObjectMeta", "DeleteOptions"]),
    "core": (API, "core/v1/types.go", [
        "Binding", "ConfigMap", "Endpoints", "Event", "LimitRange", "Namespace", "Node", "PersistentVolumeClaim",
        "PersistentVolume", "Pod", "PodTemplate", "ReplicationController", "ResourceQuota", "Secret",
        "ServiceAccount", "Service"]),
    "apps": (API, "apps/v1/types.go", [
        "ControllerRevision", "DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"]),
    "batch": (API, "batch/v1/types.go", ["CronJob", "Job"]),
    "rbac": (API, "rbac/v1/types.go", ["ClusterRoleBinding", "ClusterRole", "RoleBinding", "Role"]),
    "coordination": (API, "coordination/v1/types.go", ["Lease"]),
    "networking": (API, "networking/v1/types.go", ["IngressClass", "Ingress", "NetworkPolicy"]),
    "policy": (API, "policy/v1/types.go", ["PodDisruptionBudget"]),
    "autoscaling1": (API, "autoscaling/v1/types.go", ["Scale"]),
    "autoscaling": (API, "autoscaling/v2/types.go", ["HorizontalPodAutoscaler"]),
    "discovery": (API, "discovery/v1/types.go", ["EndpointSlice"]),
    "scheduling": (API, "scheduling/v1/types.go", ["PriorityClass"]),
    "storage": (API, "storage/v1/types.go", ["CSIDriver", "CSINode", "StorageClass", "VolumeAttachment"]),
    "admissionregistration": (API, "admissionregistration/v1/types.go", [
        "MutatingWebhookConfiguration", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration"]),
    "authentication": (API, "authentication/v1/types.go", ["TokenReview", "TokenRequest", "SelfSubjectReview"]),
    "authorization": (API, "authorization/v1/types.go", [
        "SubjectAccessReview", "SelfSubjectAccessReview", "LocalSubjectAccessReview", "SelfSubjectRulesReview"]),
    "apiextensions": (EXTENSIONS, "pkg/apis/apiextensions/v1/types.go", ["CustomResourceDefinition"]),
    "apiextensions_schema": (EXTENSIONS, "pkg/apis/apiextensions/v1/types_jsonschema.go", []),
}
IMPORTS = {"metav1": "meta", "v1": "core", "corev1": "core", "api": "core", "authenticationv1": "authentication",
           "autoscalingv1": "autoscaling1"}
SCALARS = {"string": "string", "bool": "bool", "int32": "int32", "int64": "int64", "int": "int64", "uint32": "int64",
           "float64": "double", "[]byte": "bytes", "types.UID": "string", "types.NodeName": "string"}
SPECIAL = {"metav1.Time": "time", "meta.Time": "time", "metav1.MicroTime": "microtime", "meta.MicroTime": "microtime",
           "resource.Quantity": "quantity", "intstr.IntOrString": "intorstring", "runtime.RawExtension": "raw",
           "meta.FieldsV1": "fields", "metav1.FieldsV1": "fields",
           "apiextensions.JSONSchemaProps": "schema", "apiextensions.JSON": "json", "meta.Verbs": "list string"}


def source(repository, path):
    return subprocess.run(["git", "-C", repository, "show", f"{TAG}:{path}"], check=True, capture_output=True,
                          text=True).stdout


def declarations(text):
    """Type name -> ('alias', type) or ('struct', [(markers, name, type, tag)], markers)."""
    found, markers, lines = {}, [], text.splitlines()
    index = 0
    while index < len(lines):
        line = lines[index].strip()
        index += 1
        if line.startswith("//"):
            if line.startswith("// +"):
                markers.append(line[4:])
            continue
        struct = re.match(r"type (\w+) struct ?\{(\})?$", line)
        alias = re.match(r"type (\w+) ([\w.\[\]*]+)$", line)
        if struct:
            fields, field_markers = [], []
            while not struct.group(2):
                inner = lines[index].strip()
                index += 1
                if inner == "}":
                    break
                if inner.startswith("//"):
                    if inner.startswith("// +"):
                        field_markers.append(inner[4:])
                    continue
                field = re.match(r"(?:(\w+)\s+)?([\w.\[\]*]+)\s*(?:`(.*)`)?(?:\s*//.*)?$", inner)
                if field:
                    fields.append((field_markers, field.group(1), field.group(2), field.group(3) or ""))
                    field_markers = []
                elif not inner:
                    continue
            found[struct.group(1)] = ("struct", fields, markers)
        elif alias:
            found[alias.group(1)] = ("alias", alias.group(2))
        if line:
            markers = []
    return found


TYPES = {name: declarations(source(repository, path)) for name, (repository, path, _) in PACKAGES.items()}
TYPES["apiextensions"].update(TYPES.pop("apiextensions_schema"))
DONE, QUEUE = {}, []


def resolve(package, text):
    """Go type -> table type."""
    if text in SCALARS:
        return SCALARS[text]
    if text.startswith("*"):
        return resolve(package, text[1:])
    if text.startswith("[]"):
        item = resolve(package, text[2:])
        return item and "list " + item
    if text.startswith("map["):
        return "map " + resolve(package, text[text.index("]") + 1:])
    if text in SPECIAL:
        return SPECIAL[text]
    prefix, _, name = text.rpartition(".")
    if prefix and prefix not in IMPORTS:
        return None  # an alpha field of a group that isn't served
    home = IMPORTS.get(prefix, package)
    qualified = f"{home}.{name}"
    if qualified in SPECIAL:
        return SPECIAL[qualified]
    declared = TYPES[home].get(name)
    if declared is None:
        raise SystemExit(f"unknown type {text} in {package}")
    if declared[0] == "alias":
        return resolve(home, declared[1])
    if qualified not in DONE:
        DONE[qualified] = None
        QUEUE.append((home, name))
    return qualified


def marker(markers, name):
    return [item.split("=", 1)[1].strip('"') for item in markers if item.startswith(name + "=")]


def emit(package, name):
    _, fields, markers = TYPES[package][name]
    lines = []
    for field_markers, _, kind, tag in fields:
        json = re.search(r'json:"([^"]*)"', tag)
        number = re.search(r'protobuf:"\w+,(\d+),', tag)
        if not number:
            continue
        options = (json.group(1) if json else "").split(",")
        key = options[0] or "-"
        table_type = resolve(package, kind)
        if table_type is None:
            continue
        flags = []
        if kind.startswith("*"):
            flags.append("ptr")
        if marker(field_markers, "listType") == ["map"]:
            keys = marker(field_markers, "listMapKey")
            flags.append("by:" + ",".join(keys))
        elif marker(field_markers, "listType") == ["set"]:
            flags.append("set")
        elif "atomic" in marker(field_markers, "structType") + marker(field_markers, "mapType"):
            flags.append("atomic")
        elif 'patchMergeKey:"' in tag:
            flags.append("by:" + re.search(r'patchMergeKey:"(\w+)"', tag).group(1))
        elif 'patchStrategy:"merge' in tag and table_type.startswith("list string"):
            flags.append("set")
        default = [item for item in marker(field_markers, "default") if re.fullmatch(r"\w+", item)]
        if default:
            flags.append("default:" + default[0])
        lines.append(" ".join([" " + key, number.group(1), table_type.replace(" ", ":"), *flags]))
    atomic = " atomic" if "atomic" in marker(markers, "structType") + marker(markers, "mapType") else ""
    DONE[f"{package}.{name}"] = [f"{package}.{name}{atomic}", *lines]


for package, (_, _, roots) in PACKAGES.items():
    for root in roots:
        resolve(package, root)
    while QUEUE:
        emit(*QUEUE.pop(0))
# Schemas are one value to everybody but the protobuf decoder.
QUEUE.append(("apiextensions", "JSONSchemaProps"))
while QUEUE:
    emit(*QUEUE.pop(0))
print("# Built-in types: JSON name, protobuf number, type, flags. Written by tools/builtin_types.py.")
for name in sorted(DONE):
    print("\n".join(DONE[name]))

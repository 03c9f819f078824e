"""Models and versions as documents and on a terminal, and what differs between two versions."""

import difflib
import json
from typing import Any

from rich.console import Console
from rich.markup import escape

from upriver.errors import UpriverError
from upriver.listing import MANIFEST
from upriver.v1 import blob_pb2
from upriver.v1 import registry_pb2 as pb
from upriver_control.cli.connection import Connection

_BLOBS = blob_pb2.DESCRIPTOR.services_by_name["BlobService"]
_TIMEOUT_S = 30.0


def model_document(model: pb.Model) -> dict[str, Any]:
    """A model as plain values."""
    return {
        "name": model.name,
        "description": model.description,
        "create_time": model.create_time.ToJsonString(),
        "aliases": dict(model.aliases),
    }


def version_document(version: pb.Version) -> dict[str, Any]:
    """A version as plain values."""
    validation, lineage, requirements = version.validation, version.lineage, version.requirements
    return {
        "name": version.name,
        "digest": version.digest,
        "create_time": version.create_time.ToJsonString(),
        "aliases": list(version.aliases),
        "files": {file.name: {"digest": file.digest, "size_bytes": file.size_bytes} for file in version.files},
        "lineage": {
            "parent": lineage.parent,
            "training_data": lineage.training_data,
            "metrics": dict(lineage.metrics),
            "conversion": lineage.conversion,
        },
        "requirements": {
            "memory_bytes": requirements.memory_bytes,
            "min_runtime": requirements.min_runtime,
            "operators": list(requirements.operators),
        },
        "validation": {
            "runtime": validation.runtime,
            "invoke_ms": validation.invoke_ms,
            "golden_rows": validation.golden_rows,
            "task": validation.task,
            "policy": _policy(version),
        },
    }


def print_version(version: pb.Version, console: Console) -> None:
    """Prints a version for people."""
    validation, lineage, requirements = version.validation, version.lineage, version.requirements
    aliases = "".join(f"  @{alias}" for alias in version.aliases)
    rows = [
        ("version", f"{version.name}{aliases}"),
        ("digest", version.digest),
        *(("file", f"{file.name}  {file.size_bytes:,} bytes  {file.digest}") for file in version.files),
        ("task", f"{validation.task}, {_told(_policy(version))}"),
        (
            "tried",
            f"{validation.invoke_ms:.3f} ms a row on {validation.runtime}; golden rows: {validation.golden_rows}",
        ),
        ("needs", f"{requirements.memory_bytes:,} bytes of memory, runtime {requirements.min_runtime or 'of any age'}"),
        ("operators", ", ".join(requirements.operators)),
        ("parent", lineage.parent),
        ("training", lineage.training_data),
        ("metrics", ", ".join(f"{name} {value:g}" for name, value in sorted(lineage.metrics.items()))),
        ("converted", lineage.conversion),
    ]
    for what, told in rows:
        if told:
            console.print(f"{what:10}{escape(told)}", soft_wrap=True, highlight=False)


def differences(connection: Connection, old: pb.Version, new: pb.Version) -> dict[str, Any]:
    """What differs, as {what: [before, after]}, and the manifests' difference in lines.

    The manifests are fetched from the control plane; where that can't be done, `manifest` says why.
    """
    facts_old, facts_new = _facts(old), _facts(new)
    changed = {
        what: [facts_old.get(what, "-"), facts_new.get(what, "-")]
        for what in dict.fromkeys((*facts_old, *facts_new))
        if facts_old.get(what) != facts_new.get(what)
    }
    return {"old": old.name, "new": new.name, "changed": changed, "manifest": _manifests(connection, old, new)}


def _facts(version: pb.Version) -> dict[str, Any]:
    """What is compared, in the order in which it is shown."""
    lineage, requirements = version.lineage, version.requirements
    facts: dict[str, Any] = {"digest": version.digest}
    for file in version.files:
        facts[file.name] = file.digest
        facts[f"{file.name} bytes"] = file.size_bytes
    facts |= {"memory bytes": requirements.memory_bytes, "min runtime": requirements.min_runtime}
    facts |= {f"operator {name}": "yes" for name in requirements.operators}
    facts |= {"task": version.validation.task, "golden rows": version.validation.golden_rows}
    facts |= {f"policy {key}": value for key, value in _policy(version).items()}
    facts |= {"parent": lineage.parent, "training data": lineage.training_data, "conversion": lineage.conversion}
    facts |= {f"metric {name}": value for name, value in sorted(lineage.metrics.items())}
    return facts


def _policy(version: pb.Version) -> dict[str, Any]:
    """The policy's fields; the digest in it is the version's own."""
    policy: dict[str, Any] = json.loads(version.validation.policy_document)
    policy.pop("version_digest", None)
    return policy


def _told(policy: dict[str, Any]) -> str:
    return f"answers here at {policy.get('score')} >= {policy.get('threshold')}"


def _manifests(connection: Connection, old: pb.Version, new: pb.Version) -> list[str]:
    digests = [next((file.digest for file in version.files if file.name == MANIFEST), "") for version in (old, new)]
    if digests[0] == digests[1]:
        return []
    try:
        before, after = (_text(connection, digest).splitlines() for digest in digests)
    except UpriverError as error:
        return [f"the manifests differ; they can't be fetched: {error}"]
    return list(difflib.unified_diff(before, after, old.name, new.name, lineterm="", n=0))


def _text(connection: Connection, digest: str) -> str:
    request = blob_pb2.FetchRequest(digest=digest)
    data = b"".join(part.data for part in connection.stream(_BLOBS, "Fetch", request, _TIMEOUT_S))
    return data.decode("utf-8", "replace")

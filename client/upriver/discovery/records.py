"""Agent records as Consul service registrations and back. Pure.

Consul bounds metadata: 64 pairs, keys of letters, digits, `-` and `_`, values of 512 characters. Models go one to a key
(`model-0`, `model-1`, ...) as `name version digest`, at most MAX_MODELS of them.
"""

from collections.abc import Mapping
from typing import Any

from upriver.discovery.port import AgentRecord, ServedModel
from upriver.errors import UpriverError

MAX_MODELS = 48
MAX_VALUE = 512
_MODEL_KEY = "model-"


class EntryInvalid(UpriverError):
    """A registry entry that does not describe an agent."""

    reason = "ENTRY_INVALID"


def ttl_check_id(agent: str) -> str:
    """The id of an agent's TTL check."""
    return f"{agent}-ttl"


def to_registration(record: AgentRecord, service: str, ttl_s: float, grpc_check: bool) -> dict[str, Any]:
    """The body of Consul's service registration; the TTL check starts as passing."""
    host, port = split_address(record.address)
    checks: list[dict[str, Any]] = [
        {
            "CheckID": ttl_check_id(record.agent),
            "Name": "the agent says that it serves",
            "TTL": f"{round(ttl_s * 1000)}ms",
            "Status": "passing",
            "DeregisterCriticalServiceAfter": f"{max(60, round(ttl_s * 10))}s",
        }
    ]
    if grpc_check:
        checks.append(
            {
                "CheckID": f"{record.agent}-grpc",
                "Name": "gRPC health",
                "GRPC": record.address,
                "GRPCUseTLS": record.tls,
                "Interval": "10s",
                "Timeout": "3s",
                "Status": "passing",
            }
        )
    return {
        "Name": service,
        "ID": record.agent,
        "Address": host,
        "Port": port,
        "Tags": [record.tier, record.region],
        "Meta": _meta(record),
        "Checks": checks,
    }


def from_entry(entry: Mapping[str, Any]) -> AgentRecord:
    """Reads one entry of Consul's health endpoint; raises EntryInvalid for what is no agent's."""
    try:
        service = entry["Service"]
        meta = service["Meta"]
        host = service["Address"] or entry["Node"]["Address"]
        port, agent = service["Port"], meta["agent"]
        statuses = [check["Status"] for check in entry["Checks"]]
        protocol, load = int(meta["protocol"]), float(meta["load"])
        texts = (host, agent, meta["tier"], meta["region"])
        models = dict(_model(value) for key, value in meta.items() if key.startswith(_MODEL_KEY))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise EntryInvalid(f"not an agent's entry: {type(error).__name__}: {error}") from error
    if not all(isinstance(text, str) and text for text in texts) or not isinstance(port, int) or not 0 < port < 65536:
        raise EntryInvalid(f"not an agent's entry: address {host!r}:{port!r}, agent {agent!r}")
    return AgentRecord(
        agent=agent,
        tier=meta["tier"],
        region=meta["region"],
        address=f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        protocol=protocol,
        models=models,
        load=load,
        healthy=all(status == "passing" for status in statuses),
        tls=meta.get("tls") == "1",
    )


def split_address(address: str) -> tuple[str, int]:
    """Splits host:port; the brackets of an IPv6 address fall away."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _meta(record: AgentRecord) -> dict[str, str]:
    meta = {
        "agent": record.agent,
        "tier": record.tier,
        "region": record.region,
        "protocol": str(record.protocol),
        "load": f"{record.load:.2f}",
        "tls": "1" if record.tls else "0",
    }
    for index, (name, served) in enumerate(sorted(record.models.items())[:MAX_MODELS]):
        meta[f"{_MODEL_KEY}{index}"] = f"{name} {served.version} {served.digest}"[:MAX_VALUE]
    return meta


def _model(value: str) -> tuple[str, ServedModel]:
    name, version, digest = value.split(" ")
    return name, ServedModel(version, digest)

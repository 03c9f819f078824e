"""The public grpcio server: every service of an agent on one port."""

from __future__ import annotations  # grpc's classes are generic in its stubs only

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from upriver import parameters as names
from upriver.errors import ConfigError
from upriver.oip.v2 import inference_pb2 as pb
from upriver_agent.tickets.waiting import MAX_WAITING
from upriver_agent.transport import reflection
from upriver_agent.transport.catalogue import CatalogueServicer, told
from upriver_agent.transport.executor import ServingExecutor
from upriver_agent.transport.inference import InferenceServicer

RUNNABLE_THREADS = 2
"""Serving threads that may run at once; see executor.py for what more of them cost."""
_RESERVED_RPCS = 16 + MAX_WAITING
"""Calls beyond twice the requests' bound, so that health checks get through a full agent, whoever waits for tickets.
Twice: whom to refuse is for admission to say, which is fair to callers, and gRPC's own bound is not."""


@dataclass(frozen=True, slots=True)
class ServerTls:
    """Files in PEM form; `client_ca` turns on mutual TLS."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


def make_executor(max_inflight: int) -> ServingExecutor:
    """Makes the serving threads for `max_inflight` requests that may wait at once."""
    return ServingExecutor(RUNNABLE_THREADS, max_inflight + _RESERVED_RPCS + RUNNABLE_THREADS)


class GrpcServer:
    """An agent's gRPC server."""

    def __init__(
        self,
        inference: InferenceServicer,
        catalogue: CatalogueServicer,
        executor: ServingExecutor,
        max_inflight: int,
        max_message_bytes: int,
        extra_services: Sequence[Any] = (),
    ) -> None:
        """`extra_services` are generic handlers of services besides inference."""
        self._executor = executor
        self._server = grpc.server(
            executor,  # type: ignore[arg-type]  # any Executor does; the stubs ask for the one of the standard library
            maximum_concurrent_rpcs=2 * max_inflight + _RESERVED_RPCS,
            options=[
                ("grpc.max_receive_message_length", max_message_bytes),
                ("grpc.max_send_message_length", max_message_bytes),
                ("grpc.so_reuseport", 0),
                ("grpc.http2.max_ping_strikes", 0),
            ],
        )
        handlers = _handlers(inference, catalogue)
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(names.SERVICE, handlers), *extra_services)
        )
        self._health = health.HealthServicer(experimental_non_blocking=True)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable(self._server)

    def bind(self, address: str, tls: ServerTls | None) -> int:
        """Binds and gives the port; raises ConfigError naming the address when it can't."""
        try:
            if tls is None:
                return int(self._server.add_insecure_port(address))
            return int(self._server.add_secure_port(address, _credentials(tls)))
        except RuntimeError as error:
            raise ConfigError(
                "can't serve", [f"agent.listen = {address!r}: {error}; expected a free port on an address of this host"]
            ) from error

    def start(self) -> None:
        """Starts to answer."""
        self._server.start()

    def set_health(self, service: str, serving: bool) -> None:
        """Tells health checks of a service ("" is the agent as a whole, else a model's name)."""
        status = health_pb2.HealthCheckResponse
        self._health.set(service, status.SERVING if serving else status.NOT_SERVING)

    def stop(self, grace_s: float) -> None:
        """Takes no new calls, gives those inside `grace_s` to finish, then ends."""
        self._server.stop(grace_s).wait(grace_s + 1.0)
        self._executor.shutdown()


def _credentials(tls: ServerTls) -> grpc.ServerCredentials:
    pair = (_read("tls.key", tls.key), _read("tls.certificate", tls.certificate))
    client_ca = _read("tls.client_ca", tls.client_ca) if tls.client_ca else None
    return grpc.ssl_server_credentials([pair], client_ca, require_client_auth=client_ca is not None)


def _read(key: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError("can't serve", [f"{key} = {str(path)!r}: {error.strerror}; expected a PEM file"]) from error


def _unary(
    method: Callable[[Any, grpc.ServicerContext], Any], request: Any, response: Any
) -> grpc.RpcMethodHandler[Any, Any]:
    return grpc.unary_unary_rpc_method_handler(method, request.FromString, response.SerializeToString)


def _handlers(inference: InferenceServicer, catalogue: CatalogueServicer) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
    stream = grpc.stream_stream_rpc_method_handler(
        inference.model_stream_infer,
        pb.ModelInferRequest.FromString,
        pb.ModelStreamInferResponse.SerializeToString,
    )
    catalogue_methods: dict[str, Callable[[Any], Any]] = {
        "ServerLive": catalogue.server_live,
        "ServerReady": catalogue.server_ready,
        "ModelReady": catalogue.model_ready,
        "ServerMetadata": catalogue.server_metadata,
        "ModelMetadata": catalogue.model_metadata,
        "ModelConfig": catalogue.model_config,
        "ModelStatistics": catalogue.model_statistics,
        "RepositoryIndex": catalogue.repository_index,
        "RepositoryModelLoad": catalogue.repository_model_load,
        "RepositoryModelUnload": catalogue.repository_model_unload,
        "TraceSetting": catalogue.trace_setting,
        "LogSettings": catalogue.log_settings,
    }
    handlers = {
        name: _unary(told(method), getattr(pb, f"{name}Request"), getattr(pb, f"{name}Response"))
        for name, method in catalogue_methods.items()
    }
    # The servicer gives the reply's bytes: no serialiser.
    handlers["ModelInfer"] = grpc.unary_unary_rpc_method_handler(
        inference.model_infer, pb.ModelInferRequest.FromString, None
    )
    handlers["ModelStreamInfer"] = stream
    return handlers

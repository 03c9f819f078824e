"""The RPCs that tell what an agent has: health, metadata, configuration, statistics, repository."""

from collections.abc import Callable
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TypeVar

import grpc

from upriver.errors import InvalidInput, ModelNotFound, ModelNotLoaded, NotAllowed, NotSupported, UpriverError
from upriver.oip.v2 import inference_pb2 as pb
from upriver.tensors import DTYPES, Datatype
from upriver_agent.serving.admission import Admission
from upriver_agent.serving.slots import Slots
from upriver_agent.serving.statistics import count
from upriver_agent.transport.status import refuse

Q = TypeVar("Q")
R = TypeVar("R")

EXTENSIONS = ("classification", "model_configuration", "model_repository", "statistics")
_ALARM = "its audits have rung the alarm: everything goes up until another version or policy comes"
_PLATFORM = "tflite"
_CONFIG_TYPES = {name: f"TYPE_{name}" for name in DTYPES} | {Datatype.BYTES: "TYPE_STRING", Datatype.BF16: "TYPE_BF16"}


Method = Callable[[Q], R]
Handler = Callable[[Q, grpc.ServicerContext], R]


def told(method: Method[Q, R]) -> Handler[Q, R]:
    """Makes an RPC handler of a method: its errors become statuses."""

    def handler(message: Q, context: grpc.ServicerContext) -> R:
        try:
            return method(message)
        except UpriverError as error:
            refuse(context, error)

    return handler


class CatalogueServicer:
    """Answers about the agent and its models. Loading and unloading work only when `admin` is on."""

    def __init__(
        self, agent: str, slots: Slots, admission: Admission, admin: bool, changed: Callable[[], None]
    ) -> None:
        """`changed` is called after a model was loaded or unloaded."""
        self._agent = agent
        self._slots = slots
        self._admission = admission
        self._admin = admin
        self._changed = changed

    def server_live(self, _: pb.ServerLiveRequest) -> pb.ServerLiveResponse:
        """The process answers, so it is live."""
        return pb.ServerLiveResponse(live=True)

    def server_ready(self, _: pb.ServerReadyRequest) -> pb.ServerReadyResponse:
        """Ready when every configured model is loaded and the agent is not draining."""
        return pb.ServerReadyResponse(ready=self._slots.ready() and not self._admission.draining)

    def model_ready(self, message: pb.ModelReadyRequest) -> pb.ModelReadyResponse:
        """Ready when it is loaded; an unknown model is NOT_FOUND."""
        try:
            self._slots.active(message.name, message.version)
        except ModelNotLoaded:
            return pb.ModelReadyResponse(ready=False)
        return pb.ModelReadyResponse(ready=not self._admission.draining)

    def server_metadata(self, _: pb.ServerMetadataRequest) -> pb.ServerMetadataResponse:
        """Name, version, extensions."""
        return pb.ServerMetadataResponse(name="upriver", version=installed_version("upriver"), extensions=EXTENSIONS)

    def model_metadata(self, message: pb.ModelMetadataRequest) -> pb.ModelMetadataResponse:
        """The model's canonical inputs and its outputs; -1 is the rows' dimension."""
        loaded = self._slots.active(message.name, message.version)
        manifest = loaded.version.manifest
        reply = pb.ModelMetadataResponse(name=manifest.model, versions=[manifest.version], platform=_PLATFORM)
        for spec in loaded.contract.inputs:
            reply.inputs.add(name=spec.name, datatype=spec.datatype, shape=[-1, *spec.shape])
        for output in loaded.outputs:
            reply.outputs.add(name=output.name, datatype=output.datatype, shape=[-1, *output.shape])
        return reply

    def model_config(self, message: pb.ModelConfigRequest) -> pb.ModelConfigResponse:
        """The part of Triton's configuration that is true here."""
        loaded = self._slots.active(message.name, message.version)
        config = pb.ModelConfig(
            name=loaded.version.manifest.model,
            platform=_PLATFORM,
            backend=_PLATFORM,
            max_batch_size=loaded.contract.max_rows,
        )
        for spec in loaded.contract.inputs:
            config.input.add(name=spec.name, data_type=_CONFIG_TYPES[spec.datatype], dims=spec.shape or [1])
        for output in loaded.outputs:
            config.output.add(name=output.name, data_type=_CONFIG_TYPES[output.datatype], dims=output.shape or [1])
        return pb.ModelConfigResponse(config=config)

    def model_statistics(self, message: pb.ModelStatisticsRequest) -> pb.ModelStatisticsResponse:
        """Counters since the version was loaded; no name means all models."""
        if message.name:
            chosen = [self._slots.active(message.name, message.version)]
        else:
            chosen = [slot.active for slot in self._slots.all() if slot.active is not None]
        reply = pb.ModelStatisticsResponse()
        for loaded in chosen:
            counters = count(loaded)
            entry = reply.model_stats.add(
                name=loaded.version.manifest.model,
                version=loaded.version.manifest.version,
                inference_count=counters.rows,
                execution_count=counters.executions,
            )
            statistics = entry.inference_stats
            statistics.success.count, statistics.success.ns = counters.executions, counters.nanoseconds
            statistics.fail.count = counters.failures
            statistics.compute_infer.count, statistics.compute_infer.ns = counters.executions, counters.nanoseconds
        return reply

    def repository_index(self, message: pb.RepositoryIndexRequest) -> pb.RepositoryIndexResponse:
        """Every configured model, or only those that answer."""
        reply = pb.RepositoryIndexResponse()
        for slot in self._slots.all():
            if slot.active is not None:
                watch = slot.active.watch
                reply.models.add(
                    name=slot.model,
                    version=slot.active.version.manifest.version,
                    state="READY",
                    reason=_ALARM if watch is not None and watch.alarmed else "",
                )
            elif not message.ready:
                reply.models.add(name=slot.model, state="UNAVAILABLE", reason=slot.problem)
        return reply

    def repository_model_load(self, message: pb.RepositoryModelLoadRequest) -> pb.RepositoryModelLoadResponse:
        """Loads a configured model again, or the version that the parameter `path` names."""
        self._check_admin()
        for key in message.parameters:
            if key != "path":
                raise InvalidInput(f"unknown load parameter {key!r}; allowed: 'path' (a version's folder or archive)")
        if "path" not in message.parameters:
            self._slots.reload(message.model_name)
        else:
            self._slots.load(Path(message.parameters["path"].string_param), expected=message.model_name)
        self._changed()
        return pb.RepositoryModelLoadResponse()

    def repository_model_unload(self, message: pb.RepositoryModelUnloadRequest) -> pb.RepositoryModelUnloadResponse:
        """Takes a model out of service until it is loaded again."""
        self._check_admin()
        self._slots.unload(message.model_name)
        self._changed()
        return pb.RepositoryModelUnloadResponse()

    def trace_setting(self, message: pb.TraceSettingRequest) -> pb.TraceSettingResponse:
        """Read-only: tracing is set in the agent's configuration."""
        if message.settings:
            raise NotSupported("trace settings are read-only here; set [telemetry] in the agent's configuration")
        self._check_model(message.model_name)
        return pb.TraceSettingResponse()

    def log_settings(self, message: pb.LogSettingsRequest) -> pb.LogSettingsResponse:
        """Read-only: logging is set in the agent's configuration."""
        if message.settings:
            raise NotSupported("log settings are read-only here; set [log] in the agent's configuration")
        return pb.LogSettingsResponse()

    def _check_model(self, model: str) -> None:
        known = [slot.model for slot in self._slots.all()]
        if model and model not in known:
            raise ModelNotFound(model, known)

    def _check_admin(self) -> None:
        if not self._admin:
            raise NotAllowed("administration is off on this agent: set serving.admin = true to load and unload models")

"""What `upriver model publish` does: unpacks or converts, makes golden samples, uploads, points aliases."""

import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TransferSpeedColumn
from rich.table import Table

from upriver.archive import take
from upriver.errors import ConfigError, ModelInvalid
from upriver.listing import GOLDEN, LIMITS, MANIFEST
from upriver.v1 import registry_pb2 as pb
from upriver_control.cli.connection import Connection
from upriver_control.convert import Conversion, convert_to_version, is_source
from upriver_control.validation import make_golden

SERVICE = pb.DESCRIPTOR.services_by_name["RegistryService"]
_CHUNK = 1 << 18


@dataclass(frozen=True, slots=True)
class Publication:
    """What is to be published, and how."""

    path: Path
    parent: str
    training_data: str
    metrics: Mapping[str, float]
    aliases: tuple[str, ...]
    samples: Path | None
    manifest: Path | None
    quantise: str
    timeout_s: float


def publish(connection: Connection, order: Publication, console: Console) -> tuple[pb.Version, bool, dict[str, Any]]:
    """Publishes a version; gives it, whether it was not there before, and the conversion's report if there was one."""
    with tempfile.TemporaryDirectory(prefix="upriver-publish-") as aside:
        folder = Path(aside) / "version"
        folder.mkdir()
        told = ""
        report: dict[str, Any] = {}
        if is_source(order.path):
            if order.manifest is None:
                raise ConfigError("upriver model publish", [f"{order.path} is to be converted: give its --manifest"])
            with console.status("converting"):
                conversion = convert_to_version(order.path, order.manifest, order.samples, order.quantise, folder)
            told, report = conversion.told, conversion.as_document()
            _show(conversion, console)
        else:
            take(order.path, folder)
        if order.samples is not None:
            with console.status("making golden samples"):
                make_golden(folder, order.samples, folder / GOLDEN)
        sums = take(folder, None)
        files = [
            pb.VersionFile(name=name, digest=f"sha256:{sums[name]}", size_bytes=(folder / name).stat().st_size)
            for name in LIMITS
            if name in sums
        ]
        model = _model(folder)
        lineage = pb.Lineage(
            parent=_parent(order.parent, model),
            training_data=order.training_data,
            metrics=order.metrics,
            conversion=told,
        )
        header = pb.UploadHeader(parent=f"models/{model}", files=files, lineage=lineage)
        answer = _upload(connection, folder, header, order.timeout_s, console)
    version = answer.version
    for alias in order.aliases:
        request = pb.SetAliasRequest(parent=f"models/{model}", alias=alias, version_id=version.name.rpartition("/")[2])
        connection.call(SERVICE, "SetAlias", request)
    if order.aliases:
        version = connection.call(SERVICE, "GetVersion", pb.GetVersionRequest(name=version.name)).version
    return version, answer.created, report


def _upload(
    connection: Connection, folder: Path, header: pb.UploadHeader, timeout_s: float, console: Console
) -> pb.UploadVersionResponse:
    total = sum(file.size_bytes for file in header.files)
    columns = (
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    )  # fmt: skip
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("uploading", total=total)

        def parts() -> Iterator[pb.UploadVersionRequest]:
            yield pb.UploadVersionRequest(header=header)
            for file in header.files:
                with (folder / file.name).open("rb") as stream:
                    while data := stream.read(_CHUNK):
                        yield pb.UploadVersionRequest(data=data)
                        progress.advance(task, len(data))
            progress.update(task, description="uploaded; the control plane tries it")

        answer: pb.UploadVersionResponse = connection.call(SERVICE, "UploadVersion", parts(), timeout_s)
    return answer


def _show(conversion: Conversion, console: Console) -> None:
    """What each variant costs, and which was chosen."""
    table = Table("", "bytes", "agreement", "largest difference", "accuracy", "original", box=None, pad_edge=False)
    for cost in conversion.costs:
        figures = (cost.agreement, cost.max_difference, cost.accuracy, cost.original_accuracy)
        chosen = "[green]* " if cost is conversion.chosen else "  "
        table.add_row(
            f"{chosen}{cost.how.value}",
            f"{cost.size_bytes:,}",
            *("-" if one is None else f"{one:.4g}" for one in figures),
        )
    console.print(table)
    for how, why in conversion.failed.items():
        console.print(f"{how}: {why}", markup=False, soft_wrap=True)


def _model(folder: Path) -> str:
    """The manifest's model: whether it is a right one, the control plane says."""
    try:
        model = tomllib.loads((folder / MANIFEST).read_text(encoding="utf-8")).get("model")
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ModelInvalid(f"{MANIFEST}: can't be read as TOML: {error}") from error
    if not isinstance(model, str) or not model:
        raise ModelInvalid(f"{MANIFEST}: has no model; expected its name")
    return model


def _parent(given: str, model: str) -> str:
    if not given or given.startswith("models/"):
        return given
    other, slash, version = given.rpartition("/")
    return f"models/{other if slash else model}/versions/{version}"

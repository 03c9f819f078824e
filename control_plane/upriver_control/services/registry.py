"""RegistryService: models, versions and aliases for operators. Blocking work is done on threads of its own."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import IO, Final, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from upriver.errors import DiskTrouble, InvalidInput, QueueFull
from upriver.listing import LIMITS, REQUIRED, is_digest
from upriver.v1 import registry_pb2 as pb
from upriver_control.publishing import Publisher
from upriver_control.services.refusals import Context, refusing
from upriver_control.store.records import (
    Lineage,
    StoredModel,
    StoredVersion,
    check_alias,
    check_id,
    model_name,
    read_model_name,
    read_version_name,
)

T = TypeVar("T")
DEFAULT_PAGE: Final = 100
MAX_PAGE: Final = 1000
MAX_DATA: Final = 1 << 20
MAX_DESCRIPTION: Final = 2000
IDLE_S: Final = 30.0
UPLOADS: Final = 4


class RegistryServicer:
    """Serves operators; takes at most `uploads` uploads at a time. `close` waits for publications under way."""

    def __init__(self, publisher: Publisher, uploads: int = UPLOADS, idle_s: float = IDLE_S) -> None:
        """`idle_s` is how long an upload may send nothing."""
        self._publisher = publisher
        self._store = publisher.store
        self._idle_s = idle_s
        self._places = asyncio.Semaphore(uploads)
        self._reading = ThreadPoolExecutor(4, "registry")
        self._publishing = ThreadPoolExecutor(uploads, "publishing")

    async def close(self) -> None:
        """Takes no more calls, and waits for publications under way."""
        await asyncio.to_thread(self._publishing.shutdown)
        await asyncio.to_thread(self._reading.shutdown)

    @refusing
    async def create_model(self, request: pb.CreateModelRequest, _: Context) -> pb.CreateModelResponse:
        """Makes a model, or gives the one that is there."""
        check_id(request.model_id, "model")
        if len(request.description) > MAX_DESCRIPTION:
            raise InvalidInput(f"description: {len(request.description)} characters; at most {MAX_DESCRIPTION}")
        make = partial(self._store.create_model, request.model_id, request.description, self._publisher.clock())
        return pb.CreateModelResponse(model=write_model(await self._read(make)))

    @refusing
    async def get_model(self, request: pb.GetModelRequest, _: Context) -> pb.GetModelResponse:
        """Gives a model."""
        found = await self._read(partial(self._store.model, read_model_name(request.name)))
        return pb.GetModelResponse(model=write_model(found))

    @refusing
    async def list_models(self, request: pb.ListModelsRequest, _: Context) -> pb.ListModelsResponse:
        """Lists models by name; a page token is the last name."""
        size = _page_size(request.page_size)
        after = check_id(request.page_token, "page_token: model") if request.page_token else ""
        found = await self._read(partial(self._store.models, after, size + 1))
        more = found[size - 1].id if len(found) > size else ""
        return pb.ListModelsResponse(models=[write_model(model) for model in found[:size]], next_page_token=more)

    @refusing
    async def delete_model(self, request: pb.DeleteModelRequest, _: Context) -> pb.DeleteModelResponse:
        """Deletes a model without versions."""
        await self._read(partial(self._store.delete_model, read_model_name(request.name)))
        return pb.DeleteModelResponse()

    @refusing
    async def upload_version(
        self, requests: AsyncIterator[pb.UploadVersionRequest], _: Context
    ) -> pb.UploadVersionResponse:
        """Takes a version's files and publishes it. Once all have come it goes on, whether the caller stays or not."""
        if self._places.locked():
            raise QueueFull("other versions are being uploaded; try again in a moment")
        async with self._places:
            with ExitStack() as stack:
                folder = await self._read(partial(stack.enter_context, self._publisher.incoming()))
                header = await self._receive(requests, folder)
                model, lineage = read_model_name(header.parent), _read_lineage(header.lineage)
                owned = stack.pop_all()

            def publish() -> tuple[StoredVersion, bool]:
                with owned:
                    return self._publisher.publish(folder, model, lineage)

            version, created = await asyncio.get_running_loop().run_in_executor(self._publishing, publish)
        return pb.UploadVersionResponse(version=write_version(version), created=created)

    @refusing
    async def get_version(self, request: pb.GetVersionRequest, _: Context) -> pb.GetVersionResponse:
        """Gives a version by its name or alias."""
        found = await self._read(partial(self._store.version, *read_version_name(request.name)))
        return pb.GetVersionResponse(version=write_version(found))

    @refusing
    async def list_versions(self, request: pb.ListVersionsRequest, _: Context) -> pb.ListVersionsResponse:
        """Lists a model's versions, newest first; a page token is the last one's number."""
        size = _page_size(request.page_size)
        before = _read_number(request.page_token) if request.page_token else None
        model = read_model_name(request.parent)
        found = await self._read(partial(self._store.versions, model, before, size + 1))
        more = str(found[size - 1].number) if len(found) > size else ""
        return pb.ListVersionsResponse(versions=[write_version(one) for one in found[:size]], next_page_token=more)

    @refusing
    async def delete_version(self, request: pb.DeleteVersionRequest, _: Context) -> pb.DeleteVersionResponse:
        """Deletes a version that nobody needs."""
        await self._read(partial(self._publisher.delete, *read_version_name(request.name)))
        return pb.DeleteVersionResponse()

    @refusing
    async def set_alias(self, request: pb.SetAliasRequest, _: Context) -> pb.SetAliasResponse:
        """Points an alias at a published version."""
        model = read_model_name(request.parent)
        changed = await self._read(partial(self._publisher.set_alias, model, request.alias, request.version_id))
        return pb.SetAliasResponse(model=write_model(changed))

    @refusing
    async def delete_alias(self, request: pb.DeleteAliasRequest, _: Context) -> pb.DeleteAliasResponse:
        """Removes an alias."""
        model, alias = read_model_name(request.parent), check_alias(request.alias)
        return pb.DeleteAliasResponse(
            model=write_model(await self._read(partial(self._store.delete_alias, model, alias)))
        )

    async def _read(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._reading, work)

    async def _receive(self, requests: AsyncIterator[pb.UploadVersionRequest], folder: Path) -> pb.UploadHeader:
        first = await self._next(requests)
        if first is None or first.WhichOneof("part") != "header":
            raise InvalidInput("an upload begins with its header")
        header = first.header
        _check_header(header)
        rest = bytearray()
        try:
            for file in header.files:
                await self._receive_file(requests, file, folder / file.name, rest)
        except OSError as error:
            raise DiskTrouble(f"can't keep the upload: {error.strerror or error}") from error
        if rest or await self._next(requests) is not None:
            raise InvalidInput("an upload ends with its last file; more bytes came")
        return header

    async def _receive_file(
        self, requests: AsyncIterator[pb.UploadVersionRequest], file: pb.VersionFile, path: Path, rest: bytearray
    ) -> None:
        """Writes one file; `rest` is what came already, and holds afterwards what came for the next."""
        found, left = hashlib.sha256(), file.size_bytes
        with await self._read(lambda: path.open("xb")) as out:
            while left:
                if not rest:
                    message = await self._next(requests)
                    if message is None or message.WhichOneof("part") != "data" or not message.data:
                        raise InvalidInput(f"{file.name}: {left} of its {file.size_bytes} bytes did not come")
                    if len(message.data) > MAX_DATA:
                        raise InvalidInput(f"{len(message.data)} bytes in one message; at most {MAX_DATA}")
                    rest += message.data
                taken = bytes(rest[:left])
                del rest[: len(taken)]
                left -= len(taken)
                await self._read(partial(_add, out, found, taken))
        if f"sha256:{found.hexdigest()}" != file.digest:
            raise InvalidInput(f"{file.name}: its bytes have the digest sha256:{found.hexdigest()}, not {file.digest}")

    async def _next(self, requests: AsyncIterator[pb.UploadVersionRequest]) -> pb.UploadVersionRequest | None:
        try:
            return await asyncio.wait_for(anext(requests), self._idle_s)
        except StopAsyncIteration:
            return None
        except TimeoutError as error:
            raise InvalidInput(f"nothing came for {self._idle_s:g} s; upload again") from error


def write_model(model: StoredModel) -> pb.Model:
    """A model as a message."""
    return pb.Model(
        name=model_name(model.id),
        description=model.description,
        create_time=_time(model.created),
        aliases=dict(model.aliases),
    )


def write_version(version: StoredVersion) -> pb.Version:
    """A version as a message."""
    validation, requirements, lineage = version.validation, version.requirements, version.lineage
    return pb.Version(
        name=version.name,
        digest=version.digest,
        files=[pb.VersionFile(name=one.name, digest=one.digest, size_bytes=one.size_bytes) for one in version.files],
        lineage=pb.Lineage(
            parent=lineage.parent,
            training_data=lineage.training_data,
            metrics=dict(lineage.metrics),
            conversion=lineage.conversion,
        ),
        requirements=pb.Requirements(
            memory_bytes=requirements.memory_bytes,
            min_runtime=requirements.min_runtime,
            operators=requirements.operators,
        ),
        create_time=_time(version.created),
        aliases=version.aliases,
        validation=pb.Validation(
            runtime=validation.runtime,
            invoke_ms=validation.invoke_ms,
            golden_rows=validation.golden_rows,
            task=validation.task,
            policy_document=validation.policy_document,
        ),
    )


def _read_lineage(lineage: pb.Lineage) -> Lineage:
    return Lineage(lineage.parent, lineage.training_data, dict(lineage.metrics), lineage.conversion)


def _check_header(header: pb.UploadHeader) -> None:
    names = [file.name for file in header.files]
    problems = [f"{name} is missing" for name in REQUIRED if name not in names]
    problems += [
        f"{name[:80]!r} is no file of a version; expected {', '.join(LIMITS)}" for name in {*names} - {*LIMITS}
    ]
    if len(names) != len(set(names)):
        problems.append("a file comes twice")
    for file in header.files:
        if file.name in LIMITS and not 0 < file.size_bytes <= LIMITS[file.name]:
            problems.append(f"{file.name}: {file.size_bytes} bytes; expected 1 to {LIMITS[file.name]}")
        if not is_digest(file.digest):
            problems.append(f"{file.name[:80]}: digest {file.digest[:80]!r}; expected sha256: and 64 digits")
    if problems:
        raise InvalidInput(f"the upload's header: {'; '.join(problems)}")


def _add(out: IO[bytes], found: "hashlib._Hash", data: bytes) -> None:
    found.update(data)
    out.write(data)


def _page_size(asked: int) -> int:
    if asked < 0:
        raise InvalidInput(f"page_size = {asked}: expected 0 or above")
    return min(asked or DEFAULT_PAGE, MAX_PAGE)


def _read_number(token: str) -> int:
    if not (token.isascii() and token.isdigit() and len(token) < 16):
        raise InvalidInput(f"page_token {token[:80]!r} is not one that was given out")
    return int(token)


def _time(seconds: float) -> Timestamp:
    made = Timestamp()
    made.FromNanoseconds(int(seconds * 1e6) * 1000)
    return made

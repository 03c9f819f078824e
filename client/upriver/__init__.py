"""Upriver: ask the nearest agent; it asks upstream when it is unsure.

    from upriver import Client

    with Client("127.0.0.1:8470") as client:
        answer = client.infer("digits", "seven.png")
        print(answer.label, answer.confidence, answer.tier, answer.reason)

Names are loaded when they are first used: importing `upriver` itself imports nothing else.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from upriver.aio import AsyncClient
    from upriver.answer import Answer, ModelMetadata, ModelState, TensorSpec
    from upriver.channels import TlsFiles
    from upriver.client import Client
    from upriver.errors import (
        CallerGone,
        ConfigError,
        DeadlineExpired,
        Draining,
        InferenceFailed,
        InvalidInput,
        ModelNotFound,
        ModelNotLoaded,
        NotAllowed,
        NotFound,
        NotSupported,
        QueueFull,
        RuntimeMissing,
        TicketGone,
        Unreachable,
        UpriverError,
        VersionNotFound,
    )
    from upriver.parameters import Mode, Reason
    from upriver.tickets import Ticket

__all__ = [
    "Answer",
    "AsyncClient",
    "CallerGone",
    "Client",
    "ConfigError",
    "DeadlineExpired",
    "Draining",
    "InferenceFailed",
    "InvalidInput",
    "Mode",
    "ModelMetadata",
    "ModelNotFound",
    "ModelNotLoaded",
    "ModelState",
    "NotAllowed",
    "NotFound",
    "NotSupported",
    "QueueFull",
    "Reason",
    "RuntimeMissing",
    "TensorSpec",
    "Ticket",
    "TicketGone",
    "TlsFiles",
    "Unreachable",
    "UpriverError",
    "VersionNotFound",
]

_HOMES = {
    "Answer": "answer",
    "AsyncClient": "aio",
    "Client": "client",
    "Mode": "parameters",
    "ModelMetadata": "answer",
    "ModelState": "answer",
    "Reason": "parameters",
    "TensorSpec": "answer",
    "Ticket": "tickets",
    "TlsFiles": "channels",
}
"""The modules of the public names; the errors are not listed."""


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"upriver.{_HOMES.get(name, 'errors')}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

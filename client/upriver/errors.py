"""Everything that can go wrong, by kind. Transports map kinds to their own status codes in one table each.

`reason` is stable and machine-readable (it travels as `google.rpc.ErrorInfo.reason`); the message is for people and
says what was wrong and what was expected.
"""

from collections.abc import Iterable
from typing import ClassVar

ERROR_DOMAIN = "upriver"


class UpriverError(Exception):
    """Base of all errors that Upriver raises on purpose."""

    reason: ClassVar[str] = "INTERNAL"


class InvalidInput(UpriverError):
    """The request does not fit the model's contract or the protocol."""

    reason = "INVALID_INPUT"


class ModelNotFound(UpriverError):
    """No such model here."""

    reason = "MODEL_NOT_FOUND"

    def __init__(self, model: str, known: Iterable[str]) -> None:
        super().__init__(f"unknown model {model!r}; this agent serves: {', '.join(sorted(known)) or 'none'}")
        self.model = model


class VersionNotFound(UpriverError):
    """The model is here, the version is not."""

    reason = "VERSION_NOT_FOUND"

    def __init__(self, model: str, version: str, known: Iterable[str]) -> None:
        have = ", ".join(sorted(known)) or "none"
        super().__init__(f"model {model!r} has no version {version!r} here; versions: {have}")
        self.model, self.version = model, version


class ModelNotLoaded(UpriverError):
    """The model is configured but not loaded."""

    reason = "MODEL_NOT_LOADED"


class QueueFull(UpriverError):
    """Admission is bounded and the bound is reached: try again later or elsewhere."""

    reason = "QUEUE_FULL"


class Draining(UpriverError):
    """The agent is shutting down and takes no new questions."""

    reason = "DRAINING"


class DeadlineExpired(UpriverError):
    """The caller's deadline has passed."""

    reason = "DEADLINE_EXPIRED"


class CallerGone(UpriverError):
    """The caller cancelled or disconnected: nobody waits for the answer."""

    reason = "CALLER_GONE"


class NotAllowed(UpriverError):
    """The caller may not do this here."""

    reason = "NOT_ALLOWED"


class NotSupported(UpriverError):
    """A part of the protocol that this server does not have."""

    reason = "NOT_SUPPORTED"


class Unreachable(UpriverError):
    """No agent could be reached."""

    reason = "UNREACHABLE"


class InferenceFailed(UpriverError):
    """The model's runtime failed on an input that fits the contract."""

    reason = "INFERENCE_FAILED"


class ModelInvalid(UpriverError):
    """A version's artifact can't be served: broken, untrue to its manifest, or not for this machine."""

    reason = "MODEL_INVALID"


class GoldenMismatch(ModelInvalid):
    """A version's golden samples did not come out as expected."""

    reason = "GOLDEN_MISMATCH"


class DeviceUnfit(UpriverError):
    """This device can't run the version; the message says what it would need."""

    reason = "DEVICE_UNFIT"


class Untrusted(UpriverError):
    """What came is not what was signed: tampered with, mixed up, rolled back, expired or signed by another key."""

    reason = "UNTRUSTED"


class DiskTrouble(UpriverError):
    """The disk is full, read-only or failing; nothing was left half written."""

    reason = "DISK_TROUBLE"


class BlobNotFound(UpriverError):
    """Nobody who was asked has the blob."""

    reason = "BLOB_NOT_FOUND"


class NotFound(UpriverError):
    """A resource that does not exist."""

    reason = "NOT_FOUND"


class VersionConflict(UpriverError):
    """Another content is published under that name already: versions never change."""

    reason = "VERSION_CONFLICT"


class NotNow(UpriverError):
    """The resource's state forbids it; the message says what to do first."""

    reason = "NOT_NOW"


class TicketGone(UpriverError):
    """A ticket that has expired, or that was dropped to make room."""

    reason = "TICKET_GONE"


class RuntimeMissing(UpriverError):
    """An optional package is not installed; the message names the extra that brings it."""

    reason = "RUNTIME_MISSING"


class ProblemList(UpriverError):
    """A document with one or more problems, all told at once."""

    def __init__(self, what: str, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__(f"{what}:\n" + "\n".join(f"  - {problem}" for problem in self.problems))


class ManifestError(ProblemList):
    """A version's manifest is wrong."""

    reason = "MANIFEST_INVALID"


class ConfigError(ProblemList):
    """An agent's configuration is wrong."""

    reason = "CONFIG_INVALID"

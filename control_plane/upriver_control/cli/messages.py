"""Answers of the control plane as JSON documents, field by field, as the protocol names them."""

import base64
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from upriver.cli.documents import plain

_DURATION = Duration.DESCRIPTOR.full_name


def message_document(message: Message) -> dict[str, Any]:
    """A message for programs.

    A time that something takes is in milliseconds, under its name and `_ms`; a moment is RFC 3339. What is not set is
    null; so is what JSON has no number for. Enums are as commands say them: `degraded`, not QUESTION_FLAG_DEGRADED.
    """
    document = {}
    for field in message.DESCRIPTOR.fields:
        suffix = "_ms" if field.message_type is not None and field.message_type.full_name == _DURATION else ""
        document[field.name + suffix] = _field(message, field)
    return document


def _field(message: Message, field: Any) -> Any:
    if field.has_presence and not message.HasField(field.name):
        return None
    value = getattr(message, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        of = field.message_type.fields_by_name["value"]
        return {str(key): _value(of, one) for key, one in sorted(value.items())}
    if field.is_repeated:
        return [_value(field, one) for one in value]
    return _value(field, value)


def _value(field: Any, value: Any) -> Any:
    if field.enum_type is not None:
        return enum_word(field.enum_type, value)
    if field.message_type is None:
        return base64.b64encode(value).decode() if isinstance(value, bytes) else plain(value)
    if isinstance(value, Duration):
        return round(value.ToNanoseconds() / 1e6, 6)
    if isinstance(value, Timestamp):
        return value.ToJsonString()
    return message_document(value)


def enum_word(enum: Any, number: int) -> str:
    """A value of an enum as commands say it: without the enum's name, in small letters."""
    names = {value.number: value.name for value in enum.values}
    prefix = names[0].removesuffix("UNSPECIFIED")
    word: str = names.get(number, str(number)).removeprefix(prefix).lower()
    return word

"""Parameters of the protocol's messages as plain values."""

from collections.abc import Mapping

from upriver.errors import InvalidInput
from upriver.oip.v2 import inference_pb2 as pb

ParameterValue = bool | int | float | str


def read_parameters(parameters: Mapping[str, pb.InferParameter]) -> dict[str, ParameterValue]:
    """Gives parameters as plain values; an unset one raises InvalidInput."""
    values: dict[str, ParameterValue] = {}
    for key, parameter in parameters.items():
        which = parameter.WhichOneof("parameter_choice")
        if which is None:
            raise InvalidInput(f"parameter {key!r} has no value")
        values[key] = getattr(parameter, which)
    return values


def set_parameter(parameter: pb.InferParameter, value: ParameterValue) -> None:
    """Sets a parameter to a plain value."""
    if isinstance(value, bool):
        parameter.bool_param = value
    elif isinstance(value, int):
        parameter.int64_param = value
    elif isinstance(value, float):
        parameter.double_param = value
    else:
        parameter.string_param = value

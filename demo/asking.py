"""Asks the device agents one digit at a time, a few at once, and measures each."""

import itertools
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import grpc
import numpy as np

from demo.digits import Digits
from demo.tally import Labels, Tally, Told
from upriver import parameters as names
from upriver.channels import ChannelOptions, open_channel
from upriver.labels import split_labels
from upriver.oip.v2 import inference_pb2 as pb
from upriver.tensors import Array, encode_raw

IN_FLIGHT = 6
TIMEOUT_S = 10.0
MODEL = "digits"
_METHOD = f"/{names.SERVICE}/ModelInfer"


def make_request(images: Array, **parameters: str) -> pb.ModelInferRequest:
    """A request with uint8 images [rows, 28, 28, 1]."""
    message = pb.ModelInferRequest(model_name=MODEL, raw_input_contents=[encode_raw(images, "UINT8")])
    message.inputs.add(name="image", datatype="UINT8", shape=images.shape)
    for key, value in parameters.items():
        message.parameters[f"upriver.{key}"].string_param = value
    return message


class Asker:
    """Asks one agent."""

    def __init__(self, address: str) -> None:
        self._channel = open_channel(address, ChannelOptions())
        self._call = self._channel.unary_unary(
            _METHOD,
            request_serializer=pb.ModelInferRequest.SerializeToString,
            response_deserializer=pb.ModelInferResponse.FromString,
        )

    def ask(self, message: pb.ModelInferRequest, headers: Mapping[str, str] | None = None) -> pb.ModelInferResponse:
        """One call; raises grpc.RpcError."""
        metadata = tuple((headers or {}).items())
        response: pb.ModelInferResponse = self._call(message, timeout=TIMEOUT_S, metadata=metadata)
        return response

    def close(self) -> None:
        """Closes the channel."""
        self._channel.close()


def read(response: pb.ModelInferResponse, latency_ms: float) -> Told:
    """What an answer to one digit said."""
    facts = response.parameters
    column, labels = _best(response)
    return Told(
        label=labels[column] if column < len(labels) else str(column),
        tier=facts[names.TIER].string_param,
        version=response.model_version,
        path=tuple(facts[names.PATH].string_param.split(",")),
        resolved=facts[names.RESOLVED].bool_param,
        degraded=facts[names.DEGRADED].bool_param,
        reason=facts[names.REASON].string_param,
        trace_id=facts[names.TRACE_ID].string_param,
        bytes_up=facts[names.BYTES_UP].int64_param,
        latency_ms=latency_ms,
    )


def _best(response: pb.ModelInferResponse) -> tuple[int, tuple[str, ...]]:
    """The column of the largest of one row's probabilities, and the columns' labels as far as they are told."""
    at = [output.name for output in response.outputs].index("probabilities")
    scores = np.frombuffer(response.raw_output_contents[at], np.float32)
    told = response.outputs[at].parameters.get(names.LABELS)
    return int(scores.argmax()), () if told is None else split_labels(told.string_param)


def ask_all(
    addresses: Sequence[str],
    digits: Digits,
    tally: Tally,
    stop: threading.Event,
    tick: Callable[[], None],
    goes_on: Callable[[int], bool],
    order: Callable[[int], int] | None = None,
    learn: bool = False,
) -> None:
    """Asks about one digit after the other, over and over, each of the agents in turn, IN_FLIGHT at once.

    `order` says which digit a question is about by its number; without it they come in turn. With `learn` agents may
    keep the images to train from. It ends with the first
    number of a question that `goes_on` says no to, or with `stop`. `tick` is called ten times a second by this thread.
    """
    numbers = itertools.count()
    lock = threading.Lock()

    def work() -> None:
        askers = [Asker(address) for address in addresses]
        while not stop.is_set():
            number = next(numbers)
            if not goes_on(number):
                break
            index = number % len(digits) if order is None else order(number)
            message = make_request(digits.images[index : index + 1])
            if learn:
                message.parameters[names.LEARN].bool_param = True
            started = time.perf_counter()
            try:
                response = askers[number % len(askers)].ask(message)
            except grpc.RpcError as error:
                with lock:
                    tally.fail(error.code().name)
                continue
            told = read(response, (time.perf_counter() - started) * 1000)
            with lock:
                tally.add(told, str(int(digits.labels[index])), number, index)
        for asker in askers:
            asker.close()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(IN_FLIGHT)]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            tick()
            thread.join(0.1)


def alone(address: str, digits: Digits) -> Labels:
    """An agent's labels with nobody above it, asked in batches with mode=local."""
    asker = Asker(address)
    labels = []
    for at in range(0, len(digits), 500):
        part = digits.part(at, at + 500)
        response = asker.ask(make_request(part.images, mode="local"))
        outputs = [output.name for output in response.outputs]
        scores = np.frombuffer(response.raw_output_contents[outputs.index("probabilities")], np.float32)
        labels.append(scores.reshape(len(part), -1).argmax(axis=1))
    asker.close()
    return np.concatenate(labels).astype(np.int64)

"""Versions are swapped back and forth by rollouts while clients ask all the time: no request fails."""

import threading
from collections import Counter
from contextlib import contextmanager

import grpc

from tests.agent_process import until
from tests.asking import question
from tests.control_plane_process import control_plane, following
from tests.fleet_faults import publish, recorded, roll_out
from tests.versions import MIB
from upriver.oip.v2 import inference_pb2 as pb

CLIENTS = 4
ORDER = ("v1", "v2", "v1", "v2", "v3", "v1", "v2", "v3", "v2", "v3")
"""To the one before (still loaded), to one that was here (its files are), and to one that never was."""


class Asking(threading.Thread):
    """One client that asks again as soon as it is answered."""

    def __init__(self, address, ends):
        super().__init__(daemon=True)
        self.address, self.ends = address, ends
        self.answers, self.failures = Counter(), []

    def run(self):
        message = question()
        with grpc.insecure_channel(self.address) as channel:
            call = channel.unary_unary(
                "/inference.GRPCInferenceService/ModelInfer",
                request_serializer=pb.ModelInferRequest.SerializeToString,
                response_deserializer=pb.ModelInferResponse.FromString,
            )
            while not self.ends.is_set():
                try:
                    self.answers[call(message, timeout=20).model_version] += 1
                except grpc.RpcError as error:
                    self.failures.append(error)


@contextmanager
def asked_all_the_time(address):
    ends = threading.Event()
    clients = [Asking(address, ends) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        yield clients
    finally:
        ends.set()
        for client in clients:
            client.join(30)


def test_no_request_fails_while_versions_are_swapped(tmp_path):
    with control_plane(tmp_path / "control") as plane, plane.stubs() as operator:
        for seed, version in enumerate(("v1", "v2", "v3")):
            publish(plane, tmp_path, version, MIB, seed)
        with following(tmp_path, plane, "dev-1") as agent:
            roll_out(operator, "v1")
            until(lambda: recorded(tmp_path / "dev-1") == "v1", 30, "the first version")
            with asked_all_the_time(agent.address) as clients:
                for version in ORDER[1:]:
                    roll_out(operator, version)
                    until(lambda version=version: recorded(tmp_path / "dev-1") == version, 30, version)
            assert [client.failures for client in clients] == [[]] * CLIENTS
            answers = sum((client.answers for client in clients), Counter())
            assert answers.keys() == {"v1", "v2", "v3"}, answers
            assert answers.total() > 1000, answers
            assert agent.alive()

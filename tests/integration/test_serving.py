"""An agent as a process, asked by stock clients: tritonclient sync and aio beside our own stubs in one process."""

import asyncio
import threading

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from tests.agent_process import TRUSTING, running, until, write_config
from tests.versions import LABELS, make_version
from upriver.oip.v2 import inference_pb2 as pb
from upriver.tensors import encode_raw

RNG = np.random.default_rng(7)


@pytest.fixture(scope="module")
def agent(tmp_path_factory):
    folder = tmp_path_factory.mktemp("serving")
    model = make_version(folder, "1", 0.0)
    config = write_config(folder, "alone", "device", ["device"], [model], TRUSTING)
    with running(config, "alone", "device") as started:
        yield started


@pytest.fixture(scope="module")
def client(agent):
    with triton.InferenceServerClient(agent.address) as made:
        yield made


def images(rows=1):
    return RNG.random((rows, 14, 14, 1), dtype=np.float32)


def triton_input(array, name="image", datatype="FP32"):
    made = triton.InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array)
    return made


def stub(agent):
    channel = grpc.insecure_channel(agent.address)
    return channel.unary_unary(
        "/inference.GRPCInferenceService/ModelInfer",
        request_serializer=pb.ModelInferRequest.SerializeToString,
        response_deserializer=pb.ModelInferResponse.FromString,
    )


def parameters(response):
    read = {}
    for key, value in response.parameters.items():
        read[key] = getattr(value, value.WhichOneof("parameter_choice"))
    return read


def test_the_core_calls_of_a_stock_client(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("pattern")
    assert client.get_server_metadata().name == "upriver"
    metadata = client.get_model_metadata("pattern")
    assert [(i.name, i.datatype, list(i.shape)) for i in metadata.inputs] == [("image", "FP32", [-1, 14, 14, 1])]
    outputs = {output.name: (output.datatype, list(output.shape)) for output in metadata.outputs}
    assert outputs["probabilities"] == ("FP32", [-1, 10])
    assert client.get_model_config("pattern").config.platform == "tflite"
    assert [(m.name, m.version, m.state) for m in client.get_model_repository_index().models] == [
        ("pattern", "1", "READY")
    ]


def test_an_answer_says_who_gave_it_and_why(client):
    answer = client.infer("pattern", [triton_input(images())], request_id="mine")
    assert answer.as_numpy("probabilities").sum() == pytest.approx(1, abs=1e-4)
    facts = parameters(answer.get_response())
    assert answer.get_response().id == "mine"
    assert facts["upriver.tier"] == "device"
    assert facts["upriver.agent"] == "alone"
    assert facts["upriver.path"] == "alone"
    assert facts["upriver.reason"] == "confident"
    assert facts["upriver.resolved"] is True
    assert facts["upriver.degraded"] is False
    assert facts["upriver.confidence"] == pytest.approx(float(answer.as_numpy("probabilities").max()))
    assert facts["upriver.policy"].startswith("sha256:")


def test_a_batch_is_answered_row_by_row_as_single_questions_are(client):
    batch = images(5)
    together = client.infer("pattern", [triton_input(batch)]).as_numpy("probabilities")
    alone = [client.infer("pattern", [triton_input(batch[i : i + 1])]).as_numpy("probabilities")[0] for i in range(5)]
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)


def test_row_wise_facts_come_when_asked_for_by_name(client):
    wanted = [triton.InferRequestedOutput(f"upriver.{fact}") for fact in ("tier", "confidence", "resolved")]
    answer = client.infer("pattern", [triton_input(images(3))], outputs=wanted)
    assert answer.as_numpy("upriver.tier").tolist() == [b"device"] * 3
    np.testing.assert_allclose(answer.as_numpy("upriver.confidence"), answer.as_numpy("probabilities").max(axis=1))
    assert answer.as_numpy("upriver.resolved").tolist() == [True] * 3


def test_the_classification_extension_gives_values_indices_and_labels(client):
    image = images(2)
    plain = client.infer("pattern", [triton_input(image)]).as_numpy("probabilities")
    wanted = [triton.InferRequestedOutput("probabilities", class_count=3)]
    top = client.infer("pattern", [triton_input(image)], outputs=wanted).as_numpy("probabilities")
    assert top.shape == (2, 3)
    value, index, label = top[0, 0].decode().split(":")
    assert int(index) == plain[0].argmax()
    assert label == LABELS[int(index)]
    assert float(value) == pytest.approx(plain[0].max(), abs=1e-5)


def test_typed_contents_are_read_like_raw_ones(agent):
    image = images()
    raw = pb.ModelInferRequest(model_name="pattern", raw_input_contents=[encode_raw(image, "FP32")])
    raw.inputs.add(name="image", datatype="FP32", shape=image.shape)
    typed = pb.ModelInferRequest(model_name="pattern")
    typed.inputs.add(name="image", datatype="FP32", shape=image.shape).contents.fp32_contents.extend(image.ravel())
    ask = stub(agent)
    assert ask(raw).raw_output_contents == ask(typed).raw_output_contents


def test_a_stream_is_answered_in_order_and_survives_an_error(client):
    answers, arrived = [], threading.Event()

    def callback(result, error):
        answers.append((result, error))
        if len(answers) == 3:
            arrived.set()

    client.start_stream(callback)
    client.async_stream_infer("pattern", [triton_input(images())], request_id="a")
    client.async_stream_infer("unknown", [triton_input(images())], request_id="b")
    client.async_stream_infer("pattern", [triton_input(images())], request_id="c")
    assert arrived.wait(20)
    client.stop_stream()
    assert [error is not None for _, error in answers] == [False, True, False]
    assert "MODEL_NOT_FOUND" in str(answers[1][1])
    assert [answers[i][0].get_response().id for i in (0, 2)] == ["a", "c"]


def test_the_aio_client_works_too(agent):
    async def ask():
        async with triton_aio.InferenceServerClient(agent.address) as client:
            calls = [client.infer("pattern", [triton_input(images())]) for _ in range(20)]
            return [answer.as_numpy("probabilities").shape for answer in await asyncio.gather(*calls)]

    assert asyncio.run(ask()) == [(1, 10)] * 20


def test_statistics_count_rows_and_invocations(client):
    def counted():
        entry = client.get_inference_statistics("pattern").model_stats[0]
        return entry.inference_count, entry.execution_count

    rows, executions = counted()
    client.infer("pattern", [triton_input(images(4))])
    client.infer("pattern", [triton_input(images(1))])
    assert counted() == (rows + 5, executions + 2)


def test_health_is_told_overall_and_by_model(agent):
    with grpc.insecure_channel(agent.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for service in ("", "pattern"):
            reply = health.Check(health_pb2.HealthCheckRequest(service=service))
            assert reply.status == health_pb2.HealthCheckResponse.SERVING


def test_reflection_shows_the_protocol_under_its_wire_name(agent):
    with grpc.insecure_channel(agent.address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        assert "inference.GRPCInferenceService" in database.get_services()
        file = database.FindFileContainingSymbol("inference.GRPCInferenceService")
        assert isinstance(file, descriptor_pb2.FileDescriptorProto)
        assert file.package == "inference"
        assert "ModelInferRequest" in [message.name for message in file.message_type]


def test_administration_is_off_unless_enabled(client):
    with pytest.raises(triton.InferenceServerException, match="administration is off"):
        client.unload_model("pattern")


def test_shared_memory_is_unimplemented_and_settings_are_read_only(client):
    with pytest.raises(triton.InferenceServerException) as refused:
        client.get_system_shared_memory_status()
    assert "UNIMPLEMENTED" in str(refused.value.status())
    client.get_trace_settings()
    with pytest.raises(triton.InferenceServerException, match="read-only"):
        client.update_trace_settings(settings={"trace_level": ["OFF"]})


def test_models_are_loaded_unloaded_and_swapped_under_load_without_a_failure(tmp_path):
    first, second = make_version(tmp_path, "1", 0.0), make_version(tmp_path, "2", 0.0)
    config = write_config(tmp_path, "admin", "device", ["device"], [first], "[serving]\nadmin = true\n")
    with running(config, "admin") as agent, triton.InferenceServerClient(agent.address) as client:
        failures, versions, ended = [], set(), threading.Event()

        def ask():
            with triton.InferenceServerClient(agent.address) as mine:
                while not ended.is_set():
                    try:
                        versions.add(mine.infer("pattern", [triton_input(images())]).get_response().model_version)
                    except triton.InferenceServerException as error:
                        failures.append(error)

        askers = [threading.Thread(target=ask) for _ in range(4)]
        for asker in askers:
            asker.start()
        try:
            until(lambda: versions, what="a first answer")
            for path in (second, first, second):
                load = pb.RepositoryModelLoadRequest(model_name="pattern")
                load.parameters["path"].string_param = str(path)
                with grpc.insecure_channel(agent.address) as channel:
                    channel.unary_unary(
                        "/inference.GRPCInferenceService/RepositoryModelLoad",
                        request_serializer=pb.RepositoryModelLoadRequest.SerializeToString,
                        response_deserializer=pb.RepositoryModelLoadResponse.FromString,
                    )(load)
            until(lambda: "2" in versions, what="an answer of version 2")
        finally:
            ended.set()
            for asker in askers:
                asker.join(20)
        assert failures == []
        client.unload_model("pattern")
        with pytest.raises(triton.InferenceServerException, match="not loaded"):
            client.infer("pattern", [triton_input(images())])
        client.load_model("pattern")
        assert client.infer("pattern", [triton_input(images())]).get_response().model_version == "2"


def test_draining_finishes_what_is_inside_and_refuses_newcomers(tmp_path):
    top = make_version(tmp_path, "top", 0.0)
    low = make_version(tmp_path, "low", 2.0)
    tiers = ["device", "cloud"]
    top_config = write_config(tmp_path, "above", "cloud", tiers, [top], TRUSTING)
    with running(top_config, "above", "cloud") as above:
        slow = '[cascade]\ntrust = "network"\nhop_delay_ms = 1500\n'
        config = write_config(tmp_path, "below", "device", tiers, [low], slow, [above])
        with running(config, "below") as below, triton.InferenceServerClient(below.address) as client:
            client.infer("pattern", [triton_input(images())])  # connected, warm
            done = []
            answered = threading.Event()

            def callback(result, error):
                done.append((result, error))
                answered.set()

            client.async_infer("pattern", [triton_input(images())], callback=callback)
            with triton.InferenceServerClient(below.address) as other:
                until(
                    lambda: other.get_inference_statistics("pattern").model_stats[0].inference_count == 2,
                    what="the question inside",
                )
            assert below.terminate() == 0
            assert answered.wait(20)
            assert done[0][1] is None, done[0][1]
            assert done[0][0].get_response().parameters["upriver.path"].string_param == "below,above"
            with pytest.raises(triton.InferenceServerException):
                client.infer("pattern", [triton_input(images())])


def test_kept_replies_differ_where_answers_differ(client):
    first = client.infer("pattern", [triton_input(images())], request_id="first")
    other = images() * 9
    second = client.infer("pattern", [triton_input(other)], request_id="second")
    batch = client.infer("pattern", [triton_input(other)], outputs=[triton.InferRequestedOutput("probabilities")])
    assert (first.get_response().id, second.get_response().id) == ("first", "second")
    np.testing.assert_array_equal(second.as_numpy("probabilities"), batch.as_numpy("probabilities"))
    told, made = parameters(second.get_response()), parameters(batch.get_response())
    assert told == made
    assert told["upriver.confidence"] == pytest.approx(float(second.as_numpy("probabilities").max()))

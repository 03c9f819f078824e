"""Models that do not classify, models that are large, and tiers whose labels differ, through real agents."""

import shutil
import threading

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton

from tests.agent_process import TRUSTING, mesh, running, write_config
from tests.integration.test_cascade import ALWAYS, NEVER, ask, facts, probabilities, request
from tests.models.folders import DETECTOR, SCALAR, version_folder
from tests.versions import LABELS, make_version


def infer(agent, model, name, array):
    with triton.InferenceServerClient(agent.address) as client:
        made = triton.InferInput(name, list(array.shape), "FP32")
        made.set_data_from_numpy(array)
        return client.infer(model, [made])


def told(answer):
    return facts(answer.get_response())


def scene(*brightness):
    image = np.zeros((1, 16, 16, 1), np.float32)
    for quarter, value in enumerate(brightness):
        row, column = divmod(quarter, 2)
        image[0, row * 8 : row * 8 + 8, column * 8 : column * 8 + 8] = value
    return image


def test_a_detector_escalates_the_scene_whose_best_box_is_unsure(tmp_path):
    low = version_folder(tmp_path / "low", "detector", DETECTOR)
    top = version_folder(tmp_path / "top", "detector", DETECTOR.replace("threshold = 0.5", "threshold = 0.0", 1))
    with mesh(tmp_path, [("low", "device", low), ("top", "cloud", top)]) as agents:
        sure = infer(agents["low"], "things", "image", scene(0.9, 0.2))
        assert told(sure)["path"] == "low"
        assert told(sure)["confidence"] == pytest.approx(0.9, abs=1e-3)
        unsure = infer(agents["low"], "things", "image", scene(0.4, 0.2))
        assert told(unsure)["path"] == "low,top"
        assert unsure.as_numpy("boxes").shape[-1] == 4
        np.testing.assert_allclose(unsure.as_numpy("scores")[0, :2], [0.4, 0.2], atol=1e-5)


def test_a_model_that_names_its_own_confidence_is_taken_at_its_word(tmp_path):
    low = version_folder(tmp_path / "low", "scalar", SCALAR)
    top = version_folder(tmp_path / "top", "scalar", SCALAR.replace("threshold = 0.5", "threshold = -inf"))
    with mesh(tmp_path, [("low", "device", low), ("top", "cloud", top)]) as agents:
        rng = np.random.default_rng(3)
        for _ in range(10):
            answer = infer(agents["low"], "risk", "features", rng.normal(0, 3, (1, 8)).astype(np.float32))
            value = float(answer.as_numpy("value").reshape(-1)[0])
            assert told(answer)["path"] == ("low" if value >= 0.5 else "low,top")
            assert told(answer)["confidence"] == pytest.approx(value)


def test_large_models_leave_the_serving_threads_and_answer_the_same(tmp_path):
    low, top = make_version(tmp_path, "low", NEVER), make_version(tmp_path, "top", ALWAYS)
    large = f"{TRUSTING}[serving]\nlarge_model_ms = 0.0\nworkers = 2\n"
    with mesh(tmp_path, [("low", "device", low), ("top", "cloud", top)], large) as agents:
        message = request()
        direct = probabilities(ask(agents["top"], message))
        answers = []

        def many():
            answers.extend(ask(agents["low"], message) for _ in range(25))

        askers = [threading.Thread(target=many) for _ in range(4)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join(60)
        assert len(answers) == 100
        assert {facts(answer)["path"] for answer in answers} == {"low,top"}
        assert {probabilities(answer) for answer in answers} == {direct}
        with pytest.raises(grpc.RpcError) as refused:
            ask(agents["low"], request(max_tier="moon"))
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_labels_that_only_the_top_knows_come_back_behind_our_own(tmp_path):
    theirs = [*LABELS[:9], "unheard-of"]
    low = make_version(tmp_path, "low", NEVER)
    top = make_version(tmp_path, "top", ALWAYS, labels=theirs)
    with mesh(tmp_path, [("low", "device", low), ("top", "cloud", top)]) as agents:
        message = request()
        response = ask(agents["low"], message)
        (output,) = [found for found in response.outputs if found.name == "probabilities"]
        labels = output.parameters["upriver.labels"].string_param.split(",")
        assert labels == [*LABELS, "unheard-of"]
        merged = np.frombuffer(probabilities(response), np.float32)
        direct = np.frombuffer(probabilities(ask(agents["top"], message)), np.float32)
        np.testing.assert_array_equal(merged[:9], direct[:9])
        assert (merged[9], merged[10]) == (0.0, direct[9])


def test_an_archive_is_served_like_its_folder(tmp_path):
    folder = make_version(tmp_path, "1", ALWAYS)
    archive = shutil.make_archive(str(tmp_path / "packed"), "gztar", folder)
    with running(write_config(tmp_path, "unpacks", "device", ["device"], [archive]), "unpacks") as agent:
        assert facts(ask(agent, request()))["reason"] == "confident"

"""The clients against real agents: typed answers, batches, streams, fallbacks, the cascade's options."""

import asyncio

import numpy as np
import pytest
import tritonclient.grpc as triton
from PIL import Image

import upriver
from tests.agent_process import REPOSITORY, TRUSTING, mesh, running, write_config
from tests.versions import LABELS, make_version
from upriver.answer import Answer
from upriver.parameters import Reason

RNG = np.random.default_rng(23)
DEMO = REPOSITORY / "demo/models"
NEVER, ALWAYS = 2.0, 0.0  # thresholds no probability reaches, and every one does


def images(*rows):
    return RNG.random((*rows, 14, 14, 1), dtype=np.float32)


@pytest.fixture(scope="module")
def agents(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mesh")
    tiers = [
        ("dev", "device", make_version(folder, "low", 0.5)),
        ("top", "cloud", make_version(folder, "top", ALWAYS)),
    ]
    with mesh(folder, tiers) as started:
        yield started


@pytest.fixture(scope="module")
def client(agents):
    with upriver.Client(agents["dev"].address) as made:
        yield made


def test_one_question_gets_one_typed_answer(client):
    answer = client.infer("pattern", images())
    assert isinstance(answer, Answer)
    assert (answer.model, answer.labels) == ("pattern", LABELS)
    assert answer.label == LABELS[answer.index]
    assert answer.probabilities.sum() == pytest.approx(1, abs=1e-4)
    assert answer.confidence == pytest.approx(answer.probabilities.max(), abs=1e-5)
    assert answer.top(1) == [(answer.label, pytest.approx(answer.confidence))]
    assert answer.resolved is True
    assert answer.degraded is False
    assert answer.reason is Reason.CONFIDENT
    assert answer.agent == answer.path[-1]
    assert answer.policy.startswith("sha256:")
    assert answer.outputs["probabilities"].shape == (10,)
    assert 0 < answer.latency_s < 10


def test_a_batch_has_the_facts_of_every_row(client):
    batch = images(64)
    answers = client.infer("pattern", batch)
    assert [answer.index for answer in answers] == [client.infer("pattern", image).index for image in batch]
    for answer in answers:
        assert answer.path == (("dev",) if answer.tier == "device" else ("dev", "top"))
        assert (answer.confidence >= 0.5) or answer.tier == "cloud"
        assert answer.resolved is True
    assert client.infer("pattern", [batch[0]])[0].index == answers[0].index


def test_the_cascade_does_what_the_caller_asks(client):
    image = images()
    up = client.infer("pattern", image, mode="top")
    assert (up.tier, up.path) == ("cloud", ("dev", "top"))
    here = client.infer("pattern", image, mode=upriver.Mode.LOCAL, min_confidence=1.5)
    assert (here.tier, here.reason, here.resolved) == ("device", Reason.MODE, False)
    bounded = client.infer("pattern", image, max_tier="device", min_confidence=1.5)
    assert (bounded.tier, bounded.reason) == ("device", Reason.MAX_TIER)
    chosen = client.infer("pattern", image, outputs=["embedding"])
    assert (list(chosen.outputs), chosen.label) == (["embedding"], None)
    with pytest.raises(upriver.InvalidInput, match="attic"):
        client.infer("pattern", image, max_tier="attic", min_confidence=1.5)


def test_errors_come_back_as_they_were_raised(client):
    with pytest.raises(upriver.ModelNotFound, match="pattern"):
        client.infer("unknown", images())
    with pytest.raises(upriver.VersionNotFound, match="low"):
        client.infer("pattern", images(), version="77")
    with pytest.raises(upriver.InvalidInput, match="NaN"):
        client.infer("pattern", np.full((14, 14, 1), np.nan, np.float32))
    with pytest.raises(upriver.InvalidInput, match="unknown output 'depth'"):
        client.infer("pattern", images(), outputs=["depth"])
    with pytest.raises(upriver.DeadlineExpired):
        client.infer("pattern", images(), timeout=1e-6)


def test_a_stream_answers_in_order_and_keeps_going_after_an_error(client):
    batch = images(40)
    items = [*batch, images(2), np.zeros((3, 3), np.float32), np.full((14, 14, 1), np.nan, np.float32), batch[0]]
    outcomes = list(client.stream("pattern", iter(items), in_flight=4, return_errors=True))
    expected = [answer.index for answer in client.infer("pattern", batch)]
    assert [answer.index for answer in outcomes[:40]] == expected
    assert len(outcomes[40]) == 2
    assert isinstance(outcomes[41], upriver.InvalidInput)
    assert "NaN" in str(outcomes[42])
    assert outcomes[43].index == expected[0]
    with pytest.raises(upriver.InvalidInput, match="neither one question"):
        list(client.stream("pattern", items))


def test_what_an_agent_has_and_takes(client):
    assert client.ready()
    assert client.models() == [upriver.ModelState("pattern", "low", True, "")]
    metadata = client.metadata("pattern")
    assert metadata.versions == ("low",)
    assert [str(spec) for spec in metadata.inputs] == ["image (FP32 [rows, 14, 14, 1])"]
    assert "probabilities" in [spec.name for spec in metadata.outputs]


def test_asyncio_asks_the_same(agents):
    batch = images(20)

    async def ask():
        async with upriver.AsyncClient(agents["dev"].address) as client:
            assert await client.ready()
            assert [state.model for state in await client.models()] == ["pattern"]
            assert (await client.metadata("pattern")).model == "pattern"
            alone = await asyncio.gather(*(client.infer("pattern", image) for image in batch))
            together = await client.infer("pattern", batch)
            streamed = [answer async for answer in client.stream("pattern", batch, in_flight=3)]
            bad = [np.zeros(3), batch[0]]
            mixed = [outcome async for outcome in client.stream("pattern", bad, return_errors=True)]
            with pytest.raises(upriver.ModelNotFound):
                await client.infer("unknown", batch[0])
            return alone, together, streamed, mixed

    alone, together, streamed, mixed = asyncio.run(ask())
    assert [a.index for a in alone] == [a.index for a in together] == [a.index for a in streamed]
    assert isinstance(mixed[0], upriver.InvalidInput)
    assert mixed[1].index == alone[0].index


def test_stock_stubs_and_ours_live_in_one_process(agents, client):
    image = images()
    theirs_input = triton.InferInput("image", [1, 14, 14, 1], "FP32")
    theirs_input.set_data_from_numpy(image[np.newaxis])
    with triton.InferenceServerClient(agents["dev"].address) as stock:
        theirs = stock.infer("pattern", [theirs_input]).as_numpy("probabilities")[0]
    np.testing.assert_allclose(client.infer("pattern", image).outputs["probabilities"], theirs)


def test_when_the_agent_dies_the_next_one_answers(tmp_path):
    model = make_version(tmp_path, "1", ALWAYS)
    configs = [write_config(tmp_path, name, "device", ["device"], [model], TRUSTING) for name in ("one", "two")]
    with (
        running(configs[0], "one") as one,
        running(configs[1], "two") as two,
        upriver.Client([one.address, two.address], timeout=20) as client,
    ):
        assert client.infer("pattern", images()).agent == "one"
        one.kill()
        assert client.infer("pattern", images()).agent == "two"
        assert client.ready()
        two.kill()
        assert not client.ready()
        with pytest.raises(upriver.Unreachable, match=one.address):
            client.infer("pattern", images())


def test_images_and_paths_fit_a_model_that_takes_pixels(tmp_path):
    model = make_version(tmp_path, "1", ALWAYS)
    manifest = model / "manifest.toml"
    text = manifest.read_text().replace('"FP32"', '"UINT8"').replace("[14, 14, 1]", "[28, 28, 1]")
    text = text.replace(
        'from = "image"', 'from = "image"\nresize = { height = 14, width = 14, interpolation = "area" }\nscale = 0.0039'
    )
    manifest.write_text(text)
    config = write_config(tmp_path, "pixels", "device", ["device"], [model], TRUSTING)
    pixels = RNG.integers(0, 255, (28, 28), np.uint8)
    image = Image.fromarray(pixels)
    image.save(tmp_path / "gray.png")
    with running(config, "pixels") as agent, upriver.Client(agent.address) as client:
        expected = client.infer("pattern", pixels[..., np.newaxis]).probabilities
        path = tmp_path / "gray.png"
        for form in (image, path, str(path), path.read_bytes(), image.convert("RGB")):
            np.testing.assert_allclose(client.infer("pattern", form).probabilities, expected)
        answers = client.infer("pattern", [image, path, pixels[..., np.newaxis]])
        for answer in answers:
            np.testing.assert_allclose(answer.probabilities, expected, rtol=1e-5)
        with pytest.raises(upriver.InvalidInput, match="no image"):
            client.infer("pattern", b"not an image")


def drawn_one():
    """A handwritten-looking one, as the demo's digits are: white on black, 28x28, in the middle."""
    pixels = np.zeros((28, 28), np.uint8)
    pixels[5:23, 13:16] = 255
    return Image.fromarray(pixels)


def test_the_demos_models_read_a_digit_on_every_tier(tmp_path):
    tiers = [(tier, tier, DEMO / tier) for tier in ("device", "far-edge", "near-edge", "cloud")]
    picture = drawn_one().resize((280, 280))
    picture.save(tmp_path / "one.png")
    with mesh(tmp_path, tiers) as agents, upriver.Client(agents["device"].address, timeout=30) as client:
        for tier, _, _ in tiers:
            answer = client.infer("digits", tmp_path / "one.png", mode="top", max_tier=tier)
            assert (answer.label, answer.tier) == ("1", tier)
        noise = RNG.integers(0, 256, (28, 28, 1), np.uint8)
        unsure = client.infer("digits", noise, min_confidence=1.1)
        assert unsure.path == ("device", "far-edge", "near-edge", "cloud")
        assert (unsure.resolved, unsure.reason, unsure.degraded) == (False, Reason.TOP, False)

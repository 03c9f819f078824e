"""The clients against servers that are full, slow, gone, secured or not Upriver's."""

import asyncio
import threading
import time

import grpc
import numpy as np
import pytest
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span

import upriver
from tests.certificates import make_certificates
from tests.oip_server import metadata, serving
from upriver.oip.v2 import inference_pb2 as pb
from upriver.tensors import encode_raw

ROW = np.array([1.0, 2.0], np.float32)


def reply_to(request):
    """Gives back the input as the output `y`."""
    reply = pb.ModelInferResponse(model_name="m", id=request.id, raw_output_contents=list(request.raw_input_contents))
    reply.outputs.add(name="y", datatype=request.inputs[0].datatype, shape=request.inputs[0].shape)
    return reply


def echo(request, context):
    return reply_to(request)


class Recorder:
    """Answers after as many refusals as it is told, and remembers the calls."""

    def __init__(self, *codes):
        self.codes = list(codes)
        self.calls = []

    def __call__(self, request, context):
        self.calls.append((request, dict(context.invocation_metadata()), context.time_remaining()))
        if self.codes:
            context.abort(self.codes.pop(0), "not now")
        return reply_to(request)


BOTH = pytest.mark.parametrize("ask", ["sync", "asyncio"])


def infer(ask, addresses, inputs=ROW, *, client_options=None, **options):
    """Asks once with one of the clients."""
    if ask == "sync":
        with upriver.Client(addresses, **(client_options or {})) as client:
            return client.infer("m", inputs, **options)

    async def run():
        async with upriver.AsyncClient(addresses, **(client_options or {})) as client:
            return await client.infer("m", inputs, **options)

    return asyncio.run(run())


@BOTH
def test_a_server_that_is_not_upriver_is_asked_too(ask):
    with serving(echo) as address:
        answer = infer(ask, address)
        assert answer.outputs["y"].tolist() == [1.0, 2.0]
        assert (answer.label, answer.resolved, answer.tier, answer.reason) == (None, None, "", None)


@BOTH
@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED])
def test_a_full_or_draining_agent_is_asked_again(ask, code):
    recorder = Recorder(code, code)
    with serving(recorder) as address:
        assert infer(ask, address).outputs["y"].tolist() == [1.0, 2.0]
    assert len(recorder.calls) == 3
    assert all(0 < left < 10.5 for _, _, left in recorder.calls)


@BOTH
def test_retries_end(ask):
    recorder = Recorder(*[grpc.StatusCode.RESOURCE_EXHAUSTED] * 9)
    with serving(recorder) as address, pytest.raises(upriver.QueueFull, match="not now"):
        infer(ask, address, client_options={"retries": 1})
    assert len(recorder.calls) == 2


@BOTH
@pytest.mark.parametrize(
    ("code", "error"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, upriver.InvalidInput),
        (grpc.StatusCode.INTERNAL, upriver.InferenceFailed),
        (grpc.StatusCode.UNAUTHENTICATED, upriver.NotAllowed),
        (grpc.StatusCode.DATA_LOSS, upriver.UpriverError),
    ],
)
def test_what_asking_again_does_not_mend_is_not_asked_again(ask, code, error):
    recorder = Recorder(code, code)
    with serving(recorder) as address, pytest.raises(error, match=address):
        infer(ask, address)
    assert len(recorder.calls) == 1


@BOTH
def test_the_next_agent_is_asked_at_once_and_kept(ask):
    full, free = Recorder(*[grpc.StatusCode.RESOURCE_EXHAUSTED] * 9), Recorder()
    with serving(full) as first, serving(free) as second:
        if ask == "sync":
            with upriver.Client([first, second]) as client:
                for _ in range(3):
                    client.infer("m", ROW)
        else:

            async def run():
                async with upriver.AsyncClient([first, second]) as client:
                    for _ in range(3):
                        await client.infer("m", ROW)

            asyncio.run(run())
    assert (len(full.calls), len(free.calls)) == (1, 3)


@BOTH
def test_the_deadline_holds_and_a_hanging_agent_is_not_asked_first_again(ask):
    hanging = threading.Event()

    def hang(request, context):
        hanging.wait(30)
        return reply_to(request)

    with serving(hang) as slow, serving(echo) as quick:

        async def run():
            async with upriver.AsyncClient([slow, quick]) as client:
                started = time.monotonic()
                with pytest.raises(upriver.DeadlineExpired, match=slow):
                    await client.infer("m", ROW, timeout=0.3)
                took_s = time.monotonic() - started
                return took_s, await client.infer("m", ROW)

        if ask == "sync":
            with upriver.Client([slow, quick]) as client:
                started = time.monotonic()
                with pytest.raises(upriver.DeadlineExpired, match=slow):
                    client.infer("m", ROW, timeout=0.3)
                took_s, answer = time.monotonic() - started, client.infer("m", ROW)
        else:
            took_s, answer = asyncio.run(run())
        hanging.set()
    assert took_s < 5
    assert answer.outputs["y"].tolist() == [1.0, 2.0]


@BOTH
def test_the_trace_of_the_caller_goes_along(ask):
    recorder = Recorder()
    context = SpanContext(0xABCDEF, 0x123, is_remote=False, trace_flags=TraceFlags(1))
    with serving(recorder) as address, use_span(NonRecordingSpan(context)):
        infer(ask, address)
    with serving(recorder) as address:
        infer(ask, address)
    (_, within, _), (_, without, _) = recorder.calls
    assert within["traceparent"] == f"00-{0xABCDEF:032x}-{0x123:016x}-01"
    assert "traceparent" not in without


def test_a_message_over_the_bound_is_refused_and_not_asked_again():
    recorder = Recorder()
    model = metadata(shape=(-1, -1))
    with (
        serving(recorder, model=model) as address,
        upriver.Client(address, max_message_bytes=1000) as client,
        pytest.raises(upriver.InvalidInput, match="larger than max"),
    ):
        client.infer("m", np.zeros((1, 1000), np.float32))
    assert recorder.calls == []


@BOTH
def test_a_contract_that_has_changed_is_learnt_anew(ask):
    model = metadata()

    def picky(request, context):
        if list(request.inputs[0].shape[1:]) != list(model.inputs[0].shape[1:]):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "another shape")
        return reply_to(request)

    wide = np.zeros(3, np.float32)

    async def run(address):
        async with upriver.AsyncClient(address) as client:
            await client.infer("m", ROW)
            model.inputs[0].shape[:] = [-1, 3]
            with pytest.raises(upriver.InvalidInput, match="another shape"):
                await client.infer("m", ROW)
            return await client.infer("m", wide)

    with serving(picky, model=model) as address:
        if ask == "sync":
            with upriver.Client(address) as client:
                client.infer("m", ROW)
                model.inputs[0].shape[:] = [-1, 3]
                with pytest.raises(upriver.InvalidInput, match="another shape"):
                    client.infer("m", ROW)
                answer = client.infer("m", wide)
        else:
            answer = asyncio.run(run(address))
    assert answer.outputs["y"].shape == (3,)


def test_a_client_is_shared_by_threads():
    with serving(echo) as address, upriver.Client(address) as client:
        answers = {}

        def ask(number):
            for step in range(20):
                value = float(number * 100 + step)
                answers[value] = client.infer("m", np.array([value, 0], np.float32)).outputs["y"][0]

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert len(answers) == 80
    assert all(asked == answered for asked, answered in answers.items())


def test_a_closed_client_says_so():
    client = upriver.Client("127.0.0.1:1")
    client.close()
    with pytest.raises(ValueError, match="closed"):
        client.models()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    make_certificates(folder, ["server", "caller"])
    make_certificates(folder, ["stranger"], "other")
    return folder


def server_credentials(folder):
    pair = ((folder / "server.key").read_bytes(), (folder / "server.pem").read_bytes())
    return grpc.ssl_server_credentials([pair], (folder / "ca.pem").read_bytes(), require_client_auth=True)


@BOTH
def test_mutual_tls(ask, certificates):
    files = upriver.TlsFiles(certificates / "ca.pem", certificates / "caller.pem", certificates / "caller.key")
    with serving(echo, credentials=server_credentials(certificates)) as address:
        options = {"tls": files, "retries": 0, "timeout": 20}
        assert infer(ask, address, client_options=options).outputs["y"].tolist() == [1.0, 2.0]
        named = upriver.TlsFiles(files.ca, files.certificate, files.key, "localhost")
        infer(ask, address, client_options=options | {"tls": named})
        strangers = [
            None,
            upriver.TlsFiles(files.ca),
            upriver.TlsFiles(certificates / "other.pem", files.certificate, files.key),
            upriver.TlsFiles(files.ca, certificates / "stranger.pem", certificates / "stranger.key"),
            upriver.TlsFiles(files.ca, files.certificate, files.key, "elsewhere"),
        ]
        for stranger in strangers:
            with pytest.raises(upriver.Unreachable):
                infer(ask, address, client_options=options | {"tls": stranger})


def each(requests, context):
    for request in requests:
        yield pb.ModelStreamInferResponse(infer_response=reply_to(request))


def stream(ask, address, items, **options):
    """Everything that a stream yields."""
    if ask == "sync":
        with upriver.Client(address) as client:
            return list(client.stream("m", items, **options))

    async def run():
        async with upriver.AsyncClient(address) as client:
            return [outcome async for outcome in client.stream("m", items, **options)]

    return asyncio.run(run())


def numbers(count):
    return (np.array([number, 0], np.float32) for number in range(count))


@BOTH
@pytest.mark.parametrize("in_flight", [1, 3, 64])
def test_a_stream_is_in_order_whatever_its_window(ask, in_flight):
    with serving(stream=each) as address:
        answers = stream(ask, address, numbers(50), in_flight=in_flight)
    assert [answer.outputs["y"][0] for answer in answers] == list(range(50))


@BOTH
def test_no_more_than_the_window_waits_for_an_answer(ask):
    taken, most = 0, 0
    answered = 0

    def items():
        nonlocal taken, most
        for item in numbers(40):
            taken += 1
            most = max(most, taken - answered)
            yield item

    async def run(address):
        nonlocal answered
        async with upriver.AsyncClient(address) as client:
            async for _ in client.stream("m", items(), in_flight=3):
                answered += 1

    with serving(stream=each) as address:
        if ask == "sync":
            with upriver.Client(address) as client:
                for _ in client.stream("m", items(), in_flight=3):
                    answered += 1
        else:
            asyncio.run(run(address))
    assert most <= 3 + 2  # one is taken from the source and waits for a place, one is answered and not yet counted


@BOTH
def test_an_answer_does_not_wait_for_a_slow_source(ask):
    answered = threading.Event()

    def slow():
        yield ROW
        assert answered.wait(20), "the first answer was held back"
        yield ROW

    async def slow_async():
        yield ROW
        assert await asyncio.to_thread(answered.wait, 20), "the first answer was held back"
        yield ROW

    async def run(address):
        async with upriver.AsyncClient(address) as client:
            return [(answer, answered.set()) async for answer in client.stream("m", slow_async())]

    with serving(stream=each) as address:
        if ask == "sync":
            with upriver.Client(address) as client:
                outcomes = [(answer, answered.set()) for answer in client.stream("m", slow())]
        else:
            outcomes = asyncio.run(run(address))
    assert len(outcomes) == 2


@BOTH
def test_an_error_of_the_source_is_the_callers(ask):
    def broken():
        yield ROW
        raise LookupError("no more films")

    with serving(stream=each) as address, pytest.raises(LookupError, match="no more films"):
        stream(ask, address, broken())


def read_all(requests):
    """Takes all questions: what ends a stream while one is written is not told to asyncio's clients."""
    taken = list(requests)
    assert len(taken) == 10
    return taken


@BOTH
def test_a_stream_that_breaks_is_an_error(ask):
    def breaks(requests, context):
        yield pb.ModelStreamInferResponse(infer_response=reply_to(read_all(requests)[0]))
        context.abort(grpc.StatusCode.UNAVAILABLE, "gone fishing")

    with serving(stream=breaks) as address, pytest.raises(upriver.Unreachable, match="gone fishing"):
        stream(ask, address, numbers(10), return_errors=True)


@BOTH
def test_a_stream_that_breaks_while_it_is_written_is_an_error(ask):
    def breaks(requests, context):
        yield pb.ModelStreamInferResponse(infer_response=reply_to(next(requests)))
        context.abort(grpc.StatusCode.UNAVAILABLE, "gone fishing")

    with serving(stream=breaks) as address, pytest.raises(upriver.Unreachable, match=r"fishing|broke off"):
        stream(ask, address, numbers(1000), in_flight=2, return_errors=True)


@BOTH
def test_a_stream_that_ends_too_early_or_answers_something_else_is_an_error(ask):
    def early(requests, context):
        yield pb.ModelStreamInferResponse(infer_response=reply_to(read_all(requests)[0]))

    def other(requests, context):
        for request in read_all(requests):
            request.id = "other"
            yield pb.ModelStreamInferResponse(infer_response=reply_to(request))

    for behaviour in (early, other):
        with serving(stream=behaviour) as address, pytest.raises(upriver.InferenceFailed, match="out of step"):
            stream(ask, address, numbers(10))


@BOTH
def test_an_answer_that_never_comes_ends_the_stream(ask):
    ended = threading.Event()

    def silent(requests, context):
        context.add_callback(ended.set)
        yield pb.ModelStreamInferResponse(infer_response=reply_to(next(requests)))
        ended.wait(30)

    with serving(stream=silent) as address, pytest.raises(upriver.DeadlineExpired, match=r"no answer within 0\.3 s"):
        stream(ask, address, numbers(10), timeout=0.3)
    assert ended.is_set()


@BOTH
def test_leaving_a_stream_ends_it_on_the_server(ask):
    ended = threading.Event()

    def watched(requests, context):
        context.add_callback(ended.set)
        yield from each(requests, context)

    with serving(stream=watched) as address:
        if ask == "sync":
            with upriver.Client(address) as client:
                answers = client.stream("m", numbers(1_000_000))
                next(answers)
                answers.close()
                assert ended.wait(20)
        else:

            async def run():
                async with upriver.AsyncClient(address) as client:
                    answers = client.stream("m", numbers(1_000_000))
                    await anext(answers)
                    await answers.aclose()
                    assert await asyncio.to_thread(ended.wait, 20)

            asyncio.run(run())


def test_cancelling_an_asyncio_call_cancels_it_on_the_server():
    begun, ended = threading.Event(), threading.Event()

    def hang(request, context):
        context.add_callback(ended.set)
        begun.set()
        ended.wait(30)
        return reply_to(request)

    async def run(address):
        async with upriver.AsyncClient(address) as client:
            asking = asyncio.create_task(client.infer("m", ROW))
            assert await asyncio.to_thread(begun.wait, 20)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            assert await asyncio.to_thread(ended.wait, 20)

    with serving(hang) as address:
        asyncio.run(run(address))


@BOTH
def test_ready_is_told_by_any_of_the_agents(ask):
    def ready(addresses):
        if ask == "sync":
            with upriver.Client(addresses) as client:
                return client.ready(timeout=20), [state.model for state in client.models()]

        async def run():
            async with upriver.AsyncClient(addresses) as client:
                return await client.ready(timeout=20), [state.model for state in await client.models()]

        return asyncio.run(run())

    with serving(ready=False) as loading, serving() as serves:
        assert ready([loading, "127.0.0.1:1"]) == (False, ["m"])
        assert ready(["127.0.0.1:1", loading, serves]) == (True, ["m"])


def test_encoded_images_go_as_they_are():
    recorder = Recorder()
    with serving(recorder, model=metadata("BYTES", (-1,))) as address:
        infer("sync", address, b"\xff\xd8 any bytes")
    request = recorder.calls[0][0]
    assert request.raw_input_contents[0] == encode_raw(np.array([b"\xff\xd8 any bytes"], object), "BYTES")
    assert list(request.inputs[0].shape) == [1]

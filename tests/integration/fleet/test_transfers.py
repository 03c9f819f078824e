"""How versions travel through whole agents: relays that die, bytes that are changed on the way, deltas."""

from contextlib import ExitStack
from dataclasses import replace

from tests.agent_process import until
from tests.asking import version_of
from tests.control_plane_process import control_plane, following
from tests.fleet_faults import ALWAYS, publish, recorded, refusal, roll_out, shown
from tests.grpc_proxy import FETCH, METADATA, flip, grpc_proxy
from tests.versions import MIB, make_version, pad


def advertised(proxy):
    """A line of [agent]: others call it through the proxy."""
    return f'advertise = "{proxy.address}"'


def partial_bytes(state):
    return sum(path.stat().st_size for path in state.glob("blobs/*.partial"))


def test_a_relay_that_is_killed_while_a_device_fetches_costs_nothing_that_had_come(tmp_path):
    size = 8 * MIB
    with ExitStack() as stack:
        plane = stack.enter_context(control_plane(tmp_path / "control"))
        publish(plane, tmp_path, "v1", size)
        above, between = stack.enter_context(grpc_proxy(plane.address)), stack.enter_context(grpc_proxy())
        slow = "[blobs]\nserve_mib_s = 2\n"
        relay = stack.enter_context(
            following(tmp_path, plane, "far-1", "far-edge", agent=advertised(between), more=slow)
        )
        between.to(relay.address)
        counted = replace(plane, join=plane.join.replace(plane.address, above.address))
        device = stack.enter_context(following(tmp_path, counted, "dev-1"))
        operator = stack.enter_context(plane.stubs())
        roll_out(operator, "v1", "tier=far-edge")
        until(lambda: version_of(relay) == "v1", 30, "the relay's own version")
        roll_out(operator, "v1", "tier=device")
        until(lambda: partial_bytes(tmp_path / "dev-1") >= 3 * MIB, 30, "the middle of the transfer")
        relay.kill()
        until(lambda: version_of(device) == "v1", 60, "the version, though the relay is gone")
        by_relay, by_control_plane = between.received[FETCH], above.received[FETCH]
        assert by_relay >= 3 * MIB
        assert MIB < by_control_plane <= size + MIB - 3 * MIB, "it went on where the relay had ended"


def test_a_relay_that_changes_bytes_is_left_for_the_control_plane(tmp_path):
    with ExitStack() as stack:
        plane = stack.enter_context(control_plane(tmp_path / "control"))
        publish(plane, tmp_path, "v1", 3 * MIB)
        liar = stack.enter_context(grpc_proxy())
        liar.tamper = flip
        relay = stack.enter_context(following(tmp_path, plane, "far-1", "far-edge", agent=advertised(liar)))
        liar.to(relay.address)
        device = stack.enter_context(following(tmp_path, plane, "dev-1"))
        operator = stack.enter_context(plane.stubs())
        roll_out(operator, "v1")
        until(lambda: version_of(device) == "v1", 30, "the version, from somebody honest")
        assert liar.received[FETCH] > 0
        assert "far-1 is left for this download" in device.log.read_text()


def test_with_nobody_honest_nothing_is_loaded_and_the_reason_is_told(tmp_path):
    with control_plane(tmp_path / "control") as plane, grpc_proxy(plane.address) as liar, plane.stubs() as operator:
        for seed, version in enumerate(("v1", "v2", "v3")):
            publish(plane, tmp_path, version, 2 * MIB, seed)
        through = replace(plane, join=plane.join.replace(plane.address, liar.address))
        with following(tmp_path, through, "dev-1") as device:
            roll_out(operator, "v1")
            until(lambda: recorded(tmp_path / "dev-1") == "v1", 30, "the first version")
            liar.tamper = flip
            roll_out(operator, "v2")
            told = until(lambda: refusal(plane, "dev-1", "unavailable"), 30, "the refusal in the fleet")
            assert "is not what was signed" in told or "what came is not" in told
            assert version_of(device) == "v1"
            liar.tamper = lambda method, reply: (
                reply.replace(b'"version"', b'"vorsion"') if method == METADATA else reply
            )
            roll_out(operator, "v3")
            told = until(lambda: refusal(plane, "dev-1", "untrusted"), 30, "the refusal in the fleet")
            assert "tampered with" in told
            assert version_of(device) == "v1"
            liar.tamper = lambda method, reply: reply
            until(lambda: version_of(device) == "v3", 60, "the newest version, once nobody lies")


def test_a_change_of_the_head_travels_through_a_relay_as_a_delta(tmp_path):
    with ExitStack() as stack:
        plane = stack.enter_context(control_plane(tmp_path / "control"))
        first = pad(make_version(tmp_path, "v1", ALWAYS), 8 * MIB, 1)
        second = pad(make_version(tmp_path, "v2", ALWAYS), 8 * MIB, 1)
        model = second / "model.tflite"
        data = model.read_bytes()
        # The last layer of a model of this size: other weights of 100 classes over 256 features.
        model.write_bytes(data[:-102_400] + bytes(byte ^ 0x5A for byte in data[-102_400:]))
        for folder in (first, second):
            plane.upriver("model", "publish", str(folder))
        above, between = stack.enter_context(grpc_proxy(plane.address)), stack.enter_context(grpc_proxy())
        relay = stack.enter_context(following(tmp_path, plane, "far-1", "far-edge", agent=advertised(between)))
        between.to(relay.address)
        counted = replace(plane, join=plane.join.replace(plane.address, above.address))
        device = stack.enter_context(following(tmp_path, counted, "dev-1"))
        operator = stack.enter_context(plane.stubs())
        roll_out(operator, "v1")
        until(lambda: recorded(tmp_path / "dev-1") == "v1", 30, "the first version")
        until(lambda: version_of(relay) == "v1", 30, "the relay's")
        before = between.received[FETCH]
        assert before > 8 * MIB
        roll_out(operator, "v2")
        until(lambda: version_of(device) == "v2", 30, "the second version")
        share = (between.received[FETCH] - before) / len(data)
        print(f"{between.received[FETCH] - before} bytes of {len(data)}: {share:.2%}")
        assert share <= 0.03
        assert above.received[FETCH] == 0
        assert shown(plane, "dev-1")["active"].endswith("/v2")

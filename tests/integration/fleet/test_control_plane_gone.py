"""The control plane is gone for good: who was provisioned answers on, and starts again, with everybody above."""

from contextlib import ExitStack

from tests.agent_process import running, until
from tests.asking import ask, version_of
from tests.control_plane_process import control_plane, following
from tests.fleet_faults import publish, recorded

NEVER, ALWAYS = 2.0, 0.0


def tier_of(agent):
    return ask(agent).parameters["upriver.tier"].string_param


def test_all_tiers_answer_together_after_reboots_though_the_control_plane_never_comes_back(tmp_path):
    tiers = {"dev-1": "device", "far-1": "far-edge", "near-1": "near-edge", "cloud-1": "cloud"}
    with control_plane(tmp_path / "control") as plane:
        for version, threshold in (("unsure", NEVER), ("sure", ALWAYS)):
            publish(plane, tmp_path, version, threshold=threshold)
        with ExitStack() as stack:
            agents = {name: stack.enter_context(following(tmp_path, plane, name, tier)) for name, tier in tiers.items()}
            for version, selector in (("unsure", "tier!=cloud"), ("sure", "tier=cloud")):
                plane.upriver("rollout", "start", f"pattern/{version}", "-l", selector, "--soak", "0s", "--wait")
            until(lambda: tier_of(agents["dev-1"]) == "cloud", 20, "an answer of the cloud's")
            for name, version in (dict.fromkeys(tiers, "unsure") | {"cloud-1": "sure"}).items():
                until(lambda name=name, version=version: recorded(tmp_path / name) == version, 10, "the record")
            plane.kill()
            assert tier_of(agents["dev-1"]) == "cloud"
            for agent in agents.values():
                agent.kill()
        for agent in agents.values():  # an agent that comes back is where it was, as with a configured port
            config = agent.config.read_text()
            agent.config.write_text(config.replace("127.0.0.1:0", agent.address))
        with ExitStack() as stack:
            again = {
                name: stack.enter_context(running(agents[name].config, name, tier)) for name, tier in tiers.items()
            }
            held = dict.fromkeys(tiers, "unsure") | {"cloud-1": "sure"}
            assert {name: version_of(agent) for name, agent in again.items()} == held
            # Open tickets were asked again while the cloud was not there yet: it may be left alone for a moment.
            until(lambda: tier_of(again["dev-1"]) == "cloud", 20, "an answer of the cloud's")
            told = ask(again["dev-1"])
            assert told.parameters["upriver.tier"].string_param == "cloud"
            assert "dev-1" in told.parameters["upriver.path"].string_param

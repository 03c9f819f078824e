"""The alarm of a pair that an agent has refined: it goes back to the pair that it was assigned, and says why."""

import json
import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.agent_process import running, until, write_config
from tests.heads import head_for, policy_with
from tests.versions import make_version
from upriver import Client
from upriver.heads import write_head
from upriver.policies import Basis, Certificate, Form, rules_digest, write_policy
from upriver_agent.policy import make_policy
from upriver_agent.refinement import Base, Refined, Standing
from upriver_agent.serving import refined_record
from upriver_agent.serving.refiner import ALARM, FILE
from upriver_agent.versions import open_version
from upriver_agent.versions.head_store import HeadStore

LADDER = ["device", "cloud"]
MORE = (
    '[cascade]\ntrust = "network"\n[audits]\nrate = 1.0\nmax_rate = 1.0\nper_s = 10000\n[learning]\nenabled = false\n'
)


def refine(state: Path, made: Path) -> str:
    """Leaves a pair in an agent's state as one that was promoted, with a head of chance and a certificate that is not
    true; gives its policy's digest."""
    version = open_version(made, state)
    head = head_for(version, 1, ["learnt"])
    HeadStore(state).put(write_head(head))
    plain = policy_with(version, head, -math.inf)
    certificate = Certificate(
        Form.PER_TIER, Basis.TOP, 0.01, 0.05, 900, 0.0, 1.0, 1.0, version.digest, rules_digest(plain), version.digest
    )
    policy = replace(plain, certificate=certificate)
    base = Base(version.digest, make_policy(version.manifest.policy_document(version.digest)).digest)
    refined = Refined(base, write_policy(policy), 100, 1, time.time())
    refined_record.save(state / FILE, {"pattern": Standing(base, refined)})
    return make_policy(policy).digest


def ask(address: str, rows: int) -> set[tuple[str, str]]:
    images = np.random.default_rng(rows).random((rows, 14, 14, 1), np.float32)
    with Client(address) as client:
        return {(answer.agent, answer.policy) for answer in client.infer("pattern", images)}


def test_a_refined_pair_whose_alarm_rings_gives_way_to_its_base_for_good(tmp_path: Path) -> None:
    above = write_config(tmp_path, "cloud-1", "cloud", LADDER, [make_version(tmp_path, "cloud", -1.0)], MORE)
    with running(above, "cloud-1", "cloud") as cloud:
        version = make_version(tmp_path, "device", 2.0)
        config = write_config(tmp_path, "device-1", "device", LADDER, [version], MORE, [cloud])
        promoted = refine(tmp_path / "device-1", version)
        with running(config, "device-1") as device:
            assert ask(device.address, 3) == {("device-1", promoted)}
            ask(device.address, 40)
            until(lambda: {agent for agent, _ in ask(device.address, 2)} == {"cloud-1"}, 20, "the base to answer")
            kept = json.loads((tmp_path / "device-1" / FILE).read_text())["models"]["pattern"]
            assert (kept["refined"], kept["ended"]["why"]) == (None, ALARM)
            device.kill()
        with running(config, "device-1") as device:
            assert {agent for agent, _ in ask(device.address, 2)} == {"cloud-1"}

from dataclasses import replace

from upriver.policies import Basis, Certificate, Form, PolicyDocument, rules_digest, write_policy
from upriver.promises import Promise
from upriver.scores import ScoreKind
from upriver_control.observed import AgentFacts, Desired, Pair, SlotFacts
from upriver_control.regional.standing import kept_back, promise_of, standing

VERSION, OTHER, TOP = (f"sha256:{digit * 64}" for digit in "abc")
TIERS = ("device", "edge", "cloud")


def policy(digest: str = VERSION, threshold: float = 0.5, form: Form = Form.PER_TIER) -> PolicyDocument:
    bare = PolicyDocument(digest, ScoreKind.MAX_PROBABILITY, threshold)
    certificate = Certificate(form, Basis.TOP, 0.01, 0.05, 500, 1.0, 0.5, 0.5, TOP, rules_digest(bare), TOP)
    return PolicyDocument(digest, ScoreKind.MAX_PROBABILITY, threshold, certificate=certificate)


def agent(name: str, tier: str, region: str, pair: Pair | None) -> AgentFacts:
    slots = {} if pair is None else {"m": SlotFacts(active=pair)}
    labels = {"tier": tier, "region": region}
    return AgentFacts(name, labels, connected=True, last_seen=0.0, slots=slots, tiers=TIERS)


def test_what_most_agents_of_a_region_run_is_what_heads_are_held_against() -> None:
    common, rare = (Pair("models/m/versions/1", VERSION, write_policy(policy(threshold=one))) for one in (0.5, 0.6))
    plain = Pair("models/m/versions/2", OTHER)
    agents = [
        agent("a", "device", "north", common),
        agent("b", "device", "north", common),
        agent("c", "edge", "north", rare),
        agent("d", "device", "south", plain),
        agent("e", "cloud", "north", plain),  # the top has nobody to learn from
        agent("f", "device", "north", None),
    ]
    manifest = {OTHER: write_policy(policy(OTHER))}
    found = {(one.region, one.pair.version_digest): one for one in standing(agents, manifest)}
    north = found.pop(("north", VERSION))
    assert (north.pair, north.agents, north.tiers) == (common, 3, ("device", "edge"))
    south = found.pop(("south", OTHER))
    assert south.policy == policy(OTHER)
    assert not found
    assert standing(agents[3:4], {}) == []  # without a policy nobody knows what to keep


def test_agents_that_are_gone_decide_only_where_no_other_one_runs_the_version() -> None:
    new, old = (Pair("models/m/versions/1", VERSION, write_policy(policy(threshold=one))) for one in (0.5, 0.6))
    ghosts = [replace(agent(f"off{at}", "edge", "north", old), connected=False) for at in range(5)]
    (north,) = standing([agent("on", "device", "north", new), *ghosts], {})
    assert (north.pair, north.tiers, north.agents) == (new, ("device",), 1)
    (left,) = standing(ghosts, {})
    assert (left.pair, left.tiers, left.agents) == (old, ("edge",), 5)


def test_what_runs_is_told_in_time_that_grows_with_the_number_of_agents_and_not_its_square(monkeypatch) -> None:
    compared: list[object] = []
    monkeypatch.setattr(Pair, "is_same", lambda *pairs: compared.append(pairs) or True)
    pairs = [Pair("models/m/versions/1", VERSION, write_policy(policy(threshold=one))) for one in (0.5, 0.6)]
    agents = [agent(f"a{at}", "device", "north", pairs[at % 2]) for at in range(500)]
    (north,) = standing(agents, {})
    assert (north.agents, len(compared) <= 500) == (500, True)


def test_a_version_is_alone_where_no_agent_runs_another_one_or_is_to() -> None:
    one, two = Pair("models/m/versions/1", VERSION), Pair("models/m/versions/2", OTHER)
    manifest = {VERSION: write_policy(policy()), OTHER: write_policy(policy(OTHER))}
    a, b = agent("a", "device", "north", one), agent("b", "device", "north", two)
    bare = agent("c", "device", "north", None)
    gone = replace(b, connected=False)
    south, edge = agent("d", "device", "south", two), agent("e", "edge", "north", two)

    def found(*agents: AgentFacts, **wishes: Pair) -> set[str]:
        desired = {name: {"m": Desired(pair, "r", 1)} for name, pair in wishes.items()}
        whose = {f"{one.region} {one.pair.version}": one for one in standing(agents, manifest)}
        told = {key: kept_back(one, agents, lambda facts: desired.get(facts.agent, {})) for key, one in whose.items()}
        whys.update(told.values())
        return {key for key, why in told.items() if not why}

    whys: set[str] = set()
    assert found(a, south, edge) == {f"north {one.version}", f"south {two.version}", f"north {two.version}"}
    assert found(a, b) == set()
    assert found(a, gone) == {f"north {one.version}"}  # nobody knows when it comes back, and what it is to run then
    assert found(gone) == set()
    assert found(a, gone, b=two) == set()
    assert found(a, b, a=one, b=one) == {f"north {one.version}"}  # b can't run it
    assert found(a, a=two) == set()  # it has not heard of it yet
    assert found(a, bare) == set()  # it was not to have the model at all
    assert found(a, bare, c=one) == {f"north {one.version}"}
    assert whys >= {"c runs nothing", f"b is to run {two.version}", "none of its agents is connected"}


def test_heads_keep_what_was_set_or_what_runs_there_is_certified_for() -> None:
    assert promise_of(policy(), 0.0, 0.0) == Promise(0.01, 0.05)
    assert promise_of(policy(), 0.0, 0.9).delta == 0.09999999999999998  # type: ignore[union-attr]  # there is one
    assert promise_of(policy(), 0.02, 0.0) == Promise(0.02, 0.05)
    assert promise_of(PolicyDocument(VERSION, ScoreKind.MARGIN, 0.5), 0.02, 0.0) == Promise(0.02, 0.05)
    assert "no certificate" in str(promise_of(PolicyDocument(VERSION, ScoreKind.MARGIN, 0.5), 0.0, 0.0))
    assert "set of pairs" in str(promise_of(policy(form=Form.JOINT), 0.0, 0.0))

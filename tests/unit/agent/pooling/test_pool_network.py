"""Networks of pooling agents in one process, on wires that lose, repeat and reorder, with a clock of their own."""

from dataclasses import dataclass, field

from hypothesis import example, given, settings
from hypothesis import strategies as st

from upriver.pool import Answer, Pool, PoolLimits, Submission
from upriver_agent.pooling.course import Course, Due, pass_on

ROOT = "root"
TIERS = (("a", "b", "c", "d"), ("p", "q", "r"), ("s", "t"))
"""Devices, and two tiers of parents; the root is above all."""
LIMITS = PoolLimits(max_children=64, expiry_s=1000.0, patience_s=50.0)
Content = dict[str, int]


@dataclass
class Node:
    """An agent that learns, pools what is below it and sends it to one parent."""

    name: str
    above: tuple[str, ...]
    epoch: int = 0
    state: int = 0
    parent: str = ""
    alive: bool = True
    pool: Pool[Content] = field(default_factory=lambda: Pool(LIMITS))
    course: Course | None = None

    def boot(self, forgotten: int = 0) -> None:
        """Starts. An agent that has forgotten its epochs goes on from its clock."""
        self.epoch = forgotten or self.epoch
        self.alive = True
        self.pool = Pool(LIMITS)
        self.course = Course(self.name, self._new_epoch)

    def _new_epoch(self, above: int) -> int:
        self.epoch = max(self.epoch, above) + 1
        return self.epoch


@dataclass
class Network:
    """The agents, what is on its way, and what each agent was in each of its epochs."""

    now: float = 0.0
    nodes: dict[str, Node] = field(default_factory=dict)
    root: Pool[Content] = field(default_factory=lambda: Pool(LIMITS))
    wire: list[tuple[str, Due, Submission[Content] | None, str]] = field(default_factory=list)
    answers: list[tuple[str, str, Due, Answer]] = field(default_factory=list)
    states: dict[tuple[str, int], set[int]] = field(default_factory=dict)
    counted: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for tier, names in enumerate(TIERS):
            above = (*(name for names_above in TIERS[tier + 1 :] for name in names_above), ROOT)
            for name in names:
                node = self.nodes[name] = Node(name, above, parent=above[0])
                node.boot()

    def send(self, name: str) -> None:
        node = self.nodes[name]
        if not node.alive or node.course is None:
            return
        node.pool.expire(self.now)
        due = node.course.next(node.parent, (node.state, node.pool.revision))
        self.states.setdefault((name, due.epoch), set()).add(node.state)
        content = {agent: value for one in node.pool.counted() for agent, value in one.content.items()}
        content[name] = node.state
        whole = Submission(name, {**node.pool.roster(), name: due.epoch}, content, str(content)) if due.whole else None
        self.wire.append((node.parent, due, whole, name))

    def deliver(self, number: int, keep: bool = False) -> None:
        if not self.wire:
            return
        at = number % len(self.wire)
        parent, due, whole, child = self.wire[at] if keep else self.wire.pop(at)
        pool = self.root if parent == ROOT else self.nodes[parent].pool
        if parent != ROOT and not self.nodes[parent].alive:
            return
        answer = pool.unchanged(child, due.epoch, self.now) if whole is None else pool.offer(whole, self.now)
        self.answers.append((child, parent, due, answer))
        self.check()

    def answer(self, number: int, keep: bool = False) -> None:
        if not self.answers:
            return
        at = number % len(self.answers)
        child, parent, due, answer = self.answers[at] if keep else self.answers.pop(at)
        node = self.nodes[child]
        if node.alive and node.course is not None:
            node.course.answered(parent, due, answer)
            pass_on(node.pool, child, answer, self.now)
        self.check()

    def quiesce(self, rounds: int = 14) -> None:
        """Everything gets through."""
        for _ in range(rounds):
            for name in reversed(self.nodes):
                self.send(name)
            while self.wire:
                self.deliver(0)
            while self.answers:
                self.answer(0)
            self.now += 20.0
            self.root.expire(self.now)

    def check(self) -> None:
        """Each agent counts at most once, with one of its own states, and at the root never with one before another.

        So what an agent has forgotten does not come back there.
        """
        for pool in (self.root, *(node.pool for node in self.nodes.values())):
            seen: set[str] = set()
            for submission in pool.counted():
                assert seen.isdisjoint(submission.roster)
                seen.update(submission.roster)
                assert submission.content.keys() == submission.roster.keys()
                for agent, epoch in submission.roster.items():
                    assert submission.content[agent] in self.states[agent, epoch]

        for agent, epoch in self.root.roster().items():
            assert epoch >= self.counted.get(agent, 0)
            self.counted[agent] = epoch

    def total(self) -> Content:
        return {agent: value for one in self.root.counted() for agent, value in one.content.items()}


def perform(network: Network, kind: int, number: int) -> None:
    names = list(network.nodes)
    node = network.nodes[names[number % len(names)]]
    network.now += 0.01
    match kind:
        case 0 | 1 | 2:
            network.send(node.name)
        case 3 | 4 | 5:
            network.deliver(number)
        case 6:
            network.deliver(number, keep=True)
        case 7 | 8:
            network.answer(number)
        case 9:
            network.answer(number, keep=True)
        case 10:
            if network.wire:
                network.wire.pop(number % len(network.wire))
        case 11:
            node.state += 1  # it has learnt, or forgotten
        case 12 | 13:
            node.parent = node.above[(number // len(names)) % len(node.above)]
        case 14:
            node.boot(round(network.now * 1000) if number % 3 == 0 else 0)
        case 15:
            node.alive = False
        case 16:
            network.now += 12.0
        case 17:
            node.pool.expire(network.now)
        case 18:
            network.quiesce(1)


@settings(max_examples=120, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 18), st.integers(0, 400)), max_size=80))
@example([(0, n) for n in range(9)] * 3 + [(3, 0)] * 40 + [(15, 4), (12, 9), (12, 10)])
def test_each_agent_counts_once_whatever_happens_and_in_the_end_with_what_it_is(actions: list[tuple[int, int]]) -> None:
    network = Network()
    for kind, number in actions:
        perform(network, kind, number)
    network.check()
    for node in network.nodes.values():
        if not node.alive:
            node.boot()
        node.state += 1
    network.quiesce()
    assert network.total() == {name: node.state for name, node in network.nodes.items()}


def test_an_agent_that_moves_is_in_one_place_at_any_time() -> None:
    network = Network()
    network.quiesce()
    network.nodes["a"].parent = "q"
    for name in reversed(network.nodes):
        network.send(name)
        while network.wire:
            network.deliver(0)
        assert sum("a" in one.roster for one in network.root.counted()) <= 1
    network.quiesce(4)
    assert network.total().keys() == network.nodes.keys()


def test_children_of_a_dead_parent_count_through_another_once_it_was_not_heard_of_for_a_while() -> None:
    network = Network()
    network.quiesce()
    network.nodes["p"].alive = False
    for name in "abcd":
        network.nodes[name].state += 1
        network.nodes[name].parent = "q"
    network.quiesce(12)
    counted = network.total()
    assert {name: counted[name] for name in "abcd"} == {name: network.nodes[name].state for name in "abcd"}
    assert "p" not in counted

"""The agent's own state machine behind the simulator's port."""

from upriver_agent import slot as machine
from upriver_agent.slot import Advanced, Assigned, Do, Failed, Retry, Shadowed, Slot, State
from upriver_control.observed import Failure, Pair, SlotFacts, SlotState

_ENDS_AS = {Do.STAGE: State.STAGED, Do.VERIFY: State.VERIFIED, Do.WARM: State.WARMED}
_WORK = (*_ENDS_AS, Do.SHADOW, Do.ACTIVATE, Do.RESTORE)


def theirs(pair):
    return None if pair is None else machine.Pair(pair.version, pair.version_digest, pair.policy_document)


def ours(pair):
    return None if pair is None else Pair(pair.version, pair.digest, pair.policy)


class AgentSlot:
    """Runs `upriver_agent.slot`; checks at every step that only a verified pair, whole as it was sent, is active."""

    def __init__(self, active=None):
        first = theirs(active)
        self.slot = Slot("digits", active=first, state=State.EMPTY if first is None else State.ACTIVE)
        self.verified = {first} - {None}
        self.sent = {first} - {None}
        self.todo = []

    def assign(self, desired):
        wanted, how = theirs(desired.pair), desired.activation
        self.sent |= {wanted} - {None}
        rules = machine.Activation(how.shadow_s, how.shadow_rows, how.min_agreement)
        self._step(Assigned(wanted, desired.generation, desired.rollout, rules))

    def work(self):
        return None if not self.todo else (str(self.todo[0].do).split()[0], ours(self.todo[0].pair))

    def done(self, failure):
        action = self.todo.pop(0)
        if failure is not Failure.NONE:
            self._step(Failed(action.pair, machine.Failure(failure.value), "by nature"))
        elif action.do is Do.RETRY_LATER:
            self._step(Retry(action.pair))
        elif action.do is Do.SHADOW:
            self._step(Shadowed(action.pair, 0, 0))
        elif action.do in _ENDS_AS:
            if action.do is Do.VERIFY:
                self.verified.add(action.pair)
            self._step(Advanced(action.pair, _ENDS_AS[action.do]))
        else:
            self._step(Advanced(action.pair, State.ACTIVE))

    def restart(self):
        self.todo = []
        self._take(machine.recovered(self.slot, self.slot.active is not None, self.slot.previous is not None))

    def facts(self):
        slot = self.slot
        return SlotFacts(
            active=ours(slot.active),
            previous=ours(slot.previous),
            candidate=ours(slot.candidate),
            state=SlotState(slot.state.value),
            failure=Failure(slot.failure.value),
            reason=slot.reason,
            generation=slot.generation,
        )

    def _step(self, event):
        self._take(machine.step(self.slot, event))

    def _take(self, stepped):
        self.slot, actions = stepped
        for action in actions:
            if action.do in (Do.DISCARD, Do.UNLOAD):
                self.todo = [one for one in self.todo if one.pair != action.pair]
            elif action.do in _WORK or action.do is Do.RETRY_LATER:
                self.todo = [action]
        if self.slot.active is not None:
            assert self.slot.active in self.sent, "a mixed pair"
            assert self.slot.active in self.verified, "a pair that was not verified"

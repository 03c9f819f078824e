import pytest

from upriver.errors import InvalidInput, QueueFull
from upriver.pool import Pool, PoolLimits, Standing, Submission


def of(child: str, epoch: int, mark: str = "", **others: int) -> Submission[str]:
    return Submission(child, {child: epoch, **others}, f"{child}@{epoch}", mark)


def test_a_submission_counts_and_its_repetition_changes_nothing() -> None:
    pool: Pool[str] = Pool()
    assert pool.offer(of("a", 1), 0.0).standing is Standing.COUNTED
    revision = pool.revision
    assert pool.offer(of("a", 1), 1.0).standing is Standing.COUNTED
    assert pool.unchanged("a", 1, 2.0).standing is Standing.COUNTED
    assert (pool.revision, pool.roster()) == (revision, {"a": 1})


def test_an_older_submission_is_not_looked_at_and_the_child_learns_the_newest_epoch() -> None:
    pool: Pool[str] = Pool()
    pool.offer(of("a", 7), 0.0)
    answer = pool.offer(of("a", 3), 1.0)
    assert (answer.standing, answer.epoch) == (Standing.STALE, 7)
    assert pool.roster() == {"a": 7}


def test_another_content_with_an_epoch_that_is_there_is_stale() -> None:
    pool: Pool[str] = Pool()
    pool.offer(of("a", 7, "one"), 0.0)
    assert pool.offer(of("a", 7, "other"), 1.0).standing is Standing.STALE


def test_what_is_not_here_is_asked_for() -> None:
    pool: Pool[str] = Pool()
    assert pool.unchanged("a", 1, 0.0).standing is Standing.UNKNOWN
    pool.offer(of("a", 2), 0.0)
    assert pool.unchanged("a", 1, 0.0).standing is Standing.UNKNOWN


def test_a_sum_with_an_agent_of_another_child_waits_until_that_has_dropped_it() -> None:
    pool: Pool[str] = Pool()
    pool.offer(of("p", 1, x=5), 0.0)
    assert pool.offer(of("q", 1, x=6), 0.0).standing is Standing.STAGED
    answer = pool.unchanged("p", 1, 0.0)
    assert answer.drop == {"x": 6}
    assert pool.roster() == {"p": 1, "x": 5}
    pool.offer(of("p", 2), 1.0)
    assert pool.roster() == {"p": 2, "q": 1, "x": 6}


def test_two_parents_that_exchange_agents_do_not_wait_for_each_other_forever() -> None:
    pool: Pool[str] = Pool()
    pool.offer(of("p", 1, x=1), 0.0)
    pool.offer(of("q", 1, y=1), 0.0)
    assert pool.offer(of("p", 2, y=2), 1.0).standing is Standing.STAGED
    assert pool.offer(of("q", 2, x=2), 1.0).standing is Standing.COUNTED
    assert pool.roster() == {"p": 2, "q": 2, "x": 2, "y": 2}


def test_an_agent_that_two_claim_in_the_same_state_counts_once() -> None:
    pool: Pool[str] = Pool()
    pool.offer(of("p", 1, x=5), 0.0)
    pool.offer(of("q", 1, x=5), 0.0)
    assert pool.roster() == {"p": 1, "x": 5}
    pool = Pool()
    pool.offer(of("h", 1, x=5, y=1), 0.0)
    pool.elsewhere({"x": 6, "y": 2}, 0.0)
    pool.offer(of("p", 1, x=6), 1.0)
    pool.offer(of("q", 1, x=6), 1.0)
    pool.offer(of("h", 2), 2.0)
    assert pool.roster() == {"h": 2, "p": 1, "x": 6}


def test_a_state_that_was_seen_to_be_old_never_counts_again() -> None:
    pool: Pool[str] = Pool()
    pool.offer(of("p", 1, x=5), 0.0)
    pool.elsewhere({"x": 6}, 0.0)
    answer = pool.offer(of("p", 2, x=5), 1.0)
    assert (answer.standing, answer.drop) == (Standing.STAGED, {"x": 6})
    assert pool.offer(of("q", 1, x=5), 1.0).standing is Standing.STAGED


def test_a_child_of_which_there_is_a_newer_state_elsewhere_is_dropped_at_once() -> None:
    pool: Pool[str] = Pool()
    pool.offer(of("x", 5), 0.0)
    pool.elsewhere({"x": 6}, 1.0)
    assert pool.roster() == {}
    assert pool.unchanged("x", 5, 1.0).standing is Standing.UNKNOWN


def test_a_silent_child_makes_way_for_newer_states_and_is_gone_after_long() -> None:
    pool: Pool[str] = Pool(PoolLimits(expiry_s=100.0, patience_s=10.0))
    pool.offer(of("p", 1, x=5), 0.0)
    pool.offer(of("q", 1, x=6), 9.0)
    assert pool.roster() == {"p": 1, "x": 5}
    pool.expire(11.0)
    assert pool.roster() == {"q": 1, "x": 6}
    pool.expire(110.0)
    assert pool.roster() == {}
    assert not pool.children


def test_what_was_kept_of_a_pool_is_the_same_pool() -> None:
    pool: Pool[str] = Pool()
    pool.offer(of("p", 1, x=5), 0.0)
    pool.offer(of("q", 1, x=6), 0.0)
    epochs = {agent: (pool.epoch_of(agent), pool.told_at(agent)) for agent in "pqx"}
    again: Pool[str] = Pool(children=pool.children, epochs=epochs)
    again.offer(of("p", 2), 1.0)
    assert again.roster() == {"p": 2, "q": 1, "x": 6}
    assert again.touched() == {"p", "q"}
    assert again.touched() == set()


def test_a_pool_takes_only_so_many_children_and_only_rosters_that_can_be() -> None:
    pool: Pool[str] = Pool(PoolLimits(max_children=1))
    pool.offer(of("a", 1), 0.0)
    with pytest.raises(QueueFull, match="another parent"):
        pool.offer(of("b", 1), 0.0)
    pool = Pool(PoolLimits(max_agents=3, expiry_s=10.0))
    pool.offer(of("a", 1, x=1, y=1), 0.0)
    pool.offer(of("a", 2), 1.0)
    pool.elsewhere({"nobody": 5}, 1.0)
    assert pool.epoch_of("nobody") == 0
    with pytest.raises(QueueFull, match="3 agents"):
        pool.offer(of("a", 3, made_up=1), 2.0)
    assert pool.offer(of("a", 3, x=2), 2.0).standing is Standing.COUNTED
    pool.expire(22.0)
    pool.expire(23.0)
    pool.offer(of("b", 1, z=1), 23.0)
    with pytest.raises(InvalidInput, match="an entry of its own"):
        pool.offer(Submission("a", {"b": 1}, ""), 0.0)
    with pytest.raises(InvalidInput, match="at epoch 0"):
        pool.offer(of("a", 2, b=0), 0.0)

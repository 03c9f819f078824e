"""Heads in the database: what is kept stays among the artifacts, what was only held goes. On SQLite and PostgreSQL."""

import pytest

from upriver_control.store.heads import HOLD_S, HeadTable, StoredHead
from upriver_control.store.registry import RegistryStore

A, B = ("sha256:" + digit * 64 for digit in "ab")
NOW = 1_000_000.0


@pytest.fixture
def store(database):
    return RegistryStore(database)


def test_a_head_that_is_kept_is_not_swept_however_often_it_is_held(store):
    heads, removed = HeadTable(store), []
    heads.hold(A, NOW)
    heads.keep(StoredHead(A, B, 2800, NOW))
    assert heads.has(A)
    heads.hold(A, NOW)
    heads.keep(StoredHead(A, B, 2800, NOW + 1))
    assert store.sweep(NOW + 2 * HOLD_S, removed.append) == 0
    assert removed == []


def test_a_head_whose_publication_never_came_back_is_swept_after_a_while(store):
    heads, removed = HeadTable(store), []
    heads.hold(A, NOW)
    assert not heads.has(A)
    assert store.sweep(NOW + HOLD_S - 1, removed.append) == 0
    assert store.sweep(NOW + HOLD_S, removed.append) == 1
    assert removed == [A]

"""Pictures have addresses of their own, and only the newest are kept."""

from upriver_control.console.pictures import Pictures


def test_a_picture_is_had_by_its_address_and_the_same_has_the_same() -> None:
    kept = Pictures("/pictures")
    address = kept.put(b"one")
    assert address.startswith("/pictures/")
    assert kept.get(address.rpartition("/")[2]) == b"one"
    assert kept.put(b"one") == address != kept.put(b"two")
    assert (kept.put(b""), kept.get("no such")) == ("", None)


def test_those_that_were_not_shown_for_longest_go_when_there_are_too_many() -> None:
    kept = Pictures("/p", max_bytes=10)
    names = {data: kept.put(data).rpartition("/")[2] for data in (b"aaaa", b"bbbb")}
    kept.put(b"aaaa")
    kept.put(b"cccc")
    assert (kept.get(names[b"aaaa"]), kept.get(names[b"bbbb"])) == (b"aaaa", None)
    large = kept.put(b"d" * 20).rpartition("/")[2]
    assert kept.get(large), "one that is larger than all may be is kept alone"
    assert kept.get(names[b"aaaa"]) is None
    assert (kept.has(f"/p/{large}"), kept.has(f"/p/{names[b'aaaa']}"), kept.has("")) == (True, False, True)

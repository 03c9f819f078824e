"""Questions files: what is written is read again, and what is none is told."""

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from upriver.errors import InvalidInput
from upriver.questions import GROUP_ROWS, RowsWriter, read_index, read_rows

ROWS = st.integers(1, 40)
DTYPES = st.sampled_from([np.dtype(name) for name in ("u1", "i4", "f4", "f8", "bool")])


def items(values) -> np.ndarray:
    made = np.empty(len(values), object)
    made[:] = values
    return made


def written(path, parts) -> bytes:
    with path.open("wb") as out, RowsWriter(out) as writer:
        for part in parts:
            writer.add(part)
    return path.read_bytes()


@settings(max_examples=30, deadline=None)
@given(data=st.data(), rows=ROWS, dtype=DTYPES)
def test_rows_come_back_as_they_were_written_and_cut_anywhere_make_the_same_bytes(data, rows, dtype, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=2, min_side=1, max_side=3))
    dense = data.draw(hnp.arrays(dtype, (rows, *shape)))
    images = items(data.draw(st.lists(st.binary(max_size=20), min_size=rows, max_size=rows)))
    labels = items(data.draw(st.lists(st.text(max_size=5), min_size=rows, max_size=rows)))
    whole = {"inputs/a": dense, "inputs/b": images, "labels": labels}
    cut = data.draw(st.integers(0, rows))
    parts = [{name: array[some] for name, array in whole.items()} for some in (slice(0, cut), slice(cut, rows))]
    once = written(folder / "one", [whole])
    assert written(folder / "two", [part for part in parts if len(part["labels"])]) == once

    index = read_index(folder / "one")
    assert (index.rows, index.has_labels) == (rows, True)
    groups = list(read_rows(folder / "one"))
    np.testing.assert_array_equal(np.concatenate([group["inputs/a"] for group in groups]), dense)
    assert [item for group in groups for item in group["inputs/b"]] == list(images)
    assert [item.decode() for group in groups for item in group["labels"]] == list(labels)


def test_a_group_has_a_bounded_number_of_rows(tmp_path):
    rows = 3 * GROUP_ROWS + 7
    written(tmp_path / "q", [{"inputs/x": np.arange(rows)}])
    assert [len(group["inputs/x"]) for group in read_rows(tmp_path / "q")] == [GROUP_ROWS] * 3 + [7]
    assert read_index(tmp_path / "q").rows == rows


def test_a_file_without_rows_has_none(tmp_path):
    written(tmp_path / "q", [])
    assert read_index(tmp_path / "q").rows == 0


def archive(members) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for name, content in members.items():
            made.writestr(name, content)
    return out.getvalue()


def npy(array) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, array, allow_pickle=True)
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"no zip", "no questions file"),
        (archive({"x.npy": npy(np.zeros(2))}), "no part of a questions file"),
        (archive({"00000000/inputs/x.npy": b"junk"}), "magic string"),
        (archive({"00000000/inputs/x.npy": npy(np.array([{}, 1], object))}), "rows of object"),
        (archive({"00000000/inputs/x.npy": npy(np.zeros(()))}), "0 rows"),
        (
            archive({"00000000/inputs/x.npy": npy(np.zeros(2)), "00000000/inputs/y.npy": npy(np.zeros(3))}),
            r"\[2, 3\] rows",
        ),
        (
            archive({"00000000/inputs/x.npy": npy(np.zeros(2)), "00000001/inputs/y.npy": npy(np.zeros(3))}),
            "group 00000001 has inputs/y; others have inputs/x",
        ),
    ],
)
def test_what_is_no_questions_file_is_told(tmp_path, content, told):
    (tmp_path / "q").write_bytes(content)
    with pytest.raises(InvalidInput, match=told):
        read_index(tmp_path / "q")


@pytest.mark.parametrize("offsets", [[1, 2], [0, 3], [0, 2, 1, 2], []])
def test_offsets_that_do_not_cut_the_bytes_are_told(tmp_path, offsets):
    members = {
        "00000000/inputs/x.npy": npy(np.zeros(2, np.uint8)),
        "00000000/inputs/x.offsets.npy": npy(np.array(offsets, np.int64)),
    }
    (tmp_path / "q").write_bytes(archive(members))
    with pytest.raises(InvalidInput, match="offsets"):
        list(read_rows(tmp_path / "q"))

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bench.data.celeba_annotations import (
    ATTRIBUTE_SETS,
    ATTRIBUTES,
    attribute_names,
    exclusive_groups,
    read_attributes,
    read_numbers,
    write_annotations,
)
from bench.data.celeba_splits import split_rows, stargan_order
from bench.errors import BenchError

GOLDEN = Path(__file__).parents[2] / "data" / "editing" / "celeba_annotations"
TEXTS = ("list_attr_celeba.txt", "identity_CelebA.txt", "list_eval_partition.txt")


@settings(max_examples=20, deadline=None)
@given(arrays(np.int8, st.tuples(st.integers(1, 6), st.just(40)), elements=st.integers(0, 1)))
def test_what_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, labels: np.ndarray
) -> None:
    folder = tmp_path_factory.mktemp("written")
    write_annotations(folder, 2 * labels - 1, np.arange(len(labels)), np.zeros(len(labels), int))
    table = read_attributes(folder / TEXTS[0])
    np.testing.assert_array_equal(table.values, labels)
    assert table.names == ATTRIBUTES
    assert read_numbers(folder / TEXTS[1]) == {f: i for i, f in enumerate(table.files)}


def test_the_writer_writes_the_official_bytes(tmp_path: Path) -> None:
    table = read_attributes(GOLDEN / TEXTS[0])
    people, parts = (list(read_numbers(GOLDEN / name).values()) for name in TEXTS[1:])
    write_annotations(tmp_path, table.values, people, parts)
    for name in TEXTS:
        assert (tmp_path / name).read_bytes() == (GOLDEN / name).read_bytes()


def test_csv_copies_hold_the_same(tmp_path: Path) -> None:
    text = read_attributes(GOLDEN / TEXTS[0])
    header, *rows = (GOLDEN / TEXTS[0]).read_text().splitlines()[1:]
    lines = ["image_id," + ",".join(header.split()), *(",".join(row.split()) for row in rows)]
    (tmp_path / "a.csv").write_text("\r\n".join(lines) + "\r\n\r\n")
    table = read_attributes(tmp_path / "a.csv")
    assert (table.files, table.names) == (text.files, text.names)
    np.testing.assert_array_equal(table.values, text.values)
    (tmp_path / "p.csv").write_text("image_id,partition\n000001.jpg,0\n000002.jpg,2\n")
    assert read_numbers(tmp_path / "p.csv") == {"000001.jpg": 0, "000002.jpg": 2}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "is empty"),
        ("Male Young\n1.jpg 1 1\n", "line 1: .*not|line 1: stands something else"),
        ("2\nMale Young\n1.jpg 1 1\n", "line 1: 2 images are stated, but 1 rows follow"),
        ("2\nMale Young\n1.jpg 1 1\n2.jpg 1\n", "line 4: stand 1 labels for 2 attributes"),
        ("2\nMale Young\n1.jpg 1 1\n2.jpg 1 1 -1\n", "line 4: stand 3 labels"),
        ("2\nMale Young\n1.jpg 1\n2.jpg 1 1 -1\n", "line 3: stand 1 labels"),
        ("2\nMale Young\n1.jpg 1 yes\n2.jpg 1 1\n", "line 3: Young is 'yes'"),
        ("2\nMale Young\n1.jpg 1 1\n2.jpg 7 1\n", "line 4: Male is '7'"),
        ("2\nMale Young\n1.jpg 1 1\n2.jpg\n", "line 4: stand 0 labels"),
        ("2\nMale Young\n1.jpg 1 1\n\n", "1 rows follow"),
        ("2\nMale Young\n1.jpg 1 1\n1.jpg 1 -1\n", "line 4: 1.jpg stands a second time"),
        ("2\nMale Young\n", "line 2: the file ends without a row"),
        ("image_id,Male,Young\n1.jpg,1,1\n2.jpg,1\n", "line 3: stand 1 labels for 2"),
        ("<!doctype html>\n<html>", "line 1: stands something else"),
    ],
)
def test_malformed_attribute_files_name_the_line(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(BenchError, match=fault):
        read_attributes(tmp_path / "list.txt")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("1.jpg 4\n2.jpg\n", "line 2: stands '2.jpg'"),
        ("1.jpg 4\n2.jpg x\n", "line 2"),
        ("image_id,partition\n1.jpg,0\n1.jpg,0\n", "line 3: 1.jpg stands a second time"),
    ],
)
def test_malformed_numbers_name_the_line(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(BenchError, match=fault):
        read_numbers(tmp_path / "list.txt")


def test_binary_annotations_are_refused(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(BenchError, match="cannot be read as text"):
        read_attributes(tmp_path / "list.txt")


def test_names_are_those_of_a_set_or_of_a_list() -> None:
    assert attribute_names("stargan") == ATTRIBUTE_SETS["stargan"]
    assert [len(attribute_names(name)) for name in ATTRIBUTE_SETS] == [5, 13, 18, 5, 10, 15, 40]
    assert attribute_names(["Young", "Male"]) == ("Young", "Male")
    assert attribute_names("Male") == ("Male",)
    assert attribute_names(" Young, Male,") == ("Young", "Male")
    with pytest.raises(ValueError, match="Male more than once"):
        attribute_names("Male,Male")
    with pytest.raises(ValueError, match="Male more than once"):
        attribute_names(["Male", "Young", "Male"])
    for nothing in ([], [1], "", " , "):
        with pytest.raises(ValueError, match="takes names"):
            attribute_names(nothing)  # type: ignore[arg-type]
    with pytest.raises(BenchError, match="no attribute 'Blond'; did you mean Blond_Hair"):
        read_attributes(GOLDEN / TEXTS[0]).columns(["Blond"])
    with pytest.raises(BenchError, match=r"no attribute 'stargans'; did you mean stargan"):
        read_attributes(GOLDEN / TEXTS[0]).columns(["stargans"])


def test_exclusive_groups_are_those_selected() -> None:
    assert exclusive_groups(ATTRIBUTE_SETS["attgan"]) == (
        ("Black_Hair", "Blond_Hair", "Brown_Hair"),
    )
    assert len(exclusive_groups(ATTRIBUTES)) == 2
    assert exclusive_groups(("Male", "Gray_Hair", "Wavy_Hair")) == ()


def test_writing_checks_shapes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"labels \(N, 40\)"):
        write_annotations(tmp_path, np.ones((3, 5)), np.ones(3), np.ones(3))


def test_splits_of_the_whole_file() -> None:
    sizes = {
        name: [len(part) for part in split_rows(name, 202_599)]  # type: ignore[arg-type]
        for name in ("stargan", "attgan", "icgan")
    }
    assert sizes == {
        "stargan": [200_600, 1_999],
        "attgan": [182_000, 19_962],
        "icgan": [182_638, 19_961],
    }
    partition = np.array([0, 2, 1, 0])
    train, test = split_rows("official", 4, partition)
    assert (train.tolist(), test.tolist()) == ([0, 3], [1])
    assert sorted(stargan_order(30).tolist()) == list(range(30))


def test_splits_that_do_not_fit_are_refused() -> None:
    with pytest.raises(BenchError, match=r"split stargan leaves none to train on: .*official"):
        split_rows("stargan", 1_999)
    with pytest.raises(BenchError, match="mend the partition file"):
        split_rows("official", 2, np.array([0, 1]))
    with pytest.raises(BenchError, match=r"this one has 5,000: .*official"):
        split_rows("attgan", 5_000)
    with pytest.raises(ValueError, match="one of official"):
        split_rows("random", 5_000)  # type: ignore[arg-type]

"""Knowledge that lies beside the data: counts, dates, labels, bad lines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loreweave.data.dataset import Dataset, Interactions, pairs_fingerprint
from loreweave.data.vocabulary import Vocabulary
from loreweave.errors import DataError, LoreweaveError
from loreweave.knowledge.files import save
from loreweave.knowledge.published import beside, read
from loreweave.knowledge.records import Knowledge, Record

TRAIN = [("ann", "x"), ("ann", "y"), ("bob", "y"), ("cat", "z")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Readers ann, bob, cat, and number 3, whom the list lacks; books x, y, z.

    Interest 91 is held by ann and bob, 92 by cat and by number 3.
    """
    files = {
        "user_list.txt": "org_id remap_id\nann 0\nbob 1\ncat 2\n",
        "item_list.txt": "org_id remap_id entity_name\nx 0 A Book of X\ny 1 Why\nz 2 None\n",
        "train.txt": "0 0 1\n1 1\n\n2 2\n",
        "test.txt": "0 2\n",
        "user_interest_clustered.txt": "0 91\n1 91\n0 91\n2 92\n3 92\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def dataset() -> Dataset:
    users, items = Vocabulary(["cat", "bob", "ann"]), Vocabulary(["z", "y", "x"])
    pairs = [*TRAIN, ("ann", "z")]
    log = Interactions(users.encode([u for u, _ in pairs]), items.encode([i for _, i in pairs]))
    return Dataset(users, items, log, item_texts=pl.DataFrame({"title": ["Zed", "Why", "A Book of X"]}))


def test_interests_of_the_kgat_layout(folder: Path, dataset: Dataset) -> None:
    knowledge = read(folder, dataset)
    assert knowledge.records.select("user", "interest").rows() == [("ann", "91"), ("bob", "91"), ("cat", "92")]
    assert knowledge.notes == (
        "user_interest_clustered.txt: 1 duplicate rows",
        "user_interest_clustered.txt: 1 interests of users whom user_list.txt lacks were left out",
    )
    train = dataset.with_interactions(dataset.interactions.take(np.arange(len(TRAIN))))
    assert knowledge.records["as_of"].unique().to_list() == [train.fingerprint]
    assert train.fingerprint == pairs_fingerprint(train.interactions, dataset.users, dataset.items)
    # ann's test item z, which has no title, plays no part; both holders of 91 met Why, one met X
    assert knowledge.interests.rows() == [("91", "Why; A Book of X", True), ("92", "z", True)]
    assert beside(folder) and not beside(folder / "nowhere")


def test_the_date_is_that_of_the_published_part_whatever_the_dataset(folder: Path, dataset: Dataset) -> None:
    fewer = dataset.with_interactions(dataset.interactions.take(np.array([0, 1])))
    assert read(folder, fewer).records["as_of"][0] == read(folder, dataset).records["as_of"][0] != fewer.fingerprint


def test_records_of_users_unknown_to_the_data_are_counted(folder: Path, dataset: Dataset) -> None:
    few = Dataset(dataset.users.subset(np.array([0, 2])), dataset.items, Interactions.empty())
    knowledge = read(folder, few)
    assert knowledge.records["user"].to_list() == ["ann", "cat"]
    assert knowledge.notes[-1] == "1 knowledge records of 1 users unknown to the data were left out"


def test_without_train_the_date_is_unknown(folder: Path, dataset: Dataset) -> None:
    (folder / "train.txt").unlink()
    knowledge = read(folder, dataset)
    assert knowledge.records["as_of"].null_count() == 3
    assert any("unknown" in note for note in knowledge.notes)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("user_interest_clustered.txt", "0 91\n1\n", r"clustered\.txt, row 2"),
        ("user_interest_clustered.txt", "0 91\n1 x\n", r"clustered\.txt, row 2, field 'interest'"),
        ("user_interest_clustered.txt", "0 91\n1 91 7\n", r"clustered\.txt, row 2"),
        ("user_interest_clustered.txt", "-1 91\n", r"clustered\.txt, row 1, field 'user'"),
        ("train.txt", "0 1\n1 b\n", r"train\.txt, row 2, field 'item'"),
    ],
)
def test_bad_lines_are_named(folder: Path, dataset: Dataset, name: str, text: str, message: str) -> None:
    (folder / name).write_text(text)
    with pytest.raises(DataError, match=message):
        read(folder, dataset)


def test_a_saved_folder_that_a_killed_writer_moved_aside_is_read(folder: Path, dataset: Dataset, tmp_path: Path) -> None:
    save(read(folder, dataset), tmp_path / "k")
    (tmp_path / "k").rename(tmp_path / ".k.old")
    assert read(tmp_path / "k", dataset).records.equals(read(folder, dataset).records)


def test_other_places(folder: Path, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("k")
    with pytest.raises(DataError, match="no knowledge here"):
        read(elsewhere, dataset)
    said = [Record(kind="interest", user="bob", interest="91", weight=0.0, source="person"), Record(kind="item_text", item="q", text="?")]
    save(Knowledge.from_records(said), elsewhere / "saved")
    loaded = read(elsewhere / "saved", dataset)
    assert len(loaded) == 1 and loaded.notes == ("1 knowledge records of 1 items unknown to the data were left out",)
    (folder / "knowledge.jsonl").write_text('{"kind": "interest", "user": "bob", "interest": "91", "weight": 0, "source": "person"}\n')
    both = read(folder, dataset)  # what a person said overrides what was published
    assert both.records.filter(pl.col("user") == "bob").select("weight", "source").rows() == [(0.0, "person")]


@given(st.text(alphabet="0123456789 \tx\n-٣.", max_size=30))
def test_rubbish_is_refused_in_one_line(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.mktemp("rubbish")
    (folder / "user_interest_clustered.txt").write_text(text, encoding="utf-8")
    dataset = Dataset(Vocabulary([str(i) for i in range(10)]), Vocabulary(["a"]), Interactions(np.array([0]), np.array([0])))
    try:
        knowledge = read(folder, dataset)
    except LoreweaveError as error:
        assert "\n" not in str(error)
    else:
        assert set(knowledge.records["user"]) <= {str(i) for i in range(10)}


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "rows", "distinct", "users", "interests"),
    [("dbbook2014", 6962, 6961, 3783, 381), ("book-crossing", 19536, 19497, 6575, 244)],
)
def test_published_interests_of_cikgrec(data_root: Path, name: str, rows: int, distinct: int, users: int, interests: int) -> None:
    from loreweave.data import read as read_data
    from loreweave.data import split

    dataset = read_data(data_root / name)
    knowledge = read(data_root / name, dataset)
    assert len(knowledge) == distinct
    assert knowledge.notes == (f"user_interest_clustered.txt: {rows - distinct} duplicate rows",)
    assert knowledge.records["user"].n_unique() == users
    assert knowledge.interests.height == interests
    assert knowledge.interests["derived"].sum() >= interests - 2
    cut = split(dataset, "given", seed=1)
    assert len(knowledge.check(cut)) == 1  # rests on train and validation together: said, and no more
    with pytest.raises(DataError, match="another split"):
        knowledge.check(split(dataset, "ratio", seed=1))

"""MovieLens, RecBole, KGAT and sequence files: small ones by hand, and the real ones where $LOREWEAVE_DATA has them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from loreweave import data
from loreweave.data.dataset import raw_frame
from loreweave.data.reading import detect
from loreweave.errors import DataError


def fill(folder: Path, **files: str | bytes) -> Path:
    """Files by name, `__` standing for the dot."""
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        data.read(folder)
    return str(caught.value).replace(f"{folder}/", "")


def rows(log: data.Dataset) -> list[tuple[str, str]]:
    return raw_frame(log.interactions, log.users, log.items).rows()


# MovieLens


def test_movielens_dat_is_latin_1_where_it_is_no_utf_8(tmp_path: Path) -> None:
    fill(tmp_path, ratings__dat="1::10::5::978300760\n2::11::3::978302109\n", users__dat="1::F::1::10::01067\n2::M::56::16::70072\n")
    fill(tmp_path, movies__dat="10::Misérables, Les (1995)::Drama|Musical\n11::Heat: One (1995)::Action\n".encode("latin-1"))
    log = data.read(tmp_path)
    assert detect(tmp_path) == "movielens"
    assert rows(log) == [("1", "10"), ("2", "11")]
    assert log.titles.to_list() == ["Misérables, Les (1995)", "Heat: One (1995)"]
    assert log.item_features is not None and log.item_features["genres"].to_list() == [["Drama", "Musical"], ["Action"]]
    assert log.user_features is not None and log.user_features["zip"].to_list() == ["01067", "70072"]
    assert log.interactions.value is not None and log.interactions.value.tolist() == [5, 3]
    fill(tmp_path, ratings__dat="1::10::5::978300760\n2::11::3\n")
    assert refusal(tmp_path) == "ratings.dat, row 2, field 'timestamp': missing"
    fill(tmp_path, ratings__dat="1::10::5::978300760\n2::11::3::4::5\n")
    assert refusal(tmp_path) == "ratings.dat, row 2: has 5 fields, 4 are needed (user, item, rating, timestamp)"


def test_movielens_csv_notes_the_tags_it_leaves(tmp_path: Path) -> None:
    fill(
        tmp_path, ratings__csv="userId,movieId,rating,timestamp\n1,1,4.0,964982703\n", tags__csv="userId,movieId,tag,timestamp\n1,1,fun,1\n"
    )
    fill(tmp_path, movies__csv='movieId,title,genres\n1,"American President, The (1995)",Comedy|Drama\n2,Bare,(no genres listed)\n')
    log = data.read(tmp_path)
    assert log.titles.to_list() == ["American President, The (1995)", "Bare"]
    assert log.item_features is not None and log.item_features["genres"].to_list() == [["Comedy", "Drama"], []]
    assert log.notes == ("movies.csv: 1 items occur in no interaction; they keep a code", "not taken for part of the log: tags.csv")


def test_movielens_of_the_first_hundred_thousand(tmp_path: Path) -> None:
    flags = ["0"] * 19
    flags[3], flags[4] = "1", "1"
    item = "|".join(["7", "Antz (1998)", "01-Jan-1998", "", "http://x", *flags])
    fill(tmp_path, u__data="9\t7\t5\t881250949\n", u__item=item + "\n", u__user="9|24|M|technician|85711\n")
    log = data.read(tmp_path)
    assert rows(log) == [("9", "7")]
    assert log.item_features is not None and log.item_features["genres"].to_list() == [["Animation", "Children's"]]
    assert log.user_features is not None and log.user_features.row(0) == ("24", "M", "technician", "85711")


# RecBole


def test_recbole_types_links_and_triples(tmp_path: Path) -> None:
    fill(
        tmp_path,
        x__inter="user_id:token\titem_id:token\trating:float\ttimestamp:float\nu\t1\t3\t881250949.0\nv\t2\t4\t5\n",
        x__item="item_id:token\tmovie_title:token_seq\tclass:token_seq\tsize:float\n1\tToy Story\tFun Kids\t2.5\n2\tHeat\tAction\t\n",
        x__kg="head_id:token\trelation_id:token\ttail_id:token\nm.1\tby\tm.9\nm.9\tborn\t2\nm.1\tby\tm.9\n",
        x__link="item_id:token\tentity_id:token\n1\tm.1\n77\tm.7\n",
    )
    log = data.read(tmp_path)
    assert log.interactions.time is not None and log.interactions.time.tolist() == [881250949, 5]
    assert log.titles.to_list() == ["Toy Story", "Heat"]
    assert log.item_features is not None
    assert log.item_features.to_dict(as_series=False) == {"class": [["Fun", "Kids"], ["Action"]], "size": [2.5, None]}
    graph = log.triples
    assert graph is not None
    # Item 1 is entity m.1. Item 2 is linked to none; its id is that of a foreign entity, so it gets a prefix.
    assert graph.entities.ids.to_list() == ["m.1", "item:2", "m.9", "2"]
    assert list(zip(graph.head.tolist(), graph.relation.tolist(), graph.tail.tolist(), strict=True)) == [(0, 0, 2), (2, 1, 3)]
    assert log.notes == (
        "x.link: 1 links of items that occur nowhere else; left out",
        "x.kg: 1 triples repeat an earlier one; left out",
    )


def test_recbole_split_that_came_with_the_data(tmp_path: Path) -> None:
    header = "user_id:token\titem_id:token\n"
    for part, lines in {"train": "u\t1\nu\t2\n", "valid": "u\t3\n", "test": "u\t4\n"}.items():
        (tmp_path / f"x.{part}.inter").write_text(header + lines)
    cut = data.split(data.read(tmp_path))
    assert (cut.how, len(cut.train.interactions), len(cut.valid), len(cut.test)) == ("given", 2, 1, 1)
    assert cut.train.items.decode(cut.test.item).to_list() == ["4"]


def test_recbole_refusals(tmp_path: Path) -> None:
    fill(tmp_path, x__inter="user_id:token\titem_id\nu\ti\n")
    assert refusal(tmp_path).startswith("x.inter, row 1: 'item_id' is no header of an atomic file")
    fill(tmp_path, x__inter="user_id:token\titem_id:token\trating:float\nu\ti\t1\nu\tj\tx\n")
    assert refusal(tmp_path) == "x.inter, row 3, field 'rating': not a number: 'x'"
    fill(tmp_path, y__inter="user_id:token\titem_id:token\nu\ti\n")
    assert "several data sets: x, y" in refusal(tmp_path)


# KGAT


def test_kgat_names_numbers_by_their_lists(tmp_path: Path) -> None:
    fill(
        tmp_path,
        train__txt="1 0 1 \n0 2\n2\n\n",
        test__txt="1 2\n",
        user_list__txt="org_id remap_id\nbob 0\n007 1\nidle 2\n",
        item_list__txt="org_id remap_id entity_name\n0001 0 Dune, and other tales\n0002 1 None\n0003 2\n",
        entity_list__txt="org_id remap_id\nhttp://dbpedia.org/resource/Dune 0\ne1 1\ne2 2\nhttp://dbpedia.org/resource/Frank_Herbert 3\n",
        relation_list__txt="org_id remap_id\nauthor 0\n",
        kg_final__txt="0 0 3\n0 0 3\n1 0 3\n",
        user_interest_clustered__txt="0 9\n1 9\n",
    )
    log = data.read(tmp_path)
    assert log.users.ids.to_list() == ["bob", "007", "idle"]
    assert log.items.ids.to_list() == ["0001", "0002", "0003"]
    assert rows(log) == [("007", "0001"), ("007", "0002"), ("bob", "0003"), ("007", "0003")]
    assert log.interactions.extra is not None and log.interactions.extra["part"].to_list() == ["train", "train", "train", "test"]
    assert log.titles.to_list() == ["Dune, and other tales", "0002", "0003"]
    graph = log.triples
    assert graph is not None
    assert (graph.head.tolist(), graph.relation.tolist(), graph.tail.tolist()) == ([0, 1], [0, 0], [3, 3])
    assert [graph.name(code) for code in range(4)] == ["Dune, and other tales", "e1", "e2", "Frank Herbert"]
    assert log.notes == (
        "train.txt: 1 blank lines skipped",
        "train.txt: 1 user lines without items",
        "kg_final.txt: 1 triples repeat an earlier one; left out",
    )
    seen = data.inspect(tmp_path)
    assert json.loads(json.dumps(seen)) == seen
    assert (seen["format"], seen["split"]) == ("kgat", "given")
    assert seen["interests"] == {"file": "user_interest_clustered.txt", "edges": 2, "users": 2, "interests": 1}


def test_kgat_needs_only_train(tmp_path: Path) -> None:
    log = data.read(fill(tmp_path, train__txt="10 3 1\n9 3\n", kg_final__txt="3 0 7\n"))
    assert log.users.ids.to_list() == ["9", "10"]
    assert log.items.ids.to_list() == ["1", "3"]
    assert log.triples is not None and log.triples.entities.ids.to_list() == ["1", "3", "7"]
    assert log.item_texts is None


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"train__txt": "0 1\n1 x\n"}, "train.txt, row 2, field 'item': not a whole number from 0 on: 'x'"),
        ({"train__txt": "0 1\n-1 1\n"}, "train.txt, row 2, field 'user': not a whole number from 0 on: '-1'"),
        ({"train__txt": "0\n1\n"}, "train.txt: there are no interactions, only users"),
        ({"train__txt": b"0 1\n1 \xff\n"}, "train.txt, row 2: not UTF-8 text (byte 0xff); convert the file to UTF-8"),
        ({"train__txt": ""}, "train.txt: the file is empty"),
        (
            {"train__txt": "0 0\n0 5\n", "item_list__txt": "org_id remap_id\na 0\n"},
            "train.txt, row 2, field 'item': 5 is not in item_list.txt",
        ),
        (
            {"train__txt": "0 0\n", "item_list__txt": "org_id remap_id\na\n"},
            "item_list.txt, row 2: a line of this list is a raw id, a number and perhaps a name",
        ),
        (
            {"train__txt": "0 0\n", "item_list__txt": "org_id remap_id\na 0\na 1\n"},
            "item_list.txt, row 3, field 'id': 'a' occurs twice",
        ),
        (
            {"train__txt": "0 0\n", "kg_final__txt": "0 1\n"},
            "kg_final.txt, row 1: has 2 fields, 3 are needed (head, relation, tail)",
        ),
        (
            {"train__txt": "0 0\n", "kg_final__txt": "0 0 9\n", "entity_list__txt": "org_id remap_id\na 0\n"},
            "kg_final.txt, row 1, field 'tail': 9 is not in entity_list.txt",
        ),
    ],
)
def test_kgat_refusals(tmp_path: Path, files: dict[str, str | bytes], message: str) -> None:
    assert refusal(fill(tmp_path, **files)) == message


# Sequences


def test_sequences_keep_order_and_returns(tmp_path: Path) -> None:
    fill(tmp_path, sequences__txt="u 5 3 5\nv 3\nw\nu 4\n", items__tsv='item_id\ttitle\n3\tThe "Third"\n5\tFive, alive\n')
    log = data.read(tmp_path)
    assert rows(log) == [("u", "5"), ("u", "3"), ("u", "5"), ("v", "3"), ("u", "4")]
    assert log.interactions.order is not None and log.interactions.order.tolist() == [0, 1, 2, 0, 3]
    assert log.users.ids.to_list() == ["u", "v", "w"]
    assert log.titles.to_list() == ["Five, alive", 'The "Third"', "4"]
    assert log.notes == ("sequences.txt: 1 user lines without items", "items.tsv: 1 items of the log are not in it")


def test_sequences_split_at_tabs_where_there_are_any(tmp_path: Path) -> None:
    assert rows(data.read(fill(tmp_path, sequences__txt="ann lee\ta b\tc\n"))) == [("ann lee", "a b"), ("ann lee", "c")]


def test_nothing_known_is_refused(tmp_path: Path) -> None:
    assert "no log found" in refusal(tmp_path)
    with pytest.raises(DataError, match="what is it"):
        data.read(fill(tmp_path, a__xlsx="x") / "a.xlsx")


# The real ones

REAL = {
    # name: format, users, items, items met, interactions, test, triples, titles
    "dbbook2014": ("kgat", 5576, 2680, 2680, 50745 + 15216, 15216, 134223, 2558),
    "book-crossing": ("kgat", 6616, 8853, 8853, 85989 + 24673, 24673, 1137, 8853 - 253),
    "ml-latest-small": ("movielens", 610, 9742, 9724, 100836, 610, None, 9742),
    "ml-100k": ("recbole", 943, 1682, 1682, 100000, 943, 91631, 1682),
    "ml-1m": ("sequences", 6040, 3883, 3706, 1000209, 6040, None, 3883),
    "amazon-games": ("sequences", 50546, 16859, 16859, 440264, 50546, None, 16859),
    # 110 of the 11,136 rows repeat the user, item and time of an earlier one; 6 users come back to an item they had, last of all
    "amazon-fashion": ("tables", 1273, 6089, 6089, 11136 - 110, 1273 - 6, None, 6088),
}


@pytest.mark.data
@pytest.mark.skipif("LOREWEAVE_DATA" not in os.environ, reason="$LOREWEAVE_DATA is not set")
@pytest.mark.parametrize("name", REAL)
def test_real_data_have_the_counts_of_their_publishers(name: str) -> None:
    kind, users, items, met, interactions, test, triples, titles = REAL[name]
    folder = Path(os.environ["LOREWEAVE_DATA"]) / name
    if not folder.is_dir():
        pytest.skip(f"no {name} in $LOREWEAVE_DATA")
    seen = data.inspect(folder)
    log = data.read(folder)
    assert (seen["format"], seen["users"], seen["items"], seen["items_met"], seen["interactions"]) == (
        kind,
        users,
        items,
        met,
        interactions,
    )
    assert seen["texts"]["title"] == titles
    assert (None if seen["triples"] is None else seen["triples"]["triples"]) == triples
    cut = data.split(log)
    assert cut.how == seen["split"]
    assert len(cut.test) == test
    assert len(cut.refit.interactions) + len(cut.test) + cut.counts["rows left out"] == interactions

"""A seeded world of readers and books whose true interests are known, so that any knowledge source can be scored against the truth.

Readers hold one to four of 24 interests. Each book belongs to one or two and has a title and a description that use their words, with
other words among them. A reader picks, most of the time, a book of one of their interests, by popularity or by a favourite author; the
rest is chance. Half-way through their history some readers give an interest up for another: what they did before no longer says all of what
they want now. Everything is made up and nothing here is evidence about real readers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from loreweave.config import Config, build
from loreweave.data.dataset import Dataset, Interactions, Triples
from loreweave.data.lexicon import ADJECTIVES, FIRST_NAMES, INTERESTS, LAST_NAMES, PLACES, SENTENCES, TITLES
from loreweave.data.vocabulary import Vocabulary

if TYPE_CHECKING:
    from loreweave.knowledge.records import Knowledge

Rng = np.random.Generator
Ints = NDArray[np.int64]
Floats = NDArray[np.floating[Any]]

START, SECONDS = 1_609_459_200, 2 * 365 * 86_400
"""2021-01-01 and two years: the time that the log covers."""
HELD = (0.2, 0.35, 0.3, 0.15)
"""Shares of readers who hold 1, 2, 3 and 4 interests."""


class WorldConfig(Config):
    """Settings of a simulated world. The defaults are ours: a small log of short histories."""

    n_users: int = Field(600, ge=1)
    """Readers."""
    n_items: int = Field(400, ge=24)
    """Books."""
    mean_history: float = Field(9.0, ge=4)
    """Books a reader, on average. Nearly everybody has four or more; a few have several times the mean."""
    stray: float = Field(0.15, ge=0, le=1)
    """Share of picks that follow popularity alone and no interest."""
    loyalty: float = Field(0.15, ge=0, le=1)
    """Share of the other picks that are by the reader's favourite author in the interest."""
    drift: float = Field(0.3, ge=0, le=1)
    """Share of readers who give up one interest for another half-way through their history."""
    word_noise: float = Field(0.2, ge=0, le=1)
    """Share of the telling words of titles and descriptions that come from any interest at all."""
    subject_coverage: float = Field(0.5, ge=0, le=1)
    """Share of books whose subject is in the knowledge graph; one in ten of those subjects is wrong."""


@dataclass(frozen=True, eq=False)
class World:
    """A simulated log and catalogue, and what is true of them.

    Attributes:
        dataset: interactions with time, item texts (`title`, `text`), item features (`author`), triples (`written by`, `about`, `set in`).
        truth: frame `user`, `interest`, `weight` (sums to 1 a user): what readers want at the end of the log.
        former: the same of the interests that readers gave up half-way.
        interests: interest → the words of books about it.
        authors: frame `author`, `interest`: what an author mostly writes about.
    """

    dataset: Dataset
    truth: pl.DataFrame
    former: pl.DataFrame
    interests: dict[str, tuple[str, ...]]
    authors: pl.DataFrame

    # The truth is about knowledge, and this room knows nothing of that: both methods live in `loreweave.knowledge.simulated`.

    def survey(self, *, as_of: str, error: float = 0.2, seed: int = 1) -> Knowledge:
        """`loreweave.knowledge.simulated.survey` of this world."""
        from loreweave.knowledge.simulated import survey

        return survey(self, as_of=as_of, error=error, seed=seed)

    def score(self, knowledge: Knowledge) -> dict[str, float]:
        """`loreweave.knowledge.simulated.score` in this world."""
        from loreweave.knowledge.simulated import score

        return score(self, knowledge)


@dataclass(frozen=True)
class _Books:
    """topics int [n_items, 2] (the second is −1 where there is none), author int [n_items], popularity float [n_items], sums to 1."""

    topics: Ints
    author: Ints
    popularity: Floats
    author_topic: Ints


@dataclass(frozen=True)
class _Readers:
    """topics and favourite authors int [2, n_users, 4], before and after the drift (−1 where fewer are held); weight float [n_users, 4]."""

    topics: Ints
    weight: Floats
    author: Ints


def simulate(seed: int = 1, **settings: Any) -> World:
    """A world; the same seed and settings give the same world.

    Args:
        seed: of everything drawn.
        settings: fields of `WorldConfig`, for example `n_users=600, n_items=400`.

    Raises:
        ConfigError: an unknown setting or a value out of range.
    """
    config = build(WorldConfig, settings, where="simulate")
    rng = np.random.default_rng(seed)
    books = _write_books(config, rng)
    readers = _meet_readers(config, books, rng)
    users = Vocabulary(_ids("reader", config.n_users))
    items = Vocabulary(_ids("book", config.n_items))
    names = _author_names(len(books.author_topic), rng)
    texts, places = _texts(config, books, rng)
    dataset = Dataset(
        users,
        items,
        _read(config, books, readers, rng),
        "simulated",
        item_texts=texts,
        item_features=pl.DataFrame({"author": names.gather(pl.Series(books.author))}),
        triples=_triples(config, books, items, texts["title"], names, places, rng),
    )
    topics = pl.Series(list(INTERESTS))
    before, after = (_holders(readers, users, topics, period) for period in (0, 1))
    return World(
        dataset,
        truth=after,
        former=before.join(after, on=["user", "interest"], how="anti"),
        interests=dict(INTERESTS),
        authors=pl.DataFrame({"author": names, "interest": topics.gather(pl.Series(books.author_topic))}),
    )


def _ids(word: str, n: int) -> pl.Series:
    width = len(str(n))
    return pl.select(pl.lit(f"{word}-") + pl.int_range(1, n + 1).cast(pl.String).str.zfill(width)).to_series()


def _write_books(config: WorldConfig, rng: Rng) -> _Books:
    n, n_topics = config.n_items, len(INTERESTS)
    n_authors = max(n // 5, n_topics)
    author_topic = np.concatenate([np.arange(n_topics), rng.integers(0, n_topics, n_authors - n_topics)])
    productivity = rng.lognormal(0.0, 0.8, n_authors)
    author = rng.choice(n_authors, size=n, p=productivity / productivity.sum())
    first = np.where(rng.random(n) < 0.85, author_topic[author], rng.integers(0, n_topics, n))
    other = (first + rng.integers(1, n_topics, n)) % n_topics
    second = np.where(rng.random(n) < 0.3, other, -1)
    popularity = rng.permutation((np.arange(n) + 5.0) ** -0.9)  # a long tail, flattened at its head
    return _Books(np.stack([first, second], axis=1), author, popularity / popularity.sum(), author_topic)


def _meet_readers(config: WorldConfig, books: _Books, rng: Rng) -> _Readers:
    n, n_topics = config.n_users, len(INTERESTS)
    liking = rng.permutation(np.log((np.arange(n_topics) + 6.0) ** -0.7))
    order = np.argsort(-(liking + rng.gumbel(size=(n, n_topics))), axis=1)  # Gumbel: a draw without replacement, by liking
    held = rng.choice(4, size=n, p=HELD) + 1
    slot = np.arange(4)
    before = np.where(slot < held[:, None], order[:, :4], -1)
    drifts = rng.random(n) < config.drift
    given_up = rng.integers(0, held)
    after = np.where((slot == given_up[:, None]) & drifts[:, None], order[:, 4:5], before)
    weight = np.where(slot < held[:, None], rng.gamma(2.0, size=(n, 4)) + 0.5, 0.0)
    topics = np.stack([before, after])
    favourite = _draw_by_group(books.author_topic, np.bincount(books.author, minlength=len(books.author_topic)) + 1.0, topics.ravel(), rng)
    return _Readers(topics, weight / weight.sum(axis=1, keepdims=True), favourite.reshape(topics.shape))


def _read(config: WorldConfig, books: _Books, readers: _Readers, rng: Rng) -> Interactions:
    n = config.n_users
    length = 4 + rng.poisson(rng.gamma(1.2, (config.mean_history - 4) / 1.2, n))
    length = np.minimum(length, config.n_items // 2)
    wanted = np.stack([length - length // 2, length // 2])  # before and after half-way
    drawn = 2 * wanted + 6  # some are drawn twice and count once
    user = np.concatenate([np.repeat(np.arange(n), drawn[period]) for period in (0, 1)])
    period = np.repeat([0, 1], drawn.sum(axis=1))
    slot = (rng.random(len(user))[:, None] > np.cumsum(readers.weight, axis=1)[user]).sum(axis=1).clip(0, 3)
    topic = readers.topics[period, user, slot]
    in_topic = _draw_in_topics(books, topic, rng)
    by_author = _draw_by_group(books.author, books.popularity, readers.author[period, user, slot], rng)
    anything = rng.choice(config.n_items, size=len(user), p=books.popularity)
    loyal = (rng.random(len(user)) < config.loyalty) & (by_author >= 0)
    item = np.where(rng.random(len(user)) < config.stray, anything, np.where(loyal, by_author, in_topic))
    picks = pl.DataFrame({"user": user, "period": period, "item": item}).unique(["user", "item"], keep="first", maintain_order=True)
    place = pl.int_range(pl.len()).over("user", "period")
    picks = picks.filter(place < pl.Series(wanted[picks["period"].to_numpy(), picks["user"].to_numpy()])).sort(
        "user", "period", maintain_order=True
    )
    user = picks["user"].to_numpy()
    joined = rng.random(n) * 0.7  # everybody joins in the first 70 per cent of the time and stays to the end
    moment = joined[user] + rng.random(len(user)) * (1.0 - joined[user])
    moment = moment[np.lexsort((moment, user))]  # `picks` is sorted by user too, so each reader's moments come in order
    return Interactions(user.astype(np.int32), picks["item"].to_numpy().astype(np.int32), time=START + (moment * SECONDS).astype(np.int64))


def _draw_in_topics(books: _Books, topic: Ints, rng: Rng) -> Ints:
    """For each topic one of its books, by popularity; a book's second topic counts half."""
    item = np.tile(np.arange(len(books.author)), 2)
    group = books.topics.T.ravel()
    weight = np.concatenate([books.popularity, books.popularity / 2])
    entry = _draw_by_group(group, weight, topic, rng)
    return np.where(entry >= 0, item[entry], rng.choice(len(books.author), size=len(topic), p=books.popularity))


def _draw_by_group(group: Ints, weight: Floats, wanted: Ints, rng: Rng) -> Ints:
    """For each of `wanted` the position of a member of that group, by weight; −1 where the group is negative or has no member."""
    order = np.argsort(group, kind="stable")
    sums = np.concatenate([[0.0], np.cumsum(weight[order])])
    first, last = np.searchsorted(group[order], wanted, "left"), np.searchsorted(group[order], wanted, "right")
    target = sums[first] + rng.random(len(wanted)) * (sums[last] - sums[first])
    place = np.clip(np.searchsorted(sums, target, "right") - 1, first, np.maximum(last - 1, first))
    return np.where((last > first) & (wanted >= 0), order[np.minimum(place, len(order) - 1)], -1)


def _texts(config: WorldConfig, books: _Books, rng: Rng) -> tuple[pl.DataFrame, Ints]:
    """Frame `title`, `text`, and the place of each book (position in `PLACES`)."""
    n = config.n_items
    words = np.array([list(words) for words in INTERESTS.values()])
    where = rng.integers(0, len(PLACES), n)

    def slots(pick: Rng) -> dict[str, pl.Series]:
        second = (books.topics[:, 1] >= 0) & (pick.random((2, n)) < 0.4)
        topic = np.where(second, books.topics[:, 1], books.topics[:, 0])
        topic = np.where(pick.random((2, n)) < config.word_noise, pick.integers(0, len(words), (2, n)), topic)
        word = pick.integers(0, words.shape[1] - 1, (2, n))
        word[1] = np.where((topic[0] == topic[1]) & (word[0] == word[1]), words.shape[1] - 1, word[1])
        adjective = pl.Series(ADJECTIVES).gather(pl.Series(pick.integers(0, len(ADJECTIVES), n)))
        a, b = (pl.Series(words[topic[i], word[i]].tolist(), dtype=pl.String) for i in (0, 1))
        return {
            "a": a,
            "b": b,
            "A": a.str.to_titlecase(),
            "B": b.str.to_titlecase(),
            "adj": adjective,
            "Adj": adjective.str.to_titlecase(),
            "place": pl.Series(PLACES).gather(pl.Series(where)),
            "name": pl.Series(FIRST_NAMES).gather(pl.Series(pick.integers(0, len(FIRST_NAMES), n))),
        }

    title = _filled(TITLES, slots(rng), rng.integers(0, len(TITLES), n))
    again = title.to_frame("title").select(pl.int_range(1, pl.len() + 1).over("title")).to_series()
    title = title.zip_with(again == 1, title + ", Volume " + again.cast(pl.String))
    opening = rng.integers(0, len(SENTENCES), n)
    another = (opening + rng.integers(1, len(SENTENCES), n)) % len(SENTENCES)
    text = _filled(SENTENCES, slots(rng), opening) + " " + _filled(SENTENCES, slots(rng), another)
    return pl.DataFrame({"title": title, "text": text}), where


def _filled(templates: tuple[str, ...], slots: dict[str, pl.Series], chosen: Ints) -> pl.Series:
    """The chosen template of each row, its slots filled with the row's words."""
    frame = pl.DataFrame(slots)
    text = pl.Series([None], dtype=pl.String).new_from_index(0, frame.height)
    for number, template in enumerate(templates):
        parts = [piece.partition("}") for piece in template.split("{")]
        exprs = [pl.lit(parts[0][0])] + [expr for name, _, rest in parts[1:] for expr in (pl.col(name), pl.lit(rest))]
        text = frame.select(pl.concat_str(exprs)).to_series().zip_with(pl.Series(chosen == number), text)
    return text.str.replace_all(r"\b([Aa]) ([aeiou])", "${1}n $2")


def _author_names(n: int, rng: Rng) -> pl.Series:
    """Distinct names; a middle initial where the plain ones run out."""
    first, last = len(FIRST_NAMES), len(LAST_NAMES)
    number = np.arange(n)
    plain = rng.permutation(first * last)[number % (first * last)]
    middle = number // (first * last)
    given = pl.Series(FIRST_NAMES).gather(pl.Series(plain // last))
    family = pl.Series(LAST_NAMES).gather(pl.Series(plain % last))
    initial = pl.Series(["", *(f" {letter}." for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ")]).gather(pl.Series(middle % 27))
    more = pl.Series(middle // 27).cast(pl.String).replace("0", "")
    return given + initial + " " + family + more


def _triples(
    config: WorldConfig, books: _Books, items: Vocabulary, titles: pl.Series, authors: pl.Series, places: Ints, rng: Rng
) -> Triples:
    n, n_authors = config.n_items, len(authors)
    words = np.array([list(words) for words in INTERESTS.values()])
    topic = np.where(rng.random(n) < 0.1, rng.integers(0, len(words), n), books.topics[:, 0])
    word = topic * words.shape[1] + rng.integers(0, words.shape[1], n)
    about = np.flatnonzero(rng.random(n) < config.subject_coverage)
    entities = [authors, pl.Series(words.ravel().tolist()), pl.Series(PLACES)]
    kinds = ["author", "subject", "place"]
    raw = [pl.lit(f"{kind}:") + pl.lit(names) for kind, names in zip(kinds, entities, strict=True)]
    books_first = n + np.cumsum([0, n_authors, words.size])
    everything = np.arange(n)
    return Triples(
        np.concatenate([everything, about, everything]).astype(np.int32),
        np.repeat([0, 1, 2], [n, len(about), n]).astype(np.int32),
        np.concatenate([books_first[0] + books.author, books_first[1] + word[about], books_first[2] + places]).astype(np.int32),
        Vocabulary(pl.concat([items.ids, *(pl.select(part).to_series() for part in raw)])),
        Vocabulary(["written by", "about", "set in"]),
        pl.concat([titles, *entities]),
    )


def _holders(readers: _Readers, users: Vocabulary, topics: pl.Series, period: int) -> pl.DataFrame:
    user, slot = np.nonzero(readers.topics[period] >= 0)
    return pl.DataFrame(
        {
            "user": users.decode(user),
            "interest": topics.gather(pl.Series(readers.topics[period, user, slot])),
            "weight": pl.Series(readers.weight[user, slot], dtype=pl.Float32),
        }
    )

"""What every recommender must do, checked on a small world with a known answer; anybody's model can run it.

    from loreweave.testing import conformance
    conformance.check(lambda: MyRecommender(epochs=20))

Its world is `loreweave.testing.checkerboard`.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from loreweave.data.dataset import Dataset, Interactions
from loreweave.errors import ConfigError, LoreweaveError, SavedError, UnknownId
from loreweave.knowledge.records import REQUIRED, Knowledge, Record
from loreweave.models.base import Explanation, Recommender
from loreweave.testing.checkerboard import ITEMS, MET, QUIET, UNMET, USERS, WORDS, checkerboard, checkerboard_knowledge

TOLERANCE = 1e-4
"""Of sums of contributions and of scores computed on another way, relative to the score where that is above 1."""
PERSONAL = ("interest", "user_text")
"""Kinds of record about a person."""


@dataclass(frozen=True, eq=False)
class Case:
    """One model under check, fitted once on the checkerboard.

    Attributes:
        factory: makes an unfitted recommender, the same each time.
        personalised: False for a model that recommends the same to everybody; it is not asked to tell the groups apart.
    """

    factory: Callable[[], Recommender]
    personalised: bool = True

    @cached_property
    def data(self) -> Dataset:
        return checkerboard()

    @cached_property
    def knowledge(self) -> Knowledge:
        return checkerboard_knowledge()

    @cached_property
    def model(self) -> Recommender:
        return self.factory().fit(self.data, self.knowledge)

    @cached_property
    def users(self) -> list[str]:
        return self.data.users.ids.to_list()


def check(factory: Callable[[], Recommender], *, personalised: bool = True) -> None:
    """Run every check.

    Args:
        factory: makes an unfitted recommender, the same each time; small settings that fit in a second or two are enough.
        personalised: False for a model that recommends the same to everybody.

    Raises:
        AssertionError: what does not conform, in a line that begins with the model's name.
    """
    case = Case(factory, personalised)
    for one in CHECKS:
        one(case)


def check_checkerboard(case: Case) -> None:
    """Everybody is recommended what their own group met; so is a newcomer given by three items."""
    if not case.personalised:
        return
    found = case.model.recommend(case.users[:-1], k=3)
    theirs = found["user"].cast(pl.Int64) < USERS
    wrong = found.filter(theirs != found["item"].str.starts_with("rosé"))
    _demand(
        case, wrong.is_empty(), lambda: f"user {wrong['user'][0]!r} is recommended {wrong['item'][0]!r}, which only the other group met"
    )
    items = case.data.items.ids.to_list()
    newcomers = case.model.recommend_histories({"first": items[:3], "second": items[ITEMS : ITEMS + 3]}, k=3)
    astray = newcomers.filter((newcomers["user"] == "first") != newcomers["item"].str.starts_with("rosé"))
    _demand(case, astray.is_empty(), "a newcomer given by three items is recommended what only the other group met")


def check_scores(case: Case) -> None:
    """Scores are finite float32, contiguous, one row a person and one column an item, in the order asked for."""
    some = [case.users[30], case.users[0], QUIET]
    for scores in (case.model.score(some), case.model.score_histories({"one": [], "two": case.data.items.ids[:2].to_list(), "three": []})):
        _demand(case, scores.shape == (3, case.data.n_items), f"scores have the shape {scores.shape}, not (3, {case.data.n_items})")
        _demand(case, scores.dtype == np.float32, f"scores are {scores.dtype}, not float32")
        _demand(case, bool(scores.flags["C_CONTIGUOUS"]), "scores are not contiguous (np.ascontiguousarray)")
        _demand(case, bool(np.isfinite(scores).all()), "a score is not finite")
    alone = case.model.score([case.users[30]])[0]
    _demand(case, _near(alone, case.model.score(some)[0]), "a user's scores depend on who else is asked for")


def check_recommendations(case: Case) -> None:
    """Ranks count from 1, scores never rise, raw ids come back, what was met never does, and with k past the catalogue all else does."""
    found = case.model.recommend(k=10 * case.data.n_items)
    _demand(case, found.columns == ["user", "rank", "item", "score"], lambda: f"recommend returns the columns {found.columns}")
    log = pl.DataFrame(
        {"user": case.data.users.decode(case.data.interactions.user), "item": case.data.items.decode(case.data.interactions.item)}
    )
    seen = found.join(log, on=["user", "item"], how="semi")
    _demand(case, seen.is_empty(), lambda: f"user {seen['user'][0]!r} is recommended {seen['item'][0]!r}, which they met")
    _demand(case, UNMET not in found["item"], "an item that nobody met is recommended without being a candidate")
    counts = found.group_by("user").agg(pl.len())
    expected = dict.fromkeys(case.users[:-1], 2 * ITEMS - MET) | {QUIET: 2 * ITEMS}
    _demand(
        case, dict(counts.iter_rows()) == expected, "with k past the catalogue not every candidate that a user has not met is recommended"
    )
    ranks = found.select((pl.col("rank") == pl.int_range(1, pl.len() + 1).over("user")).all()).item()
    _demand(case, ranks, "ranks do not count from 1")
    falls = found.select((pl.col("score").diff().over("user").fill_null(0) <= 0).all()).item()
    _demand(case, falls, "scores rise with rank")
    short = case.model.recommend(case.users, k=2)
    _demand(
        case,
        short.select("user", "rank", "item").equals(found.filter(pl.col("rank") <= 2).select("user", "rank", "item")),
        "k changes the order",
    )


def check_candidates(case: Case) -> None:
    """Only candidates are recommended, an item that nobody met among them where it is asked for."""
    wanted = [case.data.items.ids[0], case.data.items.ids[ITEMS], UNMET]
    found = case.model.recommend([QUIET], k=10, candidates=wanted)
    _demand(case, sorted(found["item"]) == sorted(wanted), lambda: f"of the candidates {wanted} {found['item'].to_list()} are recommended")
    new = case.model.recommend_histories({"new": wanted[:1]}, k=10, candidates=wanted)
    _demand(case, sorted(new["item"]) == sorted(wanted[1:]), "a newcomer is not recommended exactly the candidates that they have not met")


def check_empty_history(case: Case) -> None:
    """Somebody of whom nothing is known is recommended something, fitted or not; unknown items count for nothing."""
    for found in (
        case.model.recommend([QUIET], k=5),
        case.model.recommend_histories({"new": []}, k=5),
        case.model.recommend_histories({"new": ["no such item"]}, k=5),
    ):
        _demand(case, found.height == 5, "somebody without history is recommended nothing")
    _demand(case, case.model.recommend_histories({}, k=5).is_empty(), "nobody is recommended something")
    empty = case.model.score_histories({"empty": [], "unknown": ["no such item"]})
    _demand(case, _near(empty[0], empty[1]), "a history of unknown items scores otherwise than an empty one")


def check_unknown_ids(case: Case) -> None:
    """An unknown user, item or candidate is an UnknownId; k below 1 is refused."""
    model, user, item = case.model, case.users[0], case.data.items.ids[0]
    for what, ask in (
        ("recommend with an unknown user", lambda: model.recommend(["no such user"])),
        ("score with an unknown user", lambda: model.score(["no such user"])),
        ("recommend with an unknown candidate", lambda: model.recommend([user], candidates=["no such item"])),
        ("similar with an unknown item", lambda: model.similar(["no such item"])),
        ("explain with an unknown user", lambda: model.explain("no such user", item)),
        ("explain with an unknown item", lambda: model.explain(user, "no such item")),
    ):
        _demand_error(case, UnknownId, ask, what)
    for what, ask in (
        ("recommend", lambda: model.recommend([user], k=0)),
        ("recommend_histories", lambda: model.recommend_histories({"new": [item]}, k=0)),
        ("similar", lambda: model.similar([item], k=0)),
    ):
        _demand_error(case, LoreweaveError, ask, f"{what} with k=0")


def check_similar(case: Case) -> None:
    """Similar items are of the same group, and an item is not similar to itself."""
    item = case.data.items.ids[0]
    found = case.model.similar([item], k=3)
    _demand(case, found.columns == ["item", "rank", "similar", "score"], lambda: f"similar returns the columns {found.columns}")
    _demand(case, item not in found["similar"], "an item is similar to itself")
    if case.personalised:
        _demand(case, bool(found["similar"].str.starts_with("rosé").all()), "an item is similar to what only the other group met")


def check_determinism(case: Case) -> None:
    """The same settings, seed and data give the same scores, to the bit."""
    again = case.factory().fit(case.data, case.knowledge)
    _demand(case, np.array_equal(_everything(case.model), _everything(again)), "two fits with one seed give different scores")


def check_saving(case: Case) -> None:
    """A loaded model scores and explains to the bit as the saved one; saving over it replaces it."""
    with _saved(case) as folder:
        loaded = type(case.model).load(folder)
        _demand(case, np.array_equal(_everything(case.model), _everything(loaded)), "scores differ after save and load")
        _demand(case, loaded.titles.equals(case.data.titles), "titles differ after save and load")
        explained = [_explanation(model, case.users[5], case.data.items.ids[1]) for model in (case.model, loaded)]
        _demand(case, explained[0] == explained[1], "explanations differ after save and load")
        _demand(case, loaded.config == case.model.config, "settings differ after save and load")
        loaded.save(folder)
        again = type(case.model).load(folder)
        _demand(case, np.array_equal(_everything(again), _everything(loaded)), "scores differ after saving a loaded model in its own place")


def check_saved_files(case: Case) -> None:
    """A saved folder holds JSON, safetensors and Parquet: nothing that must be unpickled."""
    with _saved(case) as folder:
        for path in _files(folder):
            allowed = path.suffix in {".json", ".safetensors", ".parquet"}
            _demand(case, allowed, f"saves {path.relative_to(folder)}: only *.json, *.safetensors and *.parquet are allowed")


def check_damage(case: Case) -> None:
    """A saved folder with a file cut short, changed or missing, or of another format, is refused with a SavedError."""
    with _saved(case) as folder:
        for path in _files(folder):
            whole = path.read_bytes()
            middle = len(whole) // 2
            name = path.relative_to(folder)
            damages = {"cut short": whole[:middle], "emptied": b""}
            if path.name == "manifest.json":
                damages["of another format"] = json.dumps({**json.loads(whole), "format": -1}).encode()
            else:
                damages["changed by a byte"] = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
            for damage, contents in damages.items():
                path.write_bytes(contents)
                _demand_error(case, SavedError, lambda: type(case.model).load(folder), f"loading with {name} {damage}")
            path.unlink()
            _demand_error(case, SavedError, lambda: type(case.model).load(folder), f"loading with {name} missing")
            path.write_bytes(whole)
        type(case.model).load(folder)


def check_knowledge(case: Case) -> None:
    """Fits without knowledge and with shuffled knowledge; a model that says it is knowledge-blind scores the same, any other does not."""
    none = case.factory().fit(case.data, Knowledge.none())
    shuffled = case.factory().fit(case.data, case.knowledge.shuffled(1))
    absent = case.factory().fit(case.data)
    for model in (none, shuffled):
        _demand(case, bool(np.isfinite(_everything(model)).all()), "a score is not finite without knowledge, or with it shuffled")
    _demand(case, np.array_equal(_everything(none), _everything(absent)), "no knowledge given is not the same as Knowledge.none()")
    same = [np.array_equal(_everything(case.model), _everything(model)) for model in (none, shuffled)]
    if case.model.knowledge_kinds:
        _demand(case, not any(same), "says that it uses knowledge, but scores the same without it; set knowledge_kinds = ()")
    else:
        _demand(case, all(same), "says that it is knowledge-blind, but scores otherwise without knowledge; set its knowledge_kinds")


def check_newcomer_knowledge(case: Case) -> None:
    """What is said of a newcomer is accepted; it counts, with a history or without, where the model learns from what is said of people."""
    histories = {"new": [], "met": case.data.items.ids[:2].to_list()}
    said = Knowledge.from_records(
        record
        for user in histories
        for record in (
            Record(kind="interest", user=user, interest="wine", text="wine", source="person"),
            Record(kind="user_text", user=user, text=f"Reads about {', '.join(WORDS[0])}."),
        )
    )
    scores = [case.model.score_histories(histories, knowledge) for knowledge in (None, said)]
    _demand(case, bool(np.isfinite(scores[1]).all()), "what is said of a newcomer makes a score infinite or NaN")
    same = np.array_equal(scores[0], scores[1])
    about_people = [kind for kind in PERSONAL if kind in case.model.knowledge_kinds]
    if about_people:
        _demand(case, not same, f"says that it learns from {' and '.join(about_people)}, but what is said of a newcomer changes nothing")
    else:
        _demand(case, same, "says that it learns nothing from what is said of people, but what is said of a newcomer changes scores")


def check_settings(case: Case) -> None:
    """A setting that does not exist is refused, and the message names it."""
    kind = type(case.model)
    error = _demand_error(case, ConfigError, lambda: kind(no_such_setting=1), "an unknown setting")
    _demand(case, "no_such_setting" in str(error), "the error on an unknown setting does not name it")
    missing = [name for name, field in kind.config_class.model_fields.items() if not field.description]
    _demand(case, not missing, lambda: f"settings without a docstring: {', '.join(missing)}")
    strange = [name for name in (*kind.grid, *kind.knowledge_settings) if name not in kind.config_class.model_fields]
    _demand(case, not strange, lambda: f"grid or knowledge_settings name what is no setting: {', '.join(strange)}")
    unknown = [name for name in case.model.knowledge_kinds if name not in REQUIRED]
    _demand(case, not unknown, lambda: f"knowledge_kinds name what is no kind of record: {', '.join(unknown)}")
    if kind.stochastic:
        _demand(case, "seed" in kind.config_class.model_fields, "is stochastic, but has no setting `seed`")


def check_explanations(case: Case) -> None:
    """Causes are sorted, have kinds that there are, and add up to the score where they are said to; titles are shown."""
    model, item = case.model, case.data.items.ids[1]
    try:
        model.explain(case.users[5], item)
    except LoreweaveError:
        return  # explaining is an ability, not a duty
    theirs = case.data.items.decode(case.data.matrix[[5]].indices).to_list()
    for user in (case.users[5], case.users[0], QUIET):
        _check_explanation(case, model.explain(user, item), float(model.score([user])[0, 1]))
    _check_explanation(case, model.explain_history(theirs, item), float(model.score_histories({"person": theirs})[0, 1]))
    whole = model.explain(case.users[5], item)
    _demand(
        case, model.explain(case.users[5], item, k=2).causes == whole.causes[:2], "explain with k=2 does not give the two largest causes"
    )
    named = {cause.key for cause in whole.causes if cause.kind == "item"}
    _demand(case, named <= set(theirs), "an explanation names items that the user has not met")


def check_untouched(case: Case) -> None:
    """Fitting, scoring and explaining leave the data and the knowledge as they were."""
    before, records = _copies(case.data), case.knowledge.records.clone()
    model = case.factory().fit(case.data, case.knowledge)
    model.recommend(k=3)
    _explanation(model, case.users[5], case.data.items.ids[1])
    changed = [name for name, array in _copies(case.data).items() if not np.array_equal(array, before[name])]
    _demand(case, not changed, lambda: f"fit, recommend or explain changed the data they were given: {', '.join(changed)}")
    _demand(case, case.knowledge.records.equals(records), "fit changed the knowledge it was given")


def check_unfitted(case: Case) -> None:
    """A model that is not fitted says so, and data without interactions is refused."""
    _demand_error(case, LoreweaveError, lambda: case.factory().recommend(k=1), "recommend before fit")
    nothing = case.data.with_interactions(Interactions.empty())
    _demand_error(case, LoreweaveError, lambda: case.factory().fit(nothing), "fit without interactions")


CHECKS: tuple[Callable[[Case], None], ...] = (
    check_checkerboard,
    check_scores,
    check_recommendations,
    check_candidates,
    check_empty_history,
    check_unknown_ids,
    check_similar,
    check_determinism,
    check_saving,
    check_saved_files,
    check_damage,
    check_knowledge,
    check_newcomer_knowledge,
    check_settings,
    check_explanations,
    check_untouched,
    check_unfitted,
)
"""All of them, in order."""


def _check_explanation(case: Case, found: Explanation, score: float) -> None:
    scale = max(1.0, abs(score))
    off = abs(found.score - score)
    _demand(case, off <= TOLERANCE * scale, lambda: f"an explanation's score is {found.score}, the item's score is {score}")
    parts = [cause.contribution for cause in found.causes]
    _demand(case, bool(np.isfinite(parts).all()), "a contribution is not finite")
    _demand(case, parts == sorted(parts, reverse=True), "causes are not sorted by contribution")
    kinds = {cause.kind for cause in found.causes} - {"item", "interest", "person", "bias"}
    _demand(case, not kinds, lambda: f"causes of unknown kinds: {kinds}")
    _demand(case, all(cause.text for cause in found.causes), "a cause has no text")
    _demand(case, found.title == case.data.titles[1], lambda: f"an explanation shows the title {found.title!r}")
    if found.exact:
        gap = abs(sum(parts) - found.score)
        _demand(case, gap <= TOLERANCE * scale, lambda: f"an exact explanation adds up to {sum(parts)}, its score is {found.score}")


def _demand(case: Case, holds: bool, otherwise: str | Callable[[], str]) -> None:
    if not holds:
        raise AssertionError(f"{type(case.factory()).name}: {otherwise if isinstance(otherwise, str) else otherwise()}")


def _demand_error(case: Case, kind: type[LoreweaveError], ask: Callable[[], Any], what: str) -> LoreweaveError:
    try:
        ask()
    except kind as error:
        return error
    except Exception as error:
        raise AssertionError(f"{type(case.factory()).name}: {what} raises {type(error).__name__} ({error}), not {kind.__name__}") from error
    raise AssertionError(f"{type(case.factory()).name}: {what} raises nothing, not {kind.__name__}")


def _near(left: NDArray[Any], right: NDArray[Any]) -> bool:
    return np.allclose(left, right, rtol=TOLERANCE, atol=TOLERANCE)


def _everything(model: Recommender) -> NDArray[np.float32]:
    """Scores of all fitted users and of two newcomers."""
    items = model.items.ids.to_list()
    return np.concatenate([model.score(model.users.ids), model.score_histories({"one": items[:2], "two": [items[-2]]})])


def _explanation(model: Recommender, user: str, item: str) -> Explanation | None:
    try:
        return model.explain(user, item)
    except LoreweaveError:
        return None


def _copies(data: Dataset) -> dict[str, NDArray[Any]]:
    matrix, triples = data.matrix, data.triples
    arrays = {"user": data.interactions.user, "item": data.interactions.item, "indptr": matrix.indptr, "indices": matrix.indices}
    arrays["data"] = matrix.data
    if triples is not None:
        arrays |= {"head": triples.head, "relation": triples.relation, "tail": triples.tail}
    return {name: array.copy() for name, array in arrays.items()}


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@contextmanager
def _saved(case: Case) -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="loreweave-conformance-"))
    try:
        case.model.save(place / "model")
        yield place / "model"
    finally:
        shutil.rmtree(place)

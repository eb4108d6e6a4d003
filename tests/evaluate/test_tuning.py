"""Tuning: what is walked, what wins, and that nothing is done twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from stubs import Oracle, Remembering, interests, pairs, tribes

from loreweave.data import split
from loreweave.data.dataset import Interactions
from loreweave.data.split import Split
from loreweave.errors import ConfigError, DataError
from loreweave.evaluate import tune
from loreweave.knowledge.records import Knowledge, Record
from loreweave.knowledge.source import Together

SPLIT = split(tribes(), "ratio", seed=1)
KNOWN = interests(SPLIT.train.fingerprint)


def test_the_best_point_on_validation_wins_and_the_first_of_equals() -> None:
    found = tune("stub", SPLIT, KNOWN, metric="recall@5")
    assert [trial["settings"] for trial in found.trials] == [
        {"weight": weight, "power": power} for weight in (0.0, 1.0) for power in (0.0, 0.1)
    ]
    assert found.value == max(trial["value"] for trial in found.trials)
    assert found.settings["weight"] == 1.0  # who knows the tribe knows the books
    same = tune("stub", SPLIT, KNOWN, grid={"epochs": [4, 2, 9]})
    assert same.settings == {"epochs": 4}


def test_what_is_fixed_is_not_walked_and_without_knowledge_neither_is_its_weight() -> None:
    assert len(tune("stub", SPLIT, KNOWN, settings={"power": 0.1}).trials) == 2
    found = tune("stub", SPLIT, Knowledge.none())
    assert [trial["settings"] for trial in found.trials] == [{"power": 0.0}, {"power": 0.1}]
    assert all(fit["settings"]["weight"] == 1.0 for fit in Remembering.fits[-2:])


def test_what_the_fit_chose_joins_the_settings() -> None:
    found = tune("epochs", SPLIT, KNOWN, settings={"seed": 7}, grid={"power": [0.0]})
    assert found.settings == {"seed": 7, "power": 0.0, "epochs": 3}
    assert found.chosen == {"epochs": 3}
    assert all(fit["valid"] == pairs(SPLIT.valid) for fit in Remembering.fits)


def test_a_source_is_asked_on_train_alone() -> None:
    source = Oracle()
    tune("stub", SPLIT, source, grid={"power": [0.0]})
    assert source.shown == [pairs(SPLIT.train.interactions)]


def test_several_together_are_asked_and_checked() -> None:
    source, profiles = Oracle(), Knowledge.from_records([Record(kind="user_text", user="u00", text="t")])
    with pytest.raises(DataError, match="1 of 1 knowledge records rest on unknown"):
        tune("stub", SPLIT, Together((source, profiles)), grid={"power": [0.0]})
    with pytest.warns(UserWarning, match="accepted on request"):
        found = tune("stub", SPLIT, Together((source,), (profiles,)), grid={"power": [0.0, 0.1]})
    assert len(found.trials) == 2
    assert set(Remembering.fits[-1]["records"]["kind"]) == {"interest"}


def test_records_of_other_kinds_repeat_no_trial(tmp_path: Path) -> None:
    texts = Knowledge.from_records([Record(kind="user_text", user="u00", text="t", as_of=SPLIT.train.fingerprint)])
    first = tune("stub", SPLIT, KNOWN, folder=tmp_path)
    done = len(Remembering.fits)
    assert tune("stub", SPLIT, KNOWN.merged(texts), folder=tmp_path) == first
    assert len(Remembering.fits) == done
    assert len(tune("stub", SPLIT, texts).trials) == 2  # as without knowledge: the weight of interests is not walked


def test_finished_trials_are_not_repeated_even_after_a_torn_line(tmp_path: Path) -> None:
    first = tune("stub", SPLIT, KNOWN, folder=tmp_path)
    done = len(Remembering.fits)
    assert tune("stub", SPLIT, KNOWN, folder=tmp_path) == first
    assert len(Remembering.fits) == done
    path = tmp_path / "trials.jsonl"
    path.write_text(path.read_text()[:-20])  # a kill in the middle of the last line
    again = tune("stub", SPLIT, KNOWN, folder=tmp_path)
    assert len(Remembering.fits) == done + 1
    assert again.settings == first.settings
    assert tune("stub", SPLIT, KNOWN, folder=tmp_path) == again
    tune("stub", SPLIT, KNOWN.noised(0.5, 1), folder=tmp_path)  # other knowledge is another question
    assert len(Remembering.fits) == done + 1 + done


def test_optuna_looks_at_fewer_points(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    found = tune("stub", SPLIT, KNOWN, trials=3, folder=tmp_path)
    assert len(found.trials) == 3
    done = len(Remembering.fits)
    assert tune("stub", SPLIT, KNOWN, trials=3, folder=tmp_path).trials == found.trials
    assert len(Remembering.fits) == done


def test_bad_calls_are_refused() -> None:
    with pytest.raises(ConfigError, match="no metric"):
        tune("stub", SPLIT, KNOWN, metric="ndgc@20")
    with pytest.raises(ConfigError, match="no setting"):
        tune("stub", SPLIT, KNOWN, grid={"wieght": [1.0]})
    with pytest.raises(DataError, match="validation"):
        tune("stub", Split(SPLIT.train, Interactions.empty(), SPLIT.test, "ratio", 1), KNOWN)

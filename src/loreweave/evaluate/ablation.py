"""`ablate`: a model as it is beside itself with one part left out or replaced by a control, in one table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loreweave.data import split
from loreweave.data.dataset import Dataset
from loreweave.errors import ConfigError
from loreweave.evaluate.comparison import compare
from loreweave.evaluate.plan import CONTROLS
from loreweave.evaluate.summary import mean_and_spread
from loreweave.files import write_json
from loreweave.knowledge.records import Knowledge
from loreweave.knowledge.source import Known, known_about
from loreweave.models import create


def ablate(
    dataset: Dataset,
    model: str,
    out: Path | str,
    *,
    knowledge: Known | None,
    how: str | None = None,
    settings: Mapping[str, Any] | None = None,
    metric: str = "ndcg@20",
    undated: bool = False,
    seeds: tuple[int, ...] = (1, 2, 3),
    split_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """A comparison (`compare`) of the whole model with each of its `ablations`, and with no, shuffled and template texts in its place.

    Every ablation chooses for itself what is chosen on validation: the number of epochs, and, where `tune`, the model's grid. The family of
    tests is the whole model against everything else, in `metric`.

    Args:
        model: registered name.
        out: a new folder, or that of an earlier run of the same: what is finished there is taken over.
        settings: of the whole model; an ablation's own go over them.
        split_options: as for `loreweave.data.split`.
        dataset, knowledge, how, metric, undated, seeds, options: as for `compare`.

    Returns:
        What `compare` gives, and `ablation`: a row for each of them, `name`, `knowledge`, `seeds`, `metrics` (means over seeds), `spread`
        (standard deviation of `metric`; None for one seed), `tail` (`metrics` of the items outside the most popular fifth), `seconds` of a
        fit, and against the whole model `loss` (whole − this, in `metric`), `ci`, `p_holm` (None for the whole itself). `left_out`: names
        of ablations that change nothing on these data and this knowledge.

    Raises:
        ConfigError: the model has no ablations; and as for `compare`.
    """
    own, cut = dict(settings or {}), dict(split_options or {})
    whole = create(model, own)
    found = whole.ablations()
    if not found:
        raise ConfigError(f"{model} names no parts that could be left out; compare runs any model under several settings")
    made = split(dataset, how, seed=seeds[0], **cut)
    known = Knowledge.none() if knowledge is None else known_about(knowledge, made.refit, made, undated=undated)[0]
    known = known.only(*whole.knowledge_kinds)
    idle = set(whole.idle_settings(made.refit, known))
    left_out = [
        name
        for name, (other, change) in found.items()
        if other == model and (set(change) <= idle or create(model, {**own, **change}).config == whole.config)
    ]
    rows = {name: row for name, row in found.items() if name not in left_out}
    result = compare(
        dataset,
        {model: model} | {name: other for name, (other, _) in rows.items()},
        out,
        knowledge=knowledge,
        how=how,
        seeds=seeds,
        settings={model: own} | {name: {**own, **change} if other == model else change for name, (other, change) in rows.items()},
        controls={model: CONTROLS},
        claims=[(f"{model} real", f"{name} {_arm(other, known)}", metric) for name, (other, _) in rows.items()] if len(known) else [],
        metric=metric,
        undated=undated,
        **options,
        **cut,
    )
    result |= {"ablation": _table(result, model, metric), "left_out": left_out}
    write_json(Path(out) / "results.json", result)
    return result


def _arm(model: str, known: Knowledge) -> str:
    return "real" if len(known.only(*create(model).knowledge_kinds)) else "none"


def _table(result: Mapping[str, Any], model: str, metric: str) -> list[dict[str, Any]]:
    """Means over seeds of every model and arm, beside the test of the whole model against it."""
    results, whole = result["results"], f"{model} real"
    tests = {test["claim"].removeprefix(f"{whole} − "): test for test in result["tests"]}
    tail = {(row["model"], row["knowledge"]): row["metrics"] for row in result["popularity"] if row["group"] == "tail"}
    means = {name: mean_and_spread(results, name) for name in results[0]["metrics"]}
    rows = []
    for side, (_, spread, seeds) in means[metric].items():
        test = tests.get(f"{' '.join(side)}, {metric}")
        sign = 1 if test is None or test["expected"] else -1
        seconds = [row["seconds"]["fit"] for row in results if (row["model"], row["knowledge"]) == side]
        rows.append(
            {
                "name": side[0],
                "knowledge": side[1],
                "seeds": seeds,
                "metrics": {name: of_all[side][0] for name, of_all in means.items()},
                "spread": spread,
                "tail": tail.get(side),
                "seconds": sum(seconds) / len(seconds),
                "loss": None if test is None else sign * test["difference"],
                "ci": None if test is None else sorted(sign * bound for bound in test["ci"]),
                "p_holm": None if test is None else test["p_holm"],
            }
        )
    return rows

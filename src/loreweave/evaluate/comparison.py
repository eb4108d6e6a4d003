"""`compare`: models with real, no and shuffled knowledge over seeds, so that what knowledge is worth can be told from what it costs.

Settings are chosen on validation, for `real` and for `none` apart; all other arms keep those of `real`. Then one fit on train +
validation, and one look at test. Every finished part is on disk: a run that was killed goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from loreweave.data.dataset import Dataset
from loreweave.errors import ConfigError, SavedError
from loreweave.evaluate import fingerprints, summary
from loreweave.evaluate.cells import Cell, Found, run
from loreweave.evaluate.html import write_report
from loreweave.evaluate.kept_negatives import kept_negatives
from loreweave.evaluate.metrics import parse_metric
from loreweave.evaluate.plan import Plan
from loreweave.evaluate.protocol import Round, protocol
from loreweave.evaluate.sampled import Negatives
from loreweave.evaluate.summary import Claim
from loreweave.evaluate.tuning import Tuned, tune
from loreweave.files import read_manifest, write_json
from loreweave.knowledge import templates
from loreweave.knowledge.records import Knowledge
from loreweave.knowledge.source import KnowledgeSource, Known, known_about
from loreweave.models import model_class
from loreweave.models.base import Recommender
from loreweave.progress import track

SEEDS = 3
"""Fewer of them are warned of: tests are over users, and see nothing of how far two runs of one model lie apart."""
PERMUTATIONS = 20
"""Shuffles that a claim against shuffled knowledge should rest on."""
FIRST_PERMUTATION = 1000
"""Seed of the first further shuffle; the arms' own are the seeds of the run."""


def compare(
    dataset: Dataset,
    models: Sequence[str] | Mapping[str, str],
    out: Path | str,
    *,
    knowledge: Known | None,
    how: str | None = None,
    seeds: Sequence[int] = (1, 2, 3),
    noise: Sequence[float] = (),
    controls: Sequence[str] | Mapping[str, Sequence[str]] = ("none", "shuffled"),
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    tune: bool = True,
    ks: Sequence[int] = (20, 50, 100),
    metric: str = "ndcg@20",
    undated: bool = False,
    permutations: int = 0,
    negatives: int = 0,
    claims: Sequence[tuple[str, str, str]] = (),
    filters: Mapping[str, Any] | None = None,
    **split_options: Any,
) -> dict[str, Any]:
    """Run a comparison, or go on with one, and write `results.json`, `report.html` and a folder for each model into `out`.

    The folder `out/<model>` holds the arm `real` (`none` for a model without knowledge) of the first seed, fitted on train + validation. A
    model is given the records of its own kinds (`Recommender.knowledge_kinds`), and runs once, as `none`, where there are none of them.

    Args:
        dataset: filtered as it is to be.
        models: registered names; or a name of one's own → registered name, so that one model can run under several settings.
        out: a new folder, or that of an earlier comparison: what is finished there under the same data, settings and version is taken over.
        knowledge: records, a source, which is asked on train while choosing and on train + validation at the refit, or several together.
        how, split_options: as for `loreweave.data.split`.
        seeds: of the split, of the models, and of the shuffled and noised arms.
        noise: rates of further arms, `noised-30` for 0.3.
        controls: what `real` is held against (`CONTROLS`), for all models or by name; none for one whose claims are about `real` alone.
        settings: by name, settings that are fixed and not walked.
        tune: walk the models' grids; False keeps to `settings` and the defaults.
        ks: cuts.
        metric: that settings are chosen by, and of the tests named before the run.
        undated: accept records whose date is unknown (`Knowledge.check`).
        permutations: further shuffles at the first seed, for the upper bound of shuffled − none.
        negatives: rank each held-out item also among so many random ones (100 in the sequential papers). A table of its own beside full
            ranking; the items drawn are in `out/negatives/SEED.parquet`.
        claims: further tests of the family: (better, worse, metric) such as `("cikg-linear real", "ease none", "recall@20")`.
        filters: how `dataset` was filtered, kept with the models.

    Returns:
        `results`: rows `model`, `knowledge`, `seed`, `metrics`, `sampled`, `seconds`, …; `tests`: rows `better`, `worse`, `metric`,
        `difference`, `ci`, `p`, `p_holm`, …; `groups`, `popularity`, `activity`, `permutations`, `deletion`, `examples`; `protocol`.

    Raises:
        ConfigError: an unknown model, setting, metric or claim, before anything is fitted.
        MissingExtra: a model needs an extra that is not installed, before anything is fitted.
        DataError: the knowledge may have seen the test part, and `undated` is not set.
        SavedError: `out` is something else, or cannot be written.
    """
    names = dict(models) if isinstance(models, Mapping) else {name: name for name in models}
    by_name: dict[str, Sequence[str]] = dict.fromkeys(names, ())
    by_name |= controls if isinstance(controls, Mapping) else dict.fromkeys(names, controls)
    plan = Plan(
        names,
        dict(settings or {}),
        tuple(seeds),
        _noised(noise),
        metric,
        tune,
        permutations,
        dict(filters or {}),
        Path(out),
        {name: tuple(each) for name, each in by_name.items()},
        negatives,
    )
    family = plan.check(claims, ks)
    _check_folder(plan.out)
    rounds, warnings = _rounds(dataset, knowledge, plan.seeds, how, split_options, undated)
    write_json(plan.out / "manifest.json", plan.manifest(dataset, finished=False))
    known = [each.refitting for each in rounds]
    held, written = (
        {kind for found in parts for kind in found.records["kind"].unique()} for parts in (known, map(templates.written, known))
    )
    family, told = plan.keep_to(held, written, family)
    warnings += told
    if any(claim.worse[1] == "shuffled" for claim in family) and plan.permutations < PERMUTATIONS:
        warnings.append(
            f"what is said against shuffled knowledge rests on {len(plan.seeds)} shuffles; --permutations {PERMUTATIONS} bounds what wrong "
            "knowledge is worth"
        )
    if family and len(plan.seeds) < SEEDS and any(model_class(model).stochastic for model in plan.names.values()):
        warnings.append(
            f"fewer than {SEEDS} seeds: the tests are over users and take every fitted model as it is, so what two runs of one model "
            "differ by counts as a difference of the models"
        )
    found, tuned = _run(plan, rounds, sorted({*ks, *(parse_metric(name)[1] for name in (metric, *(claim.metric for claim in family)))}))
    result = _result(plan, dataset, knowledge, rounds, family, found, tuned, warnings)
    write_json(plan.out / "results.json", result)
    write_report(result, plan.out / "report.html")
    write_json(plan.out / "manifest.json", plan.manifest(dataset, finished=True))
    return result


def _noised(rates: Sequence[float]) -> dict[str, float]:
    if not all(0 < rate <= 1 for rate in rates):
        raise ConfigError(f"noise rates lie above 0 and at most at 1, got {list(rates)}")
    arms = {f"noised-{round(rate * 100)}": rate for rate in rates}
    if len(arms) < len(rates):
        raise ConfigError(f"noise rates must differ by a whole percent, got {list(rates)}")
    return arms


def _check_folder(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise SavedError(f"{out}: is a file; choose another place for the comparison")
    if out.is_dir() and any(out.iterdir()) and read_manifest(out).get("kind") != "comparison":
        raise SavedError(f"{out}: holds something else than a comparison; choose another place or remove it")


def _rounds(
    dataset: Dataset,
    knowledge: Known | None,
    seeds: Sequence[int],
    how: str | None,
    split_options: Mapping[str, Any],
    undated: bool,
) -> tuple[list[Round], list[str]]:
    from loreweave.data import split as cut

    rounds: list[Round] = []
    warnings: list[str] = []
    asked: dict[tuple[int, str], Knowledge] = {}

    def infer(source: KnowledgeSource, part: Dataset) -> Knowledge:
        key = id(source), part.fingerprint
        if key not in asked:
            asked[key] = source.infer(part)
        return asked[key]

    for seed in track(seeds, "splitting and asking"):
        made = cut(dataset, how, seed=seed, **split_options)
        choosing = refitting = Knowledge.none()
        told: list[str] = []
        if knowledge is not None:
            choosing, of_train = known_about(knowledge, made.train, made, undated=undated, infer=infer)
            refitting, of_refit = known_about(knowledge, made.refit, made, undated=undated, infer=infer)
            told = [*of_train, *of_refit, *_unlike(choosing, refitting)]
            warnings += told
        hashed = fingerprints.of_value([fingerprints.of_dataset(made.refit), fingerprints.of_interactions(made.test)])
        rounds.append(Round(seed, made, choosing, refitting, hashed, tuple(dict.fromkeys(told))))
    return rounds, list(dict.fromkeys(warnings))


def _unlike(choosing: Knowledge, refitting: Knowledge) -> list[str]:
    """What must be said where settings are chosen with knowledge of another kind than the refit has."""
    choice, refit = (", ".join(known.records["kind"].unique().sort()) or "nothing" for known in (choosing, refitting))
    return [] if choice == refit else [f"settings were chosen with {choice} known, and the refit has {refit}; ask about both parts"]


def _run(plan: Plan, rounds: Sequence[Round], ks: Sequence[int]) -> tuple[list[Found], dict[tuple[str, int, str], Tuned]]:
    """All cells: what they found, and what was chosen for each name, seed and arm (`real`, `none`)."""
    found: list[Found] = []
    tuned: dict[tuple[str, int, str], Tuned] = {}
    negatives = {each.seed: _negatives(plan, each) for each in rounds}
    jobs = [(name, each, arm, number) for name in plan.names for each in rounds for arm, number in _arms(plan, name, each is rounds[0])]
    for name, each, arm, number in track(jobs, "comparing"):
        chosen_for = "none" if arm == "none" else "real"
        place = (name, each.seed, chosen_for)
        if place not in tuned:
            same_test = each.split.test_fingerprint == rounds[0].split.test_fingerprint
            tuned[place] = _choose(plan, name, each, chosen_for, tuned.get((name, plan.seeds[0], chosen_for)) if same_test else None)
        first = each is rounds[0] and number is None and arm == ("real" if plan.kinds[name] else "none")
        origin = {"filters": plan.filters, "split": each.split.describe(), "part": "refit", "data": each.split.train.name}
        settings, refitted_on = tuned[place].settings, _knowledge_of(plan, name, arm, each, number)
        drawn, beside = negatives[each.seed], each.warnings if len(refitted_on) else ()
        cell = Cell(name, plan.names[name], arm, each.seed, number, settings, each.split, refitted_on, ks, drawn, first, origin, beside)
        found.append(run(cell, cell.key(each.data), plan.out))
    return found, tuned


def _negatives(plan: Plan, each: Round) -> Negatives | None:
    path = plan.out / "negatives" / f"{each.seed}.parquet"
    return kept_negatives(each.split, plan.negatives, path, each.data) if plan.negatives else None


def _arms(plan: Plan, name: str, first: bool) -> Iterator[tuple[str, int | None]]:
    for arm in plan.arms(name):
        yield arm, None
    if first and "none" in plan.arms(name)[1:]:
        for number in range(plan.permutations):
            yield "shuffled", number


def _choose(plan: Plan, name: str, each: Round, arm: str, first: Tuned | None) -> Tuned:
    """Settings for one seed. Where the `first` seed showed that a fit chooses for itself, its grid's winner is kept.

    `first` is given only where the test part is the same at every seed: one seed's train may hold another's test.
    """
    fixed = plan.fixed(name, each.seed)
    if not plan.tune and model_class(plan.names[name]).chosen_settings is Recommender.chosen_settings:
        return Tuned(fixed, None, [], {}, {})
    grid: dict[str, list[Any]] | None = None if plan.tune else {}
    if first is not None and first.chosen:
        fixed, grid = {**fixed, **first.point}, {}
    knowledge = each.choosing if arm == "real" else Knowledge.none()
    folder = plan.out / "tuning"
    return tune(plan.names[name], each.split, knowledge, settings=fixed, metric=plan.metric, grid=grid, folder=folder)


def _knowledge_of(plan: Plan, name: str, arm: str, each: Round, permutation: int | None) -> Knowledge:
    """Of one arm: records of the kinds that the row's model learns from, so that others neither change its cells nor its shuffles."""
    if arm == "none":
        return Knowledge.none()
    own = each.refitting.only(*plan.kinds[name])
    if arm == "template":
        return templates.in_place_of(own, each.split.refit)
    if arm == "shuffled":
        return own.shuffled(each.seed if permutation is None else FIRST_PERMUTATION + permutation)
    if arm in plan.noise:
        return own.noised(plan.noise[arm], each.seed)
    return own


def _result(
    plan: Plan,
    dataset: Dataset,
    knowledge: Known | None,
    rounds: Sequence[Round],
    family: Sequence[Claim],
    found: Sequence[Found],
    tuned: Mapping[tuple[str, int, str], Tuned],
    warnings: Sequence[str],
) -> dict[str, Any]:
    values = summary.PerUser(found)
    shown = ("model", "knowledge", "seed", "metrics", "sampled", "seconds", "settings", "system", "counts")
    k = parse_metric(plan.metric)[1]
    both = (f"recall@{k}", f"ndcg@{k}")
    kept = [one for one in found if one.cell.keep]
    told = [f"{one.cell.name} {one.cell.arm}, seed {one.cell.seed}: {text}" for one in found for text in one.row["warnings"]]
    return {
        "results": [{key: one.row[key] for key in shown} for one in found if one.cell.permutation is None],
        "tests": summary.paired_tests(values, family) if family else [],
        "groups": summary.group_gains(values, [name for name in plan.knowing if "none" in plan.controls[name]], plan.metric),
        "popularity": summary.group_rows(found, "item popularity", both),
        "activity": summary.group_rows(found, "user activity", both),
        "permutations": summary.permutation_rows(found, plan.metric),
        "deletion": [{"model": one.cell.name, **one.row["deletion"]} for one in kept if one.row["deletion"]],
        "examples": [{"model": one.cell.name, "people": one.row["examples"]} for one in kept],
        "tuning": [
            {"model": name, "seed": seed, "knowledge": arm, "settings": each.settings, "value": each.value, "trials": len(each.trials)}
            for (name, seed, arm), each in tuned.items()
        ],
        "protocol": protocol(plan, dataset, knowledge, rounds, family, found, [*warnings, *dict.fromkeys(told)]),
    }

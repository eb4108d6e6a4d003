"""`knowledge plan` and `knowledge run`: what a language model would be asked about these data, what it costs, and asking it."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loreweave.cli import inputs, options
from loreweave.cli.output import note, print_fields, print_json
from loreweave.config import parse_assignments
from loreweave.errors import ConfigError

if TYPE_CHECKING:
    from loreweave.data import Dataset
    from loreweave.knowledge.engine import Plan, Price
    from loreweave.knowledge.tasks import KnowledgeTask
    from loreweave.language import LanguageModel

ASKING = "Asking"
"""Panel of the help page."""

Task = Annotated[
    str,
    typer.Option(
        "--task",
        rich_help_panel=ASKING,
        help="What is asked: interests, item-descriptions, user-descriptions, item-profiles, user-profiles, preferences, facts or reasons.",
    ),
]
Lm = Annotated[
    str,
    typer.Option(
        "--lm",
        metavar="WHERE",
        rich_help_panel=ASKING,
        help="The base URL of an OpenAI-compatible server (the key comes from LOREWEAVE_LM_KEY or OPENAI_API_KEY), local (a Hugging Face "
        "model, --model names it), or a .jsonl file of recorded answers.",
    ),
]
ModelName = Annotated[str, typer.Option("--model", rich_help_panel=ASKING, help="The model, as the server or the hub calls it.")]
Store = Annotated[Path, typer.Option("--store", metavar="FILE.db", rich_help_panel=ASKING, help="Where answers are kept.")]
Part = Annotated[
    str,
    typer.Option(
        "--part",
        rich_help_panel=options.DATA,
        help="What the prompts may show: refit (train and validation) or train alone; never the test part.",
    ),
]
Prices = Annotated[
    Path | None,
    typer.Option("--prices", metavar="FILE.toml", rich_help_panel=ASKING, help="Prices over those that are shipped, USD a million tokens."),
]
Batch = Annotated[
    bool, typer.Option("--batch", rich_help_panel=ASKING, help="Through the provider's Batch interface: slower, at its lower price.")
]


def plan(
    data: options.Data,
    task: Task,
    lm: Lm,
    model: ModelName,
    store: Store,
    format: options.Format = None,
    column: options.Column = None,
    min_value: options.MinValue = None,
    k_core: options.KCore = None,
    file_order: options.FileOrder = False,
    split: options.SplitBy = None,
    seed: options.Seed = 1,
    part: Part = "refit",
    set: options.Set = None,
    prices: Prices = None,
    batch: Batch = False,
    json: options.Json = False,
) -> None:
    """Count and price what `knowledge run` would ask. Asks nothing.

    Example:

        loreweave knowledge plan ratings.csv --task interests --lm http://127.0.0.1:8000/v1 --model qwen3-8b --store k.db
    """
    asked, speaker, price = _asked(
        task, lm, model, store, set, prices, batch, (data.absolute(), format, column, min_value, k_core, file_order, split, seed, part)
    )
    shown = _shown(inputs.Log(data, format, column or (), min_value, k_core, file_order), split, seed, part)
    found = _plan(asked, shown, speaker, store, price)
    if json:
        print_json({"task": task, "model": speaker.model, "data_fingerprint": shown.fingerprint, **asdict(found)})
        return
    print_fields(
        {
            "task": f"{asked.name}, template {asked.version}",
            "model": speaker.model,
            "subjects": f"{found.subjects:,}",
            "in the store": f"{found.answered:,} answered, {found.failed:,} failed, {found.excluded:,} excluded",
            "asked before in the same words": f"{found.reused:,}",
            "to ask": f"{found.to_ask:,}",
            "too long": f"{found.too_long:,}",
            "not asked about": ", ".join(f"{count:,} {what}" for what, count in found.passed_over.items()) or "nobody",
            "left out of prompts": f"{found.left_out:,} history items, {found.cut:,} characters of texts",
            "tokens": f"about {found.tokens_in:,} in, at most {found.tokens_out:,} out",
            "price": "not known for this model; give one with --prices"
            if found.price is None
            else f"at most {found.price:.4f} USD, and what is asked again for its form",
        }
    )


def run(
    data: options.Data,
    task: Task,
    lm: Lm,
    model: ModelName,
    store: Store,
    format: options.Format = None,
    column: options.Column = None,
    min_value: options.MinValue = None,
    k_core: options.KCore = None,
    file_order: options.FileOrder = False,
    split: options.SplitBy = None,
    seed: options.Seed = 1,
    part: Part = "refit",
    set: options.Set = None,
    prices: Prices = None,
    batch: Batch = False,
    budget: Annotated[
        float | None, typer.Option("--budget", min=0, rich_help_panel=ASKING, help="Stop before more than so many USD are spent.")
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", rich_help_panel=ASKING, help="Do not ask before a run that may pass the budget.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Ask what the store has no answer to. Every answer is stored as it comes: stopped or killed, the same command goes on.

    Settings of the task and of the server are set by `--set`: `--set interests.max_items=30 --set lm.concurrency=8`.

    Example:

        loreweave knowledge run ratings.csv --task interests --lm https://api.openai.com/v1 --model gpt-4o-mini --store k.db --budget 5
    """
    from loreweave.knowledge.engine import run as ask
    from loreweave.knowledge.store import KnowledgeStore

    asked, speaker, price = _asked(
        task, lm, model, store, set, prices, batch, (data.absolute(), format, column, min_value, k_core, file_order, split, seed, part)
    )
    shown = _shown(inputs.Log(data, format, column or (), min_value, k_core, file_order), split, seed, part)
    expected = _plan(asked, shown, speaker, store, price)
    if budget is not None and expected.price is not None and expected.price > budget and not yes:
        question = f"this may cost up to {expected.price:.4f} USD; go on until {budget} USD are spent?"
        if not sys.stdin.isatty():
            raise ConfigError(f"{question} Say so with --yes, or raise --budget")
        typer.confirm(question, abort=True, err=True)
    with KnowledgeStore.open(store, create=True) as answers:
        outcome = ask(asked, shown, speaker, answers, price, budget=budget, total=expected.to_ask)
    note(*getattr(speaker, "notes", ()))
    if outcome.held:
        note(f"{outcome.held:,} questions are being asked by another process")
    if outcome.too_long:
        note(
            f"{outcome.too_long:,} prompts do not fit the model's context of {speaker.context:,} tokens and were not sent; "
            f"shorten them: --set {task}.max_prompt_tokens={max(100, (speaker.context or 0) // 2)}"
        )
    if outcome.out_of_budget:
        note(f"stopped at the budget of {budget} USD; everything answered is kept, and the same command goes on with as much again")
    if json:
        print_json({"task": task, "model": speaker.model, "data_fingerprint": shown.fingerprint, **asdict(outcome)})
        return
    print_fields(
        {
            "asked": f"{outcome.asked:,}",
            "answered": f"{outcome.answered:,} ({outcome.repaired:,} at the second attempt)",
            "failed": f"{outcome.failed:,}" + (f" (see `loreweave knowledge status {store}`)" if outcome.failed else ""),
            "excluded": f"{outcome.excluded:,}",
            "copied": f"{outcome.reused:,} answers to the very same words",
            "in the store before": f"{expected.answered + expected.failed + expected.excluded:,}",
            "spent": "price not known" if outcome.spent is None else f"{outcome.spent:.4f} USD",
            "store": store,
        }
    )


def _asked(
    task: str, lm: str, model: str, store: Path, assignments: list[str] | None, prices: Path | None, batch: bool, run: tuple[object, ...]
) -> tuple[KnowledgeTask[Any], LanguageModel, Price]:
    """The task, the model and its price, from what was typed.

    Raises:
        ConfigError: a setting that belongs to neither.
    """
    from loreweave.knowledge.tasks import create_task
    from loreweave.language.prices import price, read_prices

    given = parse_assignments(assignments or ())
    if stray := [key for key in given if key not in (task, "lm") or not isinstance(given[key], Mapping)]:
        raise ConfigError(f"--set {stray[0]}: say whose setting it is, {task}.SETTING or lm.SETTING")
    asked = create_task(task, **given.get(task, {}))
    named = hashlib.blake2b(repr((lm, model, task, given.get(task), *run)).encode(), digest_size=6).hexdigest()
    speaker = _model(lm, model, store, given.get("lm", {}), batch, named)
    return asked, speaker, partial(price, speaker.model, batch=batch, table=read_prices(prices))


def _model(lm: str, model: str, store: Path, settings: Mapping[str, Any], batch: bool, run: str) -> LanguageModel:
    """`run` names this very question to these very data, so that no other run takes its batch for its own."""
    from loreweave.config import build

    if "://" in lm:
        named = {"base_url": lm, "model": model, **settings}
        if batch:
            from loreweave.language.batch import BatchConfig, BatchRemote

            return BatchRemote(build(BatchConfig, {"state": store.with_name(f"{store.name}.{run}.batch.json"), **named}, where="lm"))
        from loreweave.language.remote import Remote, RemoteConfig

        return Remote(build(RemoteConfig, named, where="lm"))
    if batch:
        raise ConfigError("--batch: only a server has a Batch interface; give its URL by --lm")
    if lm == "local":
        from loreweave.language.local import Local, LocalConfig

        return Local(build(LocalConfig, {"model": model, **settings}, where="lm"))
    if lm.endswith(".jsonl"):
        from loreweave.language.replay import Replay

        return Replay(Path(lm), model)
    shown = "" if "@" in lm else f" {lm!r}"  # else a secret may be in it
    raise ConfigError(f"--lm{shown}: give a URL that begins with http:// or https://, local, or a .jsonl file of recorded answers")


def _shown(log: inputs.Log, split: str | None, seed: int, part: str) -> Dataset:
    """The part of the data that prompts may show."""
    if part not in ("refit", "train"):
        raise ConfigError(f"--part: there are refit and train, got {part!r}")
    cut = inputs.choose_split(log.read(), split, seed, {})
    return cut.refit if part == "refit" else cut.train


def _plan(asked: KnowledgeTask[Any], shown: Dataset, speaker: LanguageModel, store: Path, price: Price) -> Plan:
    from loreweave.knowledge.engine import plan as count
    from loreweave.knowledge.store import KnowledgeStore

    if not store.is_file():
        return count(asked, shown, speaker, None, price)
    with KnowledgeStore.open(store) as answers:
        return count(asked, shown, speaker, answers, price)

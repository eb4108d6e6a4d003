"""From `--knowledge` and `--with` to what the library takes: records that were read, sources that can be asked, or several together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loreweave.cli.output import note
from loreweave.config import Config, build
from loreweave.errors import ConfigError, DataError

if TYPE_CHECKING:
    from loreweave.data import Dataset, Split
    from loreweave.knowledge import Knowledge, KnowledgeSource
    from loreweave.knowledge.source import Known
    from loreweave.models import Recommender

FURTHER = ("user_profiles", "user_templates", "user_templates_early")
"""What `--with` loads; all are texts about users."""


class TableConfig(Config):
    """Of a table of texts."""

    model: str | None = None
    """Whose texts are taken, where the table holds those of several models."""


def kinds_of(models: Iterable[Recommender]) -> tuple[str, ...]:
    """The kinds of record that any of some models learns from."""
    return tuple(dict.fromkeys(kind for model in models for kind in model.knowledge_kinds))


def taken_by(model: Recommender, choice: str, settings: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """`--knowledge` and its settings as one model takes them: none where it uses none.

    Raises:
        ConfigError: knowledge was asked for by name, and the model uses none.
    """
    if model.knowledge_kinds:
        return choice, settings
    if choice not in ("auto", "none"):
        raise ConfigError(f"--knowledge {choice}: {model.name} uses no knowledge; leave --knowledge out, or choose another model")
    return "none", {}


def further(text: Iterable[str], kinds: Sequence[str]) -> tuple[str, ...]:
    """The names of `--with`, with commas or repeated.

    Raises:
        ConfigError: no such name, or nothing here learns from texts about users.
    """
    names = tuple(dict.fromkeys(name.strip() for piece in text for name in piece.split(",") if name.strip()))
    for name in names:
        if name not in FURTHER:
            raise ConfigError(f"--with {name!r}: nothing is loaded by that name; there are {', '.join(FURTHER)}")
        if "user_text" not in kinds:
            raise ConfigError(f"--with {name}: no model of this command learns from texts about users; leave it out")
    if {"user_templates", "user_templates_early"} <= set(names):
        raise ConfigError("--with user_templates,user_templates_early: one of them; the first tells of the whole history")
    return names


def knowledge(choice: str, names: Sequence[str], dataset: Dataset, path: Path, settings: Mapping[str, Any], kinds: Sequence[str]) -> Known:
    """What `--knowledge` and `--with` ask for: records that were read, a source that can be asked, or several together.

    Args:
        names: of `--with` (`further`).
        path: of the data.
        settings: `knowledge.…`, of a store or a table.
        kinds: of record that the models of the command learn from; records of other kinds are left aside.

    Raises:
        DataError: there is nothing to read where it was asked for, or nothing in it that the models learn from.
        ConfigError: settings for something else than a store or a table.
    """
    from loreweave.knowledge.requested import profiles_file, user_profiles
    from loreweave.knowledge.source import Together
    from loreweave.knowledge.templates import Templates

    folder = path if path.is_dir() else path.parent
    if not kinds and choice not in ("auto", "none"):
        note(f"--knowledge {choice} is left aside: no model of this command learns from knowledge")
    parts = _parts(choice, dataset, folder, settings, kinds)
    accepted = []
    parts += [Templates(users=True, items=False, early=name.endswith("_early")) for name in names if name.startswith("user_templates")]
    if "user_profiles" in names:
        accepted.append(_used(user_profiles(folder, dataset), "--with user_profiles", kinds))
    elif "user_text" in kinds and (found := profiles_file(folder)) is not None and found.resolve() != Path(choice).resolve():
        note(f"{found} holds texts about users, which may rest on held-out interactions; --with user_profiles loads it")
    return parts[0] if len(parts) == 1 and not accepted else Together(tuple(parts), tuple(accepted))


def _parts(
    choice: str, dataset: Dataset, folder: Path, settings: Mapping[str, Any], kinds: Sequence[str]
) -> list[Knowledge | KnowledgeSource]:
    """What `--knowledge` asks for."""
    from loreweave.knowledge import Statistical, read

    place = Path(choice)
    if place.suffix == ".db":
        from loreweave.knowledge.recorded import StoredAnswers, StoredConfig

        return [StoredAnswers(choice, build(StoredConfig, settings, where="knowledge"))]
    if choice not in ("auto", "beside", "none", "statistical") and place.is_file():
        from loreweave.knowledge.exchange import read_exchange
        from loreweave.knowledge.published import of_known

        model = build(TableConfig, settings, where="knowledge").model
        return [_used(of_known(read_exchange(place, model=model), dataset), f"--knowledge {choice}", kinds)]
    if settings:
        raise ConfigError(f"knowledge.{next(iter(settings))}: only a store or a table has settings; give one with --knowledge FILE")
    if choice == "none":
        return []
    if choice == "auto":
        return _auto(dataset, folder, kinds)
    if choice == "statistical":
        if kinds and "interest" not in kinds:
            raise ConfigError(f"--knowledge statistical: infers interests, and the models of this command learn from {' and '.join(kinds)}")
        return [Statistical()]
    return [_used(read(folder if choice == "beside" else choice, dataset), f"--knowledge {choice}", kinds)]


def _auto(dataset: Dataset, folder: Path, kinds: Sequence[str]) -> list[Knowledge | KnowledgeSource]:
    """What lies beside the data and the models learn from; interests by statistics and texts by template where it holds none."""
    from loreweave.knowledge import Statistical, Templates, beside, read

    parts: list[Knowledge | KnowledgeSource] = []
    held: set[str] = set()
    if kinds and beside(folder):
        found = read(folder, dataset).only(*kinds)
        held = set(found.records["kind"])
        if held:
            note(*found.notes)
            parts.append(found)
    if "interest" in kinds and "interest" not in held:
        note("no knowledge lies beside the data; interests are inferred by statistics over texts, attributes and triples")
        parts.append(Statistical())
    if "item_text" in kinds and "item_text" not in held:
        note("texts about items are made by template of titles, texts, attributes and triples")
        parts.append(Templates())
    return parts


def _used(found: Knowledge, choice: str, kinds: Sequence[str]) -> Knowledge:
    """The records that the models of the command learn from, where there are such models.

    Raises:
        DataError: there are none among them.
    """
    note(*found.notes)
    used = found.only(*kinds)
    if kinds and not len(used):
        held = ", ".join(found.records["kind"].unique().sort()) or "nothing about the users and items of these data"
        raise DataError(f"{choice}: the models of this command learn from {' and '.join(kinds)}, and it holds {held}")
    return used


def known_at(source: Known, learnt_from: Dataset, split: Split, *, undated: bool, kinds: Sequence[str]) -> tuple[Knowledge, list[str]]:
    """Knowledge that rests on nothing but what may be seen where a model learns from a part, and warnings, which are noted too.

    Raises:
        DataError: recorded knowledge may have seen the test part, and `undated` is not set.
    """
    from loreweave.knowledge.source import known_about, together

    found, warnings = known_about(source, learnt_from, split, undated=undated)
    read = {text for part in together(source).records for text in part.notes}  # noted when it was read
    note(*(text for text in found.notes if text not in read), *warnings)
    used = found.only(*kinds)
    if len(found) and not len(used):
        held = ", ".join(found.records["kind"].unique().sort())
        note(f"nothing of the knowledge is learnt from: it holds {held}, and the model learns from {' and '.join(kinds) or 'none'}")
    return used, warnings

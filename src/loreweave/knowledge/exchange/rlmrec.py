"""RLMRec (Ren et al., WWW 2024, arXiv 2310.15950): profiles of users and items, each with the reasoning behind it.

RLMRec publishes them as pickles, which are refused; a pickle converted to JSON is an object with an entry an id, or a list in their order.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from loreweave.errors import DataError
from loreweave.knowledge.exchange.tables import KEY, Parsed, entity_of, of_model, texts

PROFILES = ("profile", "summarization")
"""The published files say `profile`, the answers that the prompts ask for `summarization`."""
COLUMNS = ("reasoning",)


def parse(frame: pl.DataFrame, path: Path, model: str | None) -> Parsed:
    """Entries of profile (or summarization) and reasoning → `user_text` or `item_text` records.

    Whom they are about is said by a column `user` or `item`, or by the name of the file (`usr_prf.json`, `itm_prf.json`). Entries
    without any id are numbered from 0 in their order, as RLMRec numbers users and items.

    Raises:
        DataError: nothing says whether users or items are meant.
    """
    entity = entity_of(frame, path)
    if entity is None:
        raise DataError.at(
            "nothing says whether these profiles are of users or items; name the file usr_prf.json or itm_prf.json", path=path, row=1
        )
    profile = next((name for name in PROFILES if name in frame.columns), None)
    if profile is None:
        raise DataError.at(f"missing; RLMRec's entries have {' or '.join(PROFILES)}, and reasoning", path=path, row=1, field="profile")
    notes = []
    key = next((name for name in (entity, KEY) if name in frame.columns), None)
    if key is None:
        frame, key = frame.with_row_index(KEY), KEY
        notes.append(f"entries have no id and were numbered from 0 in their order, as {entity}s")
    frame, other = of_model(frame, model, path)
    found = texts(frame, f"{entity}_text", profile, path, **{entity: key})
    notes += [f"the reasoning of {frame['reasoning'].is_not_null().sum()} profiles is not kept", *other, *found.notes]
    return Parsed(found.records, notes)

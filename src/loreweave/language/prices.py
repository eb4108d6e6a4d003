"""What tokens cost: a table that ships as data (`prices.toml`) and that a user's own table overrides."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from pydantic import Field

from loreweave.config import Config, build, read_toml
from loreweave.errors import ConfigError

SHIPPED = Path(__file__).with_name("prices.toml")
_SNAPSHOT = re.compile(r"-\d{4}-\d{2}-\d{2}$")
"""A dated snapshot of a model (`gpt-4o-mini-2024-07-18`), which costs what the model costs unless the table says otherwise."""


class Price(Config):
    """What one model costs, in US dollars."""

    input: float = Field(ge=0)
    """Dollars for a million tokens of prompts."""
    output: float = Field(ge=0)
    """Dollars for a million tokens of answers."""
    batch: float | None = Field(None, ge=0, le=1)
    """Share of the price that the provider's Batch interface charges; None: not known."""
    date: datetime.date | None = None
    """When the price was last looked up."""


def read_prices(path: Path | None = None) -> dict[str, Price]:
    """Model name → price: the shipped table, overridden model by model with the table at `path`.

    Raises:
        ConfigError: the file is missing, no TOML, or not a table of prices.
    """
    return dict(_shipped()) | (_read(path) if path is not None else {})


def price(
    model: str, tokens_in: float, tokens_out: float, *, batch: bool = False, table: Mapping[str, Price] | None = None
) -> float | None:
    """US dollars for so many tokens; None where the price is not known, which is not the same as nothing.

    Args:
        model: as it is asked for; a dated snapshot without a line of its own costs what its model costs.
        tokens_in, tokens_out: of prompts and of answers.
        batch: by the provider's Batch interface.
        table: of `read_prices`; None: the shipped one.
    """
    prices = _shipped() if table is None else table
    line = prices.get(model) or prices.get(_SNAPSHOT.sub("", model))
    factor = 1.0 if line is None or not batch else line.batch
    if line is None or factor is None:
        return None
    return (line.input * tokens_in + line.output * tokens_out) * factor / 1e6


@cache
def _shipped() -> Mapping[str, Price]:
    return _read(SHIPPED)


def _read(path: Path) -> dict[str, Price]:
    lines = read_toml(path)
    for model, line in lines.items():
        if not isinstance(line, dict):
            raise ConfigError(f'{path}: {model!r} is not a table; write ["{model}"] with input = … and output = … under it')
    return {model: build(Price, line, where=f"{path}: {model!r}") for model, line in lines.items()}

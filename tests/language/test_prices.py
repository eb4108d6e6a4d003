"""Prices worked by hand, and a user's own table."""

from __future__ import annotations

from pathlib import Path

import pytest

from loreweave.errors import ConfigError
from loreweave.language.prices import price, read_prices


def test_dollars_for_a_million_and_by_batch() -> None:
    assert price("gpt-4o-mini", 1_000_000, 1_000_000) == pytest.approx(0.15 + 0.60)
    assert price("gpt-4o-mini", 2_000, 500, batch=True) == pytest.approx((0.15 * 2_000 + 0.60 * 500) / 1e6 / 2)
    assert price("gpt-3.5-turbo-0125", 0, 0) == 0


def test_unknown_is_not_free() -> None:
    assert price("somebody/some-model", 1000, 1000) is None
    assert price("deepseek-chat", 1000, 1000, batch=True) is None  # it has no Batch interface


def test_a_dated_snapshot_costs_what_its_model_costs() -> None:
    assert price("gpt-4.1-mini-2025-04-14", 1000, 0) == price("gpt-4.1-mini", 1000, 0)


def test_own_table_overrides_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text('["gpt-4o-mini"]\ninput = 1\noutput = 2\n\n["local.model"]\ninput = 0\noutput = 0\n')
    table = read_prices(path)
    assert price("gpt-4o-mini", 1_000_000, 0, table=table) == 1
    assert price("local.model", 1_000_000, 5, table=table) == 0
    assert price("gpt-4.1-mini", 1_000_000, 0, table=table) == pytest.approx(0.4)
    assert price("gpt-4o-mini", 1_000_000, 0) == pytest.approx(0.15)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('["m"]\ninput = -1\noutput = 2\n', "'input'"),
        ('["m"]\ninput = 1\n', "'output'"),
        ('["m"]\ninput = 1\noutput = 2\nbatch = 1.5\n', "'batch'"),
        ("m = 3\n", "not a table"),
        ("[m\n", "not a TOML file"),
    ],
)
def test_a_bad_table_is_one_plain_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said) as caught:
        read_prices(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)

"""A small MovieLens-like folder, a model fitted on it from the command line, and a way to run commands in this process."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from loreweave.cli import main

N_USERS, N_ITEMS = 60, 40
TITLES = {
    1: "The Twins (1988)",
    2: "The Twins (1988)",
    3: "[bold red]Heist[/bold red]",
    4: "Bell\u0007 and \u001b[31mescape\u001b[0m",
    5: "Amélie – Le Fabuleux Destin",
    6: "=cmd|' /C calc'!A0",
    7: "8",
}


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


def _run(*arguments: object) -> Ran:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
    return Ran(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def run() -> Callable[..., Ran]:
    return _run


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ratings.csv and movies.csv: two tastes (odd and even items), a clock, and titles that mean trouble."""
    folder = tmp_path_factory.mktemp("films")
    rng = np.random.default_rng(7)
    rows = ["userId,movieId,rating,timestamp"]
    for user in range(1, N_USERS + 1):
        liked = rng.permutation([item for item in range(1, N_ITEMS + 1) if item % 2 == user % 2])[:12]
        others = rng.permutation([item for item in range(1, N_ITEMS + 1) if item % 2 != user % 2])[:2]
        for position, item in enumerate([*liked, *others]):
            rows.append(f"{user},{item},{4.0 if item % 2 == user % 2 else 2.0},{1_000_000_000 + 1000 * position + user}")
    (folder / "ratings.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    titles = [
        f"{item},{_quoted(TITLES.get(item, f'Film number {item}'))},{'Odd' if item % 2 else 'Even'}" for item in range(1, N_ITEMS + 1)
    ]
    (folder / "movies.csv").write_text("movieId,title,genres\n" + "\n".join(titles) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def fitted(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An EASE model of the films, saved by `fit`."""
    folder = tmp_path_factory.mktemp("models") / "ease"
    ran = _run("fit", films, "--model", "ease", "--set", "l2=5", "--out", folder)
    assert ran.code == 0, ran.err
    return folder


@pytest.fixture(scope="session")
def tastes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file of records: everybody's true taste, undated."""
    folder = tmp_path_factory.mktemp("tastes")
    labels = {0: "even things", 1: "odd things"}
    records = [
        {"kind": "interest", "user": str(user), "interest": f"taste-{user % 2}", "text": labels[user % 2], "source": "test"}
        for user in range(1, N_USERS + 1)
    ]
    (folder / "knowledge.jsonl").write_text("\n".join(json.dumps(record) for record in records), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def informed(films: Path, tastes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CIKG-linear model of the films and tastes."""
    folder = tmp_path_factory.mktemp("informed") / "model"
    ran = _run("fit", films, "--model", "cikg-linear", "--knowledge", tastes, "--undated", "--out", folder)
    assert ran.code == 0, ran.err
    return folder


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'

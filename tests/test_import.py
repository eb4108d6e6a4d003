"""`import loreweave` is cheap: what is heavy waits until it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import loreweave

HEAVY = ("torch", "sklearn", "matplotlib", "scipy", "polars", "numpy", "pydantic", "rich")


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_importing_the_package_is_quick_and_brings_nothing_heavy() -> None:
    code = (
        "import sys, time; start = time.perf_counter(); import loreweave; seconds = time.perf_counter() - start;"
        f"print(seconds, *[name for name in {HEAVY!r} if name in sys.modules])"
    )
    best = min((run(code).split() for _ in range(3)), key=lambda words: float(words[0]))
    assert float(best[0]) < 0.3
    assert best[1:] == []


def test_the_public_names_need_neither_torch_nor_plots() -> None:
    code = (
        "import sys, loreweave; [getattr(loreweave, name) for name in loreweave.__all__];"
        "print(*[name for name in ('torch', 'matplotlib', 'sklearn') if name in sys.modules])"
    )
    assert run(code).split() == []


@pytest.mark.parametrize("model", ["lightgcn", "cikgrec", "sasrec", "grasp", "blend"])
def test_without_torch_a_neural_model_says_what_to_install(model: str) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        f"from loreweave.cli import main; sys.argv = ['loreweave', 'fit', 'no.csv', '--out', 'm', '--model', {model!r}]; sys.exit(main())"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (2, "error: this needs 'torch', which is not installed: pip install 'loreweave[neural]'\n")


@pytest.mark.parametrize(
    "name", ["read", "split", "simulate", "create", "load", "compare", "tune", "k_core", "at_least", "from_frame", "inspect"]
)
def test_public_functions_are_functions_and_not_modules_of_that_name(name: str) -> None:
    assert callable(getattr(loreweave, name))


def test_every_public_name_is_there_and_an_unknown_one_is_not() -> None:
    assert set(loreweave.__all__) <= set(dir(loreweave))
    with pytest.raises(AttributeError, match="no attribute 'wizard'"):
        _ = loreweave.wizard

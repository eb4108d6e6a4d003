"""The entry point as a program: start-up, version, pipes that close, Ctrl-C, text that could steer a terminal."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import loreweave
from loreweave.cli import options
from loreweave.cli.output import clean, one_line, plain
from loreweave.errors import ConfigError

Run = Callable[..., Any]
PROGRAM = (sys.executable, "-c", "import sys; from loreweave.cli import main; sys.exit(main())")


def test_help_is_quick() -> None:
    """In seconds of the processor, which other programs do not lengthen as they do those of the clock."""
    code = "import sys, time; from loreweave.cli import main; main(); print(time.process_time(), file=sys.stderr)"
    ran = [subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True) for _ in range(3)]
    assert "Usage" in ran[0].stdout
    assert min(float(one.stderr) for one in ran) < 1.0


@pytest.mark.parametrize("command", ["demo", "inspect", "compare", "fit", "tune", "evaluate", "recommend", "similar", "explain"])
def test_every_command_has_help_with_an_example(run: Run, command: str) -> None:
    ran = run(command, "--help")
    assert ran.code == 0
    assert f"loreweave {command}" in ran.out.replace("Usage: loreweave", "")
    assert "--json" in ran.out


def test_version_and_bare_call(run: Run) -> None:
    assert run("--version").out.strip() == loreweave.__version__
    assert "Commands" in run().out
    assert run("wizard").code == 2


def test_a_pipe_that_closes_early_is_no_error(fitted: Path) -> None:
    with subprocess.Popen(
        [*PROGRAM, "explain", str(fitted), "--user", "3", "--item", "9"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        program.stdout.close()
        assert program.stderr.read() == b""
        assert program.wait() in (0, 1)


def test_ctrl_c_is_told_in_one_line(films: Path, tmp_path: Path) -> None:
    code = (
        "import os, signal, sys, loreweave.data\n"
        "loreweave.data.read = lambda *a, **k: os.kill(os.getpid(), signal.SIGINT)\n"
        "from loreweave.cli import main; sys.exit(main())"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, "fit", str(films), "--model", "ease", "--out", str(tmp_path / "m")], capture_output=True, text=True
    )
    assert ran.returncode == 128 + signal.SIGINT
    assert ran.stderr.startswith("interrupted")
    assert ran.stderr.count("\n") == 1


@given(st.text())
def test_cleaned_text_holds_nothing_that_steers_a_terminal(text: str) -> None:
    cleaned = one_line(text)
    assert len(clean(text)) == len(text)
    assert not any(ord(letter) < 32 or 127 <= ord(letter) < 160 or 0x202A <= ord(letter) <= 0x202E for letter in cleaned)
    assert clean(cleaned) == cleaned


def test_what_json_has_no_word_for() -> None:
    import numpy as np

    assert plain({"a": float("nan"), 2: (np.float32(0.5), np.int32(3), Path("x"), None, True, np.array([1, 2]))}) == {
        "a": None,
        "2": [0.5, 3, "x", None, True, [1, 2]],
    }


@pytest.mark.parametrize(("text", "expected"), [("3", (1, 2, 3)), ("1", (1,)), ("4,2", (4, 2)), ("7,", (7,)), ("0,", (0,))])
def test_seeds_are_a_count_or_a_list(text: str, expected: tuple[int, ...]) -> None:
    assert options.seeds(text) == expected


def test_cutoffs_are_sorted_and_unique() -> None:
    assert options.cutoffs(["50,20", "20"]) == (20, 50)
    with pytest.raises(ConfigError, match="at least 1"):
        options.cutoffs(["20,-1"])

"""The tutorial runs as it is written, block by block, in one empty folder."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from loreweave.cli import main

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```(python|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_tutorial_runs_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = BLOCK.findall(TUTORIAL.read_text(encoding="utf-8"))
    assert len(blocks) >= 6
    names: dict[str, object] = {}
    with contextlib.redirect_stdout(io.StringIO()):
        for language, text in blocks:
            if language == "python":
                exec(compile(text, str(TUTORIAL), "exec"), names)
                continue
            for line in text.splitlines():
                if line.startswith("$ "):
                    program, *arguments = shlex.split(line.removeprefix("$ "))
                    assert program == "loreweave"
                    assert main(arguments) == 0, line
    assert (tmp_path / "runs" / "tutorial" / "report.html").is_file()
    assert (tmp_path / "runs" / "demo" / "report.html").is_file()
    assert (tmp_path / "runs" / "everybody.parquet").is_file()

"""`demo`: the whole job, with the core alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_the_demo_needs_no_torch_and_shows_that_true_knowledge_helps(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"  # as on a machine with the core alone
        "from loreweave.cli import main; code = main(sys.argv[1:]); sys.exit(code)"
    )
    arguments = [sys.executable, "-c", code, "demo", "--out", str(tmp_path / "demo"), "--seeds", "1", "--json"]
    ran = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    value = {(row["model"], row["knowledge"]): row["metrics"]["ndcg@20"] for row in told["results"]}
    assert {knowledge for model, knowledge in value if model == "cikg-linear"} == {"real", "none", "shuffled"}
    assert value["cikg-linear", "real"] > value["cikg-linear", "none"]
    assert value["cikg-linear", "real"] > value["cikg-linear", "shuffled"]
    assert value["ease", "none"] > value["popular", "none"]
    assert len(told["items"]) == 5
    assert all(item["reasons"] for item in told["items"])
    assert Path(told["report"]).is_file()

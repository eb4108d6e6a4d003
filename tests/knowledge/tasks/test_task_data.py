"""Subjects and prompts of real data: everybody, quickly, within the budget, without ids."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

from loreweave.data import read
from loreweave.data.vocabulary import Vocabulary
from loreweave.knowledge.tasks import TASKS, create_task
from loreweave.knowledge.tasks.history import BYTES_PER_TOKEN

pytestmark = pytest.mark.data


@pytest.mark.parametrize(("folder", "unspeakable"), [("ml-latest-small", 0), ("dbbook2014", 122)])
def test_subjects_of_everybody(folder: str, unspeakable: int, data_root: Path) -> None:
    dataset = read(data_root / folder)
    with_history = dataset.matrix.sum(axis=1) > 0
    for name in TASKS:
        task = create_task(name)
        started = time.perf_counter()
        subjects = list(task.subjects(dataset))
        assert time.perf_counter() - started < 5
        if name == "reasons":
            assert 0 < len({subject.user for subject in subjects}) <= with_history.sum()
        elif subjects[0].user is None:
            assert len(subjects) == dataset.n_items - unspeakable
        else:
            assert len(subjects) == with_history.sum()
            assert sum(len(subject.shown) + subject.left_out for subject in subjects) == dataset.matrix.sum()
        for subject in subjects[:: max(len(subjects) // 300, 1)]:
            request = task.request(subject)
            assert len((request.system + request.prompt).encode()) <= 4000 * BYTES_PER_TOKEN
            assert request.prompt.count("<items>") == request.prompt.count("</items>") == (2 if name == "reasons" else 1)
            numbers = re.findall(r"^\[(\d+)\] ", request.prompt, re.MULTILINE)
            expected = [*range(1, len(subject.shown) + 1), *([0] if name == "reasons" else [])]
            assert [int(number) for number in numbers] == expected


@pytest.mark.parametrize("folder", ["ml-latest-small", "dbbook2014"])
def test_a_raw_user_id_changes_nothing(folder: str, data_root: Path) -> None:
    """Ids of these sets are small numbers, which years and counts contain; so everybody is renamed, and every request must stay."""
    dataset = read(data_root / folder)
    marked = replace(dataset, users=Vocabulary([f"marker-{i}-of-a-person" for i in range(dataset.n_users)]))
    for name in ("interests", "user-descriptions", "reasons"):
        task = create_task(name)
        for number, (before, after) in enumerate(zip(task.subjects(dataset), task.subjects(marked), strict=True)):
            assert (after.user or "").startswith("marker-")
            assert after.fields == before.fields
            if number % 50 == 0:
                assert "marker-" not in task.request(after).prompt

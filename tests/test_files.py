"""A saved folder is the old one or the new one, whenever the writer is stopped."""

from __future__ import annotations

from pathlib import Path

import pytest

from loreweave.errors import SavedError
from loreweave.files import FORMAT_VERSION, folder_written_atomically, read_manifest, write_json


def save(folder: Path, value: int) -> None:
    with folder_written_atomically(folder) as temporary:
        write_json(temporary / "manifest.json", {"format": FORMAT_VERSION, "loreweave": "0", "value": value})


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_reader_puts_back_what_a_killed_writer_moved_aside(tmp_path: Path) -> None:
    save(tmp_path / "m", 1)
    (tmp_path / "m").rename(tmp_path / ".m.old")  # as a kill between the two renames leaves it
    assert read_manifest(tmp_path / "m")["value"] == 1
    assert names(tmp_path) == ["m"]


def test_the_next_write_goes_on_from_what_was_moved_aside(tmp_path: Path) -> None:
    save(tmp_path / "m", 1)
    (tmp_path / "m").rename(tmp_path / ".m.old")
    with pytest.raises(ZeroDivisionError), folder_written_atomically(tmp_path / "m"):
        raise ZeroDivisionError
    assert read_manifest(tmp_path / "m")["value"] == 1
    save(tmp_path / "m", 2)
    assert read_manifest(tmp_path / "m")["value"] == 2
    assert names(tmp_path) == ["m"]


def test_what_was_moved_aside_and_replaced_is_removed_by_the_next_write(tmp_path: Path) -> None:
    save(tmp_path / "m", 1)
    (tmp_path / "m").rename(tmp_path / ".m.old")
    (tmp_path / "other").mkdir()
    save(tmp_path / "other" / "m", 2)
    (tmp_path / "other" / "m").rename(tmp_path / "m")  # both are there: the new one counts
    (tmp_path / "other").rmdir()
    assert read_manifest(tmp_path / "m")["value"] == 2
    save(tmp_path / "m", 3)
    assert read_manifest(tmp_path / "m")["value"] == 3
    assert names(tmp_path) == ["m"]


@pytest.mark.parametrize("error", [OSError("disk"), KeyboardInterrupt()])
def test_a_second_rename_that_fails_leaves_the_old_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    save(tmp_path / "m", 1)
    real = Path.rename

    def rename(self: Path, target: Path) -> Path:
        if self.suffix == ".tmp":
            raise error
        return real(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", rename)
        with pytest.raises((SavedError, KeyboardInterrupt)):
            save(tmp_path / "m", 2)
    assert names(tmp_path) == ["m"]
    assert read_manifest(tmp_path / "m")["value"] == 1


def test_somebody_elses_folder_of_that_name_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / ".m.old").mkdir()
    (tmp_path / ".m.old" / "letter.txt").write_text("dear")
    with pytest.raises(SavedError, match="not a saved folder"):
        read_manifest(tmp_path / "m")
    save(tmp_path / "m", 1)
    with pytest.raises(SavedError, match="cannot be written"):
        save(tmp_path / "m", 2)
    assert read_manifest(tmp_path / "m")["value"] == 1
    assert (tmp_path / ".m.old" / "letter.txt").read_text() == "dear"

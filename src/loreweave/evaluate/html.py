"""stub"""

from pathlib import Path
from typing import Any


def write_report(result: dict[str, Any], path: Path) -> None: ...

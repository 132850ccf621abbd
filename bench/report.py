"""The frame of every report: what was run, when, on what, with which versions; and where it is written."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def write(name: str, command: str, figures: Mapping[str, Any]) -> Path:
    """Write bench/results/NAME.json."""
    report = {
        "command": command,
        "date": datetime.date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores, no GPU",
        "versions": {one: version(one) for one in ("torch", "diffusers", "transformers")},
        **figures,
    }
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(report, indent=1) + "\n")
    return path

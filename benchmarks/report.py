"""How every benchmark ends: one line of JSON with the figures, the machine and the versions."""

import json
import platform
from pathlib import Path
from typing import Any

import jax
import numpy as np


def tell(figures: dict[str, Any], file: Path | None) -> None:
    """Print the figures as a line of JSON, and write it to a file if there is one."""
    about = {
        "machine": f"{platform.machine()} {jax.devices()[0].device_kind} x {jax.device_count()}",
        "versions": {"python": platform.python_version(), "jax": jax.__version__, "numpy": np.__version__},
    }
    line = json.dumps({**about, **figures})
    if file:
        file.write_text(line + "\n")
    print(line)

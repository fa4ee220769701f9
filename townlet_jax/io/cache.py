"""The persistent compilation cache: the second start of a program takes seconds."""

import os
from pathlib import Path

import jax

VARIABLE = "TOWNLET_JAX_CACHE"


def use_compile_cache() -> Path | None:
    """Keep compiled programs in a folder of the user's own, as the commands do.

    The folder is $TOWNLET_JAX_CACHE, else ~/.cache/townlet_jax; an empty value of the variable switches the cache off. Do not use a
    cache folder from somebody else: it holds programs.

    Returns:
        The folder, or None if the cache is off or the folder cannot be made.
    """
    named = os.environ.get(VARIABLE)
    if named == "":
        return None
    folder = Path(named) if named else Path.home() / ".cache" / "townlet_jax"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    return folder

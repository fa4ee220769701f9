"""A policy on its own: the parameters of a checkpoint in one file, with all that says what they are.

python -m train.export --run runs/NAME [--step 100|best] --out policy.npz
python -m train.replay --params policy.npz

config, world_document, params = load_export(Path("policy.npz"))[:3]
"""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import unflatten_dict

from townlet_jax.config.load import Document, validate

from . import runs
from .checkpoint import Report, to_stderr
from .cli import command
from .config import TrainConfig
from .logging import RunError
from .storage import manifest as manifests
from .storage.agreement import agree
from .storage.errors import CheckpointError
from .storage.leaves import leaf_table, policy_hash, to_host
from .storage.manifest import Manifest
from .storage.sealed import load_sealed, save_sealed

KIND = "townlet_jax policy"
SCHEMA = 1  # of these files
MAX_BYTES = 2 << 30


class Export(NamedTuple):
    """What an exported file holds."""

    config: TrainConfig
    world_document: Document
    params: Any  # of the network, nested dicts of arrays
    document: Document  # that `config` came from
    step: int  # updates of the checkpoint
    policy: str  # sha256 over the leaves of the parameters
    identity: dict[str, Any]  # of the run, see `train.runs.identity`


def save_export(path: Path, run: runs.Setup, params: Any, manifest: Manifest) -> str:
    """Write the parameters of a checkpoint. Returns the hash of the policy.

    Raises:
        RunError: the file cannot be written.
        CheckpointError: the parameters are not nested dicts of arrays.
    """
    leaves = jax.tree_util.tree_leaves_with_path(params)
    if not all(isinstance(key, jax.tree_util.DictKey) for keys, _ in leaves for key in keys):
        raise CheckpointError("parameters that are not nested dicts cannot be exported")
    names = [[str(key.key) for key in keys] for keys, _ in leaves]
    table, values = leaf_table(params), [to_host(leaf) for _, leaf in leaves]
    header = {
        "kind": KIND,
        "schema": SCHEMA,
        "step": manifest.step,
        "policy": policy_hash(params),
        "identity": runs.identity(run),
        "versions": manifests.versions(),
        "config": run.document.tree,
        "world": run.world_document.tree,
        "leaves": [[name, dtype] for name, (_, dtype, _) in zip(names, table, strict=True)],
    }
    bits = {
        str(i): value.view(f"u{value.itemsize}") if value.dtype.kind == "V" else value for i, value in enumerate(values)
    }
    try:
        save_sealed(path, header, bits)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}") from None
    return header["policy"]


def load_export(path: Path, report: Report = to_stderr) -> Export:
    """Read an exported policy.

    Args:
        path: of the file.
        report: is told of packages that have another version now.

    Raises:
        CheckpointError: it is missing, damaged or of a newer schema, or the hash of its policy is another.
        ConfigError: its configuration cannot be read by this version.
    """
    try:
        header, bits = load_sealed(path, MAX_BYTES)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is no exported policy: {getattr(error, 'strerror', None) or error}") from None
    if header.get("kind") != KIND or not isinstance(header.get("schema"), int):
        raise CheckpointError(f"{path} is no exported policy")
    its = header["versions"]
    if header["schema"] > SCHEMA:
        needed = f"townlet-jax {its.get('townlet-jax')} or newer is needed"
        raise CheckpointError(f"{path} has schema {header['schema']}, this version reads {SCHEMA}: {needed}")
    leaves = {  # bfloat16 is not one of NumPy's own and was stored as its bits
        tuple(names): jnp.array(np.asarray(bits[str(i)]).view(jnp.dtype(dtype)))
        for i, (names, dtype) in enumerate(header["leaves"])
    }
    params = unflatten_dict(leaves)
    if policy_hash(params) != header["policy"]:
        raise CheckpointError(f"{path} is damaged: its parameters have another hash than {header['policy'][:12]}")
    now = manifests.versions()
    if changed := [f"{name} was {its.get(name)!r}, is {now[name]!r}" for name in now if its.get(name) != now[name]]:
        report(f"{path} was exported with other packages: {'; '.join(changed)}")
    document, world_document = (Document(str(path), header[name], {}) for name in ("config", "world"))
    config = validate(TrainConfig, document)
    return Export(config, world_document, params, document, header["step"], header["policy"], header["identity"])


def opened(path: Path) -> tuple[runs.Setup, Any, int]:
    """The run that an exported policy came from, without its checkpoints, the parameters, and their step.

    Raises:
        CheckpointError: the file is refused, or its world, features or actions are not what this version makes of them.
    """
    found = load_export(path)
    run = runs.setup(path.parent, found.config, found.document, found.world_document)
    agree(runs.identity(run), found.identity, str(path))
    wanted = leaf_table(jax.eval_shape(run.train.init, jax.random.key(0)).params)
    if wanted != leaf_table(found.params):
        raise CheckpointError(f"{path} does not fit the network of this version")
    return run, found.params, found.step


def parser() -> argparse.ArgumentParser:
    """The options of `python -m train.export`."""
    title = "Write the parameters of a checkpoint into one file."
    options = argparse.ArgumentParser("python -m train.export", description=title, allow_abbrev=False)
    options.add_argument("--run", type=Path, required=True, help="the run folder")
    options.add_argument("--step", type=runs.step_of, help="a checkpoint's number, or best; the default is the newest")
    options.add_argument("--out", type=Path, required=True, help="a file that ends in .npz")
    return options


def main() -> None:
    """Run `python -m train.export`."""
    options = parser().parse_args()
    if options.out.suffix != ".npz":
        raise RunError(f"--out {options.out} is not allowed (a name that ends in .npz)")
    run = runs.existing(options.run)
    runner, manifest = runs.load_runner(run, options.step)
    policy = save_export(options.out, run, runner.params, manifest)
    print(f"{options.out}: policy {policy[:12]} of step {manifest.step}, {options.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    command(main)

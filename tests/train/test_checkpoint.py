"""Checkpoints: what is saved comes back bit for bit, and nothing damaged ever comes back at all."""

import json
import os
import shutil
from pathlib import Path

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from train.checkpoint import latest, open_store, restore, rewind, save, verify
from train.storage import manifest as manifests
from train.storage.errors import CheckpointError
from train.storage.leaves import to_host

SMALL = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "count": np.int32(7)}


@flax.struct.dataclass
class Learner:
    params: dict
    opt_state: tuple
    key: jax.Array
    keys: jax.Array
    town: dict
    carry: None = None
    name: str = flax.struct.field(pytree_node=False, default="ppo")


def nasty() -> Learner:
    """A state with every kind of leaf that training has, and with the floats that break naive stores."""
    params = {
        "a/b": {"..": jnp.array([jnp.nan, -0.0, 1e-40, -jnp.inf])},
        "город": jnp.full((2, 2), 1 / 3, jnp.bfloat16),
        "none": None,
    }
    town = {
        "needs": jnp.full((3, 2), 1 << 20, jnp.int32),
        "kind": jnp.array([0, 255], jnp.uint8),
        "skill": jnp.array([-32768, 32767], jnp.int16),
        "id": jnp.array([65535], jnp.uint16),
        "alive": jnp.array([True, False]),
        "nobody": jnp.zeros((0, 4), jnp.int32),
        "no_keys": jax.random.split(jax.random.key(3), 0),
        "tick": jnp.asarray(0),  # weakly typed
        "clock": np.array([2**62], np.int64),  # NumPy holds what jax without x64 cannot
        "rbg": jax.random.key(5, impl="rbg"),
        "slots": (),
    }
    optimiser = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.linear_schedule(1e-3, 0, 9)))
    keys = jax.random.split(jax.random.key(1), (2, 3))
    return Learner(params, optimiser.init(params), jax.random.key(0), keys, town)


def bits(leaf) -> tuple:
    value = to_host(leaf)
    return str(leaf.dtype), value.shape, value.tobytes(), getattr(leaf, "weak_type", False)


def assert_same(got, wanted) -> None:
    assert jax.tree.structure(got) == jax.tree.structure(wanted)
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        assert bits(one) == bits(other)


def silent(message: str) -> None:
    """A report that is not expected to matter."""


@pytest.fixture(scope="module")
def two_steps(tmp_path_factory) -> Path:
    """A folder with the sound steps 1 and 2, to be copied and damaged."""
    store = open_store(tmp_path_factory.mktemp("sound"))
    save(store, 1, SMALL, {})
    save(store, 2, SMALL, {})
    return store.folder


@pytest.fixture
def store(two_steps, tmp_path):
    return open_store(Path(shutil.copytree(two_steps, tmp_path / "copy")))


def refused(store, step: int = 2) -> str:
    """The one line with which a step is refused, after checking that step 1 is used instead."""
    with pytest.raises(CheckpointError) as caught:
        verify(store, step)
    with pytest.raises(CheckpointError):
        restore(store, SMALL, step)  # named: never a silent fallback
    told = []
    assert latest(store, told.append) == 1
    assert told and str(step) in told[0]
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- what is saved comes back


def test_round_trip_is_bit_equal(tmp_path):
    store, state = open_store(tmp_path), nasty()
    path = save(store, 3, state, {"run": "a", "lr": 3e-4})
    assert path == tmp_path / "3"
    told = []
    from_arrays, manifest = restore(store, state, report=told.append)
    assert_same(from_arrays, state)
    assert (manifest.step, manifest.meta, told) == (3, {"run": "a", "lr": 3e-4}, [])
    shapes = jax.tree.map(lambda leaf: leaf if isinstance(leaf, np.ndarray) else jax.eval_shape(lambda: leaf), state)
    assert_same(restore(store, shapes)[0], state)
    assert isinstance(from_arrays.town["clock"], np.ndarray) and isinstance(from_arrays.town["kind"], jax.Array)
    assert verify(store, 3) == manifest  # reading changed nothing


def test_manifest_says_who_saved_what(store):
    manifest = verify(store, 2)
    assert manifest.leaves == (("['count']", "int32", ()), ("['w']", "float32", (2, 3)))
    assert set(manifest.versions) == set(manifests.LIBRARIES) and manifest.versions["jax"] == jax.__version__
    assert manifest.machine["device_count"] == jax.device_count() and manifest.machine["cpu_cores"] >= 1
    on_disk = {p.relative_to(store.folder / "2").as_posix() for p in (store.folder / "2").rglob("*") if p.is_file()}
    assert set(manifest.files) == on_disk - {manifests.NAME}


def test_another_processor_is_reported(store, monkeypatch, tmp_path):
    """The same count of cores, but one that can do more: what is compiled for it may round otherwise."""
    (tmp_path / "cpuinfo").write_text(
        "model name : Core A\nflags\t: sse avx\n\nmodel name : Core A\nflags\t: avx2 avx sse\n"
    )
    monkeypatch.setattr(manifests, "CPUINFO", tmp_path / "cpuinfo")
    told = []
    restore(store, SMALL, report=told.append)
    assert len(told) == 1 and "cpu was" in told[0] and f"is {manifests.processor()!r}" in told[0]
    assert manifests.processor().startswith("Core A ")


def test_another_machine_is_reported(store, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--other")
    told = []
    restore(store, SMALL, report=told.append)
    assert len(told) == 1 and "xla_flags" in told[0] and "--other" in told[0]


def test_x64_leaf_is_refused_by_name_not_cut(tmp_path):
    store = open_store(tmp_path)
    save(store, 1, {"clock": np.array([2**62])}, {})
    with pytest.raises(CheckpointError, match=r"\['clock'\] is int64\[1\] there, int32\[1\] here"):
        restore(store, {"clock": jnp.zeros(1, jnp.int32)})


# --- a target that differs is refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"w": np.zeros((2, 3), np.float16)}, "['w'] is float32[2, 3] there, float16[2, 3] here"),
        ({"w": np.zeros((3, 2), np.float32)}, "['w'] is float32[2, 3] there, float32[3, 2] here"),
        ({"w": None}, "['w'] is float32[2, 3] there, absent here"),
        ({"extra": np.int8(0)}, "['extra'] is absent there, int8[] here"),
        ({f"e{i}": np.int8(0) for i in range(7)}, "['e4'] is absent there, int8[] here; and 2 more"),
    ],
)
def test_target_that_differs_is_refused_by_name(store, change, message):
    with pytest.raises(CheckpointError) as caught:
        restore(store, {**SMALL, **change})
    assert message in str(caught.value)


def test_key_is_not_taken_for_numbers(tmp_path):
    store = open_store(tmp_path)
    save(store, 1, {"key": jax.random.key(0)}, {})
    for other in (jax.random.PRNGKey(0), jax.random.key(0, impl="rbg")):
        with pytest.raises(CheckpointError, match=r"\['key'\] is key<fry>\[\] there"):
            restore(store, {"key": other})


# --- a damaged step is refused, the older one used


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize("damage", [flip, truncate, zero, Path.unlink])
def test_damage_to_each_file_in_turn_is_refused(store, damage):
    files = [path for path in (store.folder / "2").rglob("*") if path.is_file()]
    assert len(files) >= 8
    for path in files:
        sound = path.read_bytes()
        damage(path)
        assert path.name in refused(store)
        path.write_bytes(sound)
    assert latest(store, pytest.fail) == 2


def test_every_flipped_byte_of_the_manifest_is_refused(store):
    path = store.folder / "2" / manifests.NAME
    sound = path.read_bytes()
    for position in range(0, len(sound), 7):
        path.write_bytes(sound[:position] + bytes([sound[position] ^ 1]) + sound[position + 1 :])
        with pytest.raises(CheckpointError):
            verify(store, 2)


def test_no_sound_step_is_an_error(store):
    for step in (1, 2):
        flip(store.folder / str(step) / manifests.NAME)
    assert latest(store, silent) is None
    with pytest.raises(CheckpointError, match=r"no step in .* verifies \(found \[1, 2\]\)"):
        restore(store, SMALL, report=silent)


def test_planted_files_links_and_empty_steps_are_refused(store, tmp_path):
    planted = store.folder / "2" / "state" / "planted"
    planted.write_text("x")
    assert "planted is not in the manifest" in refused(store)
    planted.unlink()
    victim = next((store.folder / "2" / "state" / "d").iterdir())
    shutil.move(victim, tmp_path / "elsewhere")
    victim.symlink_to(tmp_path / "elsewhere")  # the same bytes, and still not to be followed
    assert "symlink" in refused(store)
    shutil.rmtree(store.folder / "2")
    (store.folder / "2").symlink_to(store.folder / "1")
    assert "not a plain directory" in refused(store)
    (store.folder / "2").unlink()
    (store.folder / "2").mkdir()
    assert manifests.NAME in refused(store)
    (store.folder / "2").rmdir()
    (store.folder / "2").write_text("a file")
    assert "not a plain directory" in refused(store)


def sign_again(folder: Path, **fields) -> None:
    """Change a manifest as somebody who knows the format would."""
    path = folder / manifests.NAME
    stored = json.loads(path.read_bytes())
    del stored["sha256"]
    path.write_bytes(manifests.encode({**stored, **fields}))


def test_forged_manifests_are_refused(store):
    folder = store.folder / "2"
    sign_again(folder, schema=99, versions={"townlet-jax": "9.1"})
    assert "schema 99, this version reads 2: townlet-jax 9.1 or newer is needed" in refused(store)
    sign_again(folder, schema=2, files={"../1/state/_METADATA": [1, "0"]})
    assert "leads out of the step directory" in refused(store)
    sign_again(folder, files={"/etc/passwd": [1, "0"]})
    assert "leads out of the step directory" in refused(store)
    sign_again(folder, step=1)
    assert "belongs to step 1" in refused(store)
    sign_again(folder, step=2, files=[3])
    assert "damaged" in refused(store)
    (folder / manifests.NAME).write_text("[" * 100_000)
    assert "damaged" in refused(store)


def test_forged_shape_is_refused_before_orbax_sees_it(store):
    sign_again(store.folder / "2", leaves=[["['count']", "int32", []], ["['w']", "float32", [1 << 36]]])
    with pytest.raises(CheckpointError, match=r"\['w'\] is float32\[68719476736\] there"):
        restore(store, SMALL)


def test_forged_digest_is_refused(store):
    sign_again(store.folder / "2", digest="0" * 64)
    with pytest.raises(CheckpointError, match="another digest"):
        restore(store, SMALL)


def test_step_above_the_size_limit_is_refused(store, tmp_path):
    tight = store._replace(max_bytes=1000)
    with pytest.raises(CheckpointError, match="the limit is 1000"):
        verify(tight, 2)
    with pytest.raises(CheckpointError, match="the limit is 1000"):
        save(tight, 3, SMALL, {})
    assert not (store.folder / "3").exists()


# --- saving


def test_saving_an_older_step_needs_a_rewind(store):
    for step in (1, 2):
        with pytest.raises(CheckpointError, match=f"step {step} is not above step 2 .* call rewind first"):
            save(store, step, SMALL, {})
    (store.folder / "9").mkdir()  # what a kill between Orbax and the manifest leaves
    rewind(store, 1)
    assert latest(store, pytest.fail) == 1
    save(store, 2, SMALL, {"again": True})
    assert verify(store, 2).meta == {"again": True}
    rewind(store, -1)
    assert latest(store) is None


def test_rotation_keeps_the_newest(tmp_path):
    store = open_store(tmp_path, keep=3)
    for step in range(6):
        save(store, step, SMALL, {})
    assert [step for step in range(9) if (tmp_path / str(step)).exists()] == [3, 4, 5]


def test_rotation_never_drops_the_newest_two_that_verify(store, capsys):
    narrow = store._replace(keep=1)
    flip(store.folder / "2" / manifests.NAME)
    save(narrow, 3, SMALL, {})  # 3 and 1 verify, 2 does not
    assert sorted(path.name for path in store.folder.glob("[0-9]*")) == ["1", "3"]
    assert "step 2 skipped" in capsys.readouterr().err
    save(narrow, 4, SMALL, {})
    assert sorted(path.name for path in store.folder.glob("[0-9]*")) == ["3", "4"]
    with pytest.raises(CheckpointError, match="keep is 0"):
        open_store(store.folder, keep=0)


def test_stale_leftovers_are_removed(store):
    for name in ("3.orbax-checkpoint-tmp", "3.orbax-checkpoint-tmp-17", "1.orbax-checkpoint-tmp-deleted"):
        (store.folder / name / "state").mkdir(parents=True)
    (store.folder / "4.orbax-checkpoint-tmp").symlink_to(store.folder / "1")
    open_store(store.folder)
    assert sorted(path.name for path in store.folder.iterdir()) == [".lock", "1", "2"]
    assert latest(store, pytest.fail) == 2


def test_unwritable_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot write checkpoints into .*file/run"):
        open_store(tmp_path / "file" / "run")


@pytest.mark.parametrize(
    ("state", "meta", "message"),
    [
        ({"name": "text"}, {}, r"leaf \['name'\] is a str"),
        ({"n": 3}, {}, r"leaf \['n'\] is a int"),
        ({"o": np.array([None])}, {}, r"leaf \['o'\] is a ndarray"),
        ({"none": None}, {}, "cannot save step 3"),
        (SMALL, {"reward": float("nan")}, "cannot save step 3"),
        (SMALL, {"path": Path()}, "cannot save step 3"),
    ],
)
def test_what_cannot_be_saved_leaves_nothing(store, state, meta, message):
    with pytest.raises(CheckpointError, match=message):
        save(store, 3, state, meta)
    assert sorted(path.name for path in store.folder.iterdir()) == [".lock", "1", "2"]


def test_failure_after_orbax_leaves_nothing(store, monkeypatch):
    def full(folder, manifest):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(manifests, "write", full)
        with pytest.raises(CheckpointError, match="cannot save step 3 .* No space left on device"):
            save(store, 3, SMALL, {})
    assert sorted(path.name for path in store.folder.iterdir()) == [".lock", "1", "2"]
    save(store, 3, SMALL, {})
    assert latest(store, pytest.fail) == 3

"""Datasets as learners see them: whole or refused by name, streamed in an order that the seed fixes, split by town."""

import hashlib
import io
import shutil
import zipfile

import numpy as np
import pytest
import tiny_data
from tiny_data import PREFIX, signed

from townlet_jax import load
from train.datasets import dataset as datasets
from train.datasets.dataset import batches, fits, load_sample, open_dataset, split
from train.datasets.exports import lives
from train.datasets.npz import DatasetError
from train.datasets.record import metrics
from train.datasets.shards import MANIFEST, METRICS, SCHEMA, read_manifest

SHARD = f"{PREFIX}_00001.npz"
FILES = (f"{PREFIX}_00000.npz", SHARD, f"{PREFIX}_00002.npz", SCHEMA, "world.yaml", f"{PREFIX}{MANIFEST}")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return tiny_data.write(tmp_path_factory.mktemp("data") / "whole")


def read_all(folder):
    dataset = open_dataset(folder)
    return [load_sample(dataset, number) for number in range(len(dataset.picks))]


def test_what_was_written_is_read(whole):
    found = read_all(whole)
    assert [len(arrays["towns"]) for arrays in found] == [5, 3, 4]
    wanted = tiny_data.arrays(tiny_data.schema(), range(5, 8))
    assert all(np.array_equal(found[1][name], wanted[name]) for name in wanted)
    assert {name: array.dtype for name, array in found[1].items()} == {name: a.dtype for name, a in wanted.items()}


# --- damage: 30 flipped bits, every file cut, emptied and gone, and what a forger would write


def flip(folder, number):
    rng = np.random.default_rng(number)
    path = folder / FILES[number % len(FILES)]
    raw = bytearray(path.read_bytes())
    raw[rng.integers(len(raw))] ^= 1 << int(rng.integers(8))
    path.write_bytes(raw)
    return path.name


def cut(folder, number):
    path = folder / FILES[number]
    path.write_bytes(path.read_bytes()[:-7])
    return path.name


def empty(folder, number):
    (folder / FILES[number]).write_bytes(b"")
    return FILES[number]


def gone(folder, number):
    (folder / FILES[number]).unlink()
    return FILES[number] if number < 5 else "holds no dataset"


DAMAGES = [
    *((flip, number) for number in range(30)),
    *((harm, number) for harm in (cut, empty, gone) for number in range(len(FILES))),
]


@pytest.mark.parametrize(("harm", "number"), DAMAGES, ids=lambda value: getattr(value, "__name__", value))
def test_a_damaged_file_is_named(whole, tmp_path, harm, number):
    folder = shutil.copytree(whole, tmp_path / "copy")
    name = harm(folder, number)
    with pytest.raises(DatasetError) as error:
        read_all(folder)
    assert name in str(error.value) and "\n" not in str(error.value)


def forged(folder, **members):
    """Another shard in the place of the second, with a manifest that agrees; bytes are written as they are."""
    path = folder / SHARD
    with np.load(path) as file:
        found = dict(file)
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in {**found, **members}.items():
            if value is not None:
                raw = io.BytesIO()
                np.lib.format.write_array(raw, np.asarray(value)) if not isinstance(value, bytes) else raw.write(value)
                archive.writestr(f"{name}.npy", raw.getvalue())
    resigned(folder)


def resigned(folder, **changes):
    """The manifest agrees with the second shard as it is, but for what is changed."""
    manifest, raw = read_manifest(folder / f"{PREFIX}{MANIFEST}"), (folder / SHARD).read_bytes()
    new = {"bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest(), **changes}
    first, second, third = manifest.samples
    tiny_data.sign(folder, manifest.model_copy(update={"samples": (first, second.model_copy(update=new), third)}))


def header(shape, dtype="<i4"):
    raw = io.BytesIO()
    np.lib.format.write_array_header_1_0(raw, {"descr": dtype, "fortran_order": False, "shape": shape})
    return raw.getvalue()


def reschemed(folder, **changes):
    """Another schema, with a manifest that agrees."""
    tiny_data.edited(folder / SCHEMA, **changes)
    raw = (folder / SCHEMA).read_bytes()
    files = read_manifest(folder / f"{PREFIX}{MANIFEST}").files
    signed(folder, files={**files, SCHEMA: (len(raw), hashlib.sha256(raw).hexdigest())})


FORGERIES = {
    "pickled objects": (lambda f: forged(f, rewards=np.array([{}, None], object)), [SHARD, "rewards"]),
    "another type": (lambda f: forged(f, actions=np.zeros((3, 3, 2), np.int64)), [SHARD, "actions is int64[3, 3, 2]"]),
    "another shape": (
        lambda f: forged(f, actions=np.zeros((3, 4, 2), np.int32)),
        [SHARD, "declared is int32[3, 3, 2]"],
    ),
    "columns first": (lambda f: forged(f, actions=np.zeros((3, 3, 2), np.int32, order="F")), [SHARD, "actions"]),
    "an array less": (lambda f: forged(f, towns=None), [SHARD, "does not hold the arrays"]),
    "an array more": (lambda f: forged(f, extra=np.zeros(3)), [SHARD, "no others"]),
    "a claim of 4 TB": (lambda f: forged(f, actions=header((1 << 20, 1 << 20, 1))), [SHARD, "1048576"]),
    "a member cut off": (lambda f: forged(f, actions=header((3, 3, 2)) + b"1234"), [SHARD, "actions is cut off"]),
    "a member too long": (lambda f: forged(f, actions=header((3, 3, 2)) + bytes(73)), [SHARD, "actions is too long"]),
    "no archive": (lambda f: ((f / SHARD).write_bytes(b"PK"), resigned(f)), [SHARD, "is damaged"]),
    "too many towns": (lambda f: resigned(f, towns=10**7), [SHARD, "the limit is"]),
    "other towns": (lambda f: resigned(f, towns=4), [SHARD, "declared is"]),
    "another length": (lambda f: resigned(f, timesteps=9), [SHARD, "9 timesteps"]),
    "a path": (lambda f: resigned(f, sample="../x.npz"), [MANIFEST, "samples.1.sample"]),
    "the same twice": (lambda f: resigned(f, sample=FILES[0]), [MANIFEST, "twice"]),
    "no towns": (lambda f: resigned(f, towns=0), [MANIFEST, "samples.1.towns"]),
    "a newer manifest": (lambda f: signed(f, format=2), [MANIFEST, "format 2"]),
    "another file listed": (lambda f: signed(f, files={"/etc/passwd": (1, "0")}), [MANIFEST, "/etc/passwd"]),
    "a newer schema": (lambda f: reschemed(f, format=3), [SCHEMA, "format 3"]),
    "an unknown key": (lambda f: reschemed(f, colour="red"), [SCHEMA, "colour"]),
    "other keys": (lambda f: reschemed(f, keys={}), [SCHEMA, "its keys"]),
    "a slot too many": (lambda f: reschemed(f, agents=[0, 8]), [SCHEMA, "its agents"]),
    "a gap in the actions": (lambda f: reschemed(f, action_lookup={"wait": 0, "go": 2}), [SCHEMA, "its action_lookup"]),
    "a huge map": (lambda f: reschemed(f, map_shape=[0, 1 << 40, 1 << 40]), [SCHEMA, "its map_shape"]),
    "a link": (lambda f: ((f / SHARD).unlink(), (f / SHARD).symlink_to(f / FILES[0])), [SHARD, "no plain file"]),
    "two manifests": (lambda f: shutil.copy(f / FILES[5], f / f"other{MANIFEST}"), ["2 of them"]),
}


@pytest.mark.parametrize(("forge", "words"), FORGERIES.values(), ids=FORGERIES)
def test_a_forged_dataset_is_refused(whole, tmp_path, forge, words):
    folder = shutil.copytree(whole, tmp_path / "copy")
    forge(folder)
    with pytest.raises(DatasetError) as error:
        read_all(folder)
    assert all(word in str(error.value) for word in words), error.value


def test_a_damaged_report_harms_nothing(whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "copy")
    (folder / f"{PREFIX}{METRICS}").write_text("{")
    assert len(read_all(folder)) == 3


# --- streams


def order(dataset, **options):
    return [batch["towns"].tolist() for batch in batches(dataset, **options)]


def test_batches_in_the_order_of_the_files(whole):
    dataset = open_dataset(whole)
    assert order(dataset, num_towns=4, seed=None) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert order(dataset, num_towns=5, seed=None) == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11]]
    assert order(dataset, num_towns=5, seed=None, drop_last=True) == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    assert order(dataset, num_towns=100, seed=None, epochs=2) == [[*range(12)]] * 2


def test_the_seed_fixes_the_order(whole):
    dataset = open_dataset(whole)
    once = order(dataset, num_towns=4, seed=1, epochs=3)
    assert once == order(dataset, num_towns=4, seed=1, epochs=3) != order(dataset, num_towns=4, seed=2, epochs=3)
    passes = [sum(once[start : start + 3], []) for start in (0, 3, 6)]
    assert all(sorted(one) == [*range(12)] for one in passes)
    assert passes[0] != passes[1] != passes[2]


def test_rows_stay_with_their_town(whole):
    for batch in batches(open_dataset(whole), num_towns=3, seed=4):
        n = batch["towns"]
        assert np.array_equal(batch["rewards"], np.broadcast_to(n[None, :, None], (3, len(n), 2)))
        assert batch["actions"][2, :, 1].tolist() == ((5 * n + 4 + 1) % 23).tolist()
        assert {array.shape[1] for name, array in batch.items() if name != "towns"} == {len(n)}


def test_a_shard_is_read_when_its_turn_comes(whole, monkeypatch):
    read = []
    monkeypatch.setattr(datasets, "load_sample", lambda dataset, n: (read.append(n), load_sample(dataset, n))[1])
    stream = batches(open_dataset(whole), num_towns=2, seed=None)
    assert read == []
    seen = [(next(stream)["towns"].tolist(), list(read)) for _ in range(4)]
    assert seen == [([0, 1], [0]), ([2, 3], [0]), ([4, 5], [0, 1]), ([6, 7], [0, 1])]


def test_a_split_has_no_town_in_common(whole):
    dataset = open_dataset(whole)
    learns, held = split(dataset, 0.25, seed=3)
    sides = [sorted(sum(order(part, num_towns=5, seed=0), [])) for part in (learns, held)]
    assert [len(side) for side in sides] == [9, 3] and sorted(sum(sides, [])) == [*range(12)]
    again = [sorted(sum(order(part, num_towns=5, seed=0), [])) for part in split(dataset, 0.25, seed=3)]
    assert again == sides
    assert order(split(dataset, 0.25, seed=4)[1], num_towns=12, seed=None) != [sides[1]]
    assert [part.num_towns for part in split(dataset, 0.001)] == [11, 1]
    assert [part.num_towns for part in split(held, 0.5)] == [1, 2]  # 1.5 is rounded to even, as in Python


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5])
def test_a_share_that_is_none(whole, share):
    with pytest.raises(DatasetError, match=f"{share} of 12 towns"):
        split(open_dataset(whole), share)


def test_batches_of_nothing(whole):
    with pytest.raises(DatasetError, match="batches of 0 towns"):
        next(batches(open_dataset(whole), num_towns=0))


# --- which world


def test_it_fits_its_own_world_and_one_with_other_prices(whole):
    dataset = open_dataset(whole, tiny_data.town())
    fits(dataset, load("town", **{"observation.variant": "compact", "systems.economy.rent": 1.2}))
    assert datasets.world_of(dataset).static == tiny_data.town().static


def test_another_world_is_told_apart(whole):
    with pytest.raises(DatasetError) as error:
        open_dataset(whole, load("m3", **{"observation.variant": "compact"}))
    assert "77 features there" in str(error.value) and "number 9 was 'option_go_home', is 'option_go_talk'" in str(
        error.value
    )
    assert "23 actions there, 28 here, and number 13 was 'go_sleep', is 'talk_0'" in str(error.value)
    with pytest.raises(DatasetError, match=r"layers.*; map_shape was \(0, 0, 0\), is \(6, 11, 11\)"):
        open_dataset(whole, load("town"))
    with pytest.raises(DatasetError, match="num_agents was 8, is 6"):
        open_dataset(whole, load("town_6", **{"observation.variant": "compact"}))


# --- what arrays say


def test_metrics_by_hand():
    its = tiny_data.schema()
    one = tiny_data.arrays(its, range(2))
    one["alive"][2, 1, 1] = False
    one["actions"][:] = [[[0, 0], [1, 13]], [[0, 21], [0, 13]], [[0, 0], [13, 22]]]  # the last slot is empty by then
    one["old_log_probs"][:] = -0.5
    one["value_preds"][-1] = 3.0
    one["terminated"][1, 1, 1] = True
    column = its.feature_names.index
    one["features"][:] = 0
    one["features"][1:, :, :, column("shift_left")] = 0.2  # 7 of the living are in their shift, 2 of them at the post
    one["features"][1, 0, :, column("on_shift")] = 1
    one["features"][0, 0, 0, column("blocked")] = 1
    found = metrics(its, one)
    assert (found["timesteps"], found["action_total"], found["action_nonzero"]) == (3, 11, 5)
    assert (found["reward_sum"], found["log_prob_mean"], found["value_pred_last"]) == (6.0, -0.5, 3.0)
    assert found["reward_mean"] == pytest.approx(5 / 11)
    assert [found[f"action_{kind}_count"] for kind in ("wait", "move", "use", "go")] == [6, 1, 0, 4]
    shares = np.array([6, 1, 3, 1]) / 11
    assert found["action_entropy"] == pytest.approx(-(shares * np.log(shares)).sum())
    assert found["attendance"] == pytest.approx(2 / 7) and found["action_blocked_ratio"] == pytest.approx(1 / 11)
    assert found["terminated_count"] == 1 and "rivalry_max_mean" not in found and "lateness_mean" not in found


def test_lives_of_a_slot():
    """Who dies after the second decision, an empty slot, a newcomer who is cut off by the reset, and one at the end.

    decision   0 1 2 3 4 5 6
    alive      x x . x x x x
    starts     x . . x . x .
    died       . x . . . . .
    """
    one = tiny_data.arrays(tiny_data.schema(agents=(0,)), range(1))
    of = {name: np.zeros((7, *array.shape[1:]), array.dtype) for name, array in one.items() if name != "towns"}
    of["alive"][[0, 1, 3, 4, 5, 6]] = of["starts"][[0, 3, 5]] = of["terminated"][1] = True
    of["actions"][:, 0, 0] = of["rewards"][:, 0, 0] = of["features"][:, 0, 0, 0] = np.arange(7)
    found = list(lives(of))
    assert [life["actions"].tolist() for life in found] == [[0, 1], [3], [5]]
    assert [life["features"][:, 0].tolist() for life in found] == [[0, 1, 1], [3, 4], [5, 6]]
    assert [life["terminated"].tolist() for life in found] == [[False, True], [False], [False]]
    assert [life["truncated"].tolist() for life in found] == [[False, False], [True], [True]]

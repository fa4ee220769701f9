"""Worlds in which nobody could live are refused with the sum that shows it. A day has 200 ticks."""

import re

import pytest

from townlet_jax import ConfigError, load, worlds
from townlet_jax.config import liveable
from townlet_jax.config.load import validate
from townlet_jax.config.schema import world_model
from townlet_jax.systems import ORDER

HOUSE = """
    #########
    #W.B.S.C#
    #0..1..K#
    #@.....h#
    #########
"""


def refusal(board, drawing=HOUSE, **overrides):
    with pytest.raises(ConfigError) as error:
        board(drawing, **overrides)
    return str(error.value)


def test_the_house_is_liveable(board):
    assert board(HOUSE).world.static.num_agents == 2


@pytest.mark.parametrize(
    ("drawing", "goal", "start"),
    [
        ("#########\n#h.0.#.W#\n#....#..#\n#########", "the shower at row 2, column 8", "home 1"),
        ("#########\n#h.0.#.K#\n#..W.#..#\n#########", "the clerk's post at row 2, column 8", "home 1"),
        ("#########\n#h.0.#.@#\n#..W.#..#\n#########", "the shower at row 3, column 4", "the entry at row 2, column 8"),
        ("#########\n#h.0.#.h#\n#..W.#..#\n#########", "the shower at row 3, column 4", "home 2"),
    ],
)
def test_every_home_and_entry_reaches_every_public_place(board, drawing, goal, start):
    assert f"there is no way to {goal} from {start}" in refusal(board, drawing)


def test_a_need_that_nothing_raises(board):
    message = refusal(board, "#####\n#h.W#\n#0.1#\n#####", **{"systems.needs.decay.energy": 0.002})
    assert "systems.needs.decay.energy: energy falls by 0.40 a day and no offer raises it" in message


def test_a_day_too_short_for_the_needs_and_the_shift(board):
    # 1.60 / 0.45 = 3.6 showers of 30 ticks, 2.00 / 0.4 = 5.0 meals of 15, 0.40 / 0.8 = 0.5 sleeps of 60: 212 ticks
    decay = {"systems.needs.decay": {"hunger": 0.01, "hygiene": 0.008, "energy": 0.002}}
    message = refusal(board, **decay)
    for part in (
        "hygiene falls by 1.60 a day = 3.6 x wash of 30 ticks",
        "hunger falls by 2.00 a day = 5.0 x eat of 15 ticks",
    ):
        assert part in message
    assert "212 busy ticks and a shift of 60 do not fit into a day of 200" in message


def test_too_few_facilities_for_all(board):
    # one shower gives 6 whole showers of 30 ticks in 200: 6 x 0.45 = 2.7 a day; nine agents lose 9 x 0.36
    crowd = "##########\n#W.B.S.C.#\n#01234567#\n#8@....hK#\n##########"
    message = refusal(board, crowd, **{"systems.needs.decay.hygiene": 0.0018})
    assert "hygiene falls faster than facilities can serve: 6 wash x 0.45 = 2.7 a day, 9 agents lose 3.2" in message


def test_opening_hours_and_stock_count_for_the_capacity(board):
    # the counter has 3 units a day; nothing gives what the stove takes: 3 x 0.4 = 1.2; two agents lose 1.8
    message = refusal(board, **{"systems.needs.decay.hunger": 0.0045})
    assert "3 eat x 0.4 + 0 cook x 0.1 = 1.2 a day, 2 agents lose 1.8" in message
    assert (
        board(HOUSE, **{"systems.needs.decay.hunger": 0.0029, "systems.economy.rent": 0.3}).world.static.num_agents == 2
    )


def test_a_wage_that_does_not_pay_the_rent(board):
    message = refusal(board, **{"systems.economy.rent": 1.3})
    assert "systems.employment.jobs.0.wage: the clerk cannot live on it: 60 ticks x 0.02 = 1.20 coins a day" in message
    assert "but rent 1.30 + basket 0.00 () = 1.30" in message
    assert int(board(HOUSE, **{"systems.economy.rent": 1.2}).world.params["economy"].rent) == 1200


def test_a_wage_that_does_not_pay_the_basket(board):
    # hygiene 0.36 a day by washes of 0.2 coins for 0.45: 0.16
    decay = {"systems.needs.decay.hygiene": 0.0018, "systems.economy.rent": 1.1}
    assert re.search(r"rent 1\.10 \+ basket 0\.16 \(hygiene 0\.36 by wash 0\.16\) = 1\.26", refusal(board, **decay))


def configured(tmp_path, **overrides):
    """The validated configuration of the town with overrides, as `liveable.slack` reads it."""
    path = tmp_path / "here.yaml"
    path.write_text("extends: town\n")
    document = worlds.read(path, [f"{key}={value}" for key, value in overrides.items()])
    return validate(world_model(ORDER), document)


def test_the_slack_of_a_job_is_what_the_wage_leaves(tmp_path):
    # hunger 1.296 a day by meals of 0.15 coins for 0.4: 0.486; hygiene 0.72 by washes of 0.2 for 0.45: 0.32; naps are free
    wages = {"grocer": 180 * 0.02, "barista": 160 * 0.025, "clerk": 180 * 0.02}
    town = liveable.slack(configured(tmp_path))
    assert town == pytest.approx({job: wage / (1.5 + 0.486 + 0.32) - 1 for job, wage in wages.items()})
    dear = liveable.slack(configured(tmp_path, **{"systems.economy.rent": 2.4}))
    assert dear["grocer"] == pytest.approx(3.6 / 3.206 - 1) and dear["barista"] == pytest.approx(4.0 / 3.206 - 1)


def test_nothing_to_pay_leaves_all(tmp_path):
    free = {"systems.economy.rent": 0.0, "systems.economy.prices": "{}"}
    assert set(liveable.slack(configured(tmp_path, **free)).values()) == {float("inf")}


def test_a_world_may_ask_for_a_slack_of_10_to_20_percent(board):
    # a shift pays 1.2: rent of 1.0 leaves 0.2, of 1.08 leaves 0.111, of 1.15 leaves 0.043, of 0.9 leaves 0.333
    asks = lambda rent: {"systems.economy.rent": rent, "systems.economy.slack": [0.1, 0.2]}
    for rent in (1.0, 1.08):
        assert board(HOUSE, **asks(rent)).world.static.num_agents == 2
    for rent, left in ((1.15, "0.043"), (0.9, "0.333")):
        message = refusal(board, **asks(rent))
        assert f"jobs.0.wage: the clerk has a slack of {left} (allowed: 0.1 to 0.2, systems.economy.slack)" in message
        assert f"60 ticks x 0.02 = 1.20 coins a day, rent {rent:.2f} + basket 0.00 () = {rent:.2f}" in message
    assert "the clerk cannot live on it" in refusal(board, **asks(1.3))


def test_a_slack_is_a_span(board):
    for span in ([0.2, 0.1], [-0.1, 0.2]):
        message = refusal(board, **{"systems.economy.slack": span})
        assert f"systems.economy.slack: {span}: allowed are 0 <= least <= most" in message


def test_without_wages_there_is_no_slack(board):
    overrides = {"systems.economy.slack": [0.1, 0.2], "systems.economy.rent": 0.0}
    message = refusal(board, HOUSE.replace("K", "."), **overrides)
    assert "systems.economy.slack: there is none in a world without the system 'employment'" in message


def test_the_basket_counts_the_items_that_an_offer_takes(board):
    # only the stove feeds, and it takes what nobody sells: the basket has no end
    drawing = HOUSE.replace("C", ".")
    message = refusal(board, drawing, **{"systems.needs.decay.hunger": 0.0005})
    assert "basket inf (hunger 0.10 by cook inf)" in message


def test_more_agents_than_cells(board):
    message = refusal(board, "#####\n#h.W#\n#0.1#\n#####", num_agents=6)
    assert "num_agents: 6 agents, but home 1 has only 5 cells within reach" in message


def test_a_facility_without_a_cell_beside_it(board):
    assert "the facility at row 2, column 6 has no free cell beside it" in refusal(
        board, "#######\n#h0.#W#\n#.W.###\n#######"
    )


def test_a_town_without_groceries_is_refused():
    with pytest.raises(ConfigError, match="hunger falls faster than facilities can serve: 0 eat_meal"):
        load("town", **{"systems.economy.stock": {}})


def test_a_town_of_64_has_too_little_food():
    """72 raw food become 72 meals, the café has 48: 72 x 0.4 + 48 x 0.4 + 72 x 0.1 = 55.2 a day; 64 agents lose 82.9."""
    with pytest.raises(ConfigError, match="= 55.2 a day, 64 agents lose 82.9"):
        load("town", num_agents=64)
    assert load("town", num_agents=16).static.num_agents == 16


def test_rent_without_work_is_refused():
    with pytest.raises(ConfigError, match="without the system 'employment' nobody earns more than the stipend of 0.00"):
        load("town", **{"systems.employment": None})


def test_what_would_round_to_nothing_is_refused():
    with pytest.raises(ConfigError, match="decay.hunger: 4e-07 a tick is less than the town can count"):
        load("town", **{"systems.needs.decay.hunger": 4e-7})
    with pytest.raises(ConfigError, match="prices.wash: 0.0001 coins is less than half a mill"):
        load("town", **{"systems.economy.prices.wash": 0.0001})

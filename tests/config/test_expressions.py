"""Expressions: what they mean as boxes, and what is refused with the part that is wrong."""

import numpy as np
import pytest

from townlet_jax.config.expressions import ExpressionError, parse
from townlet_jax.core import fixed
from townlet_jax.systems.predicates import Variable

WORDS = (
    Variable("need.hunger", "share, 0 to 1", fixed.NEED, 0, fixed.NEED),
    Variable("wallet", "coins", fixed.COIN, 0, 1_000_000),
    Variable("item.meal", "count", 1, 0, 100),
    Variable("time", "tick of the day", 1, 0, 199),
    Variable("power", "flag", 1, 0, 1),
)
HUNGER, WALLET, MEAL, TIME, POWER = range(5)
HALF = fixed.NEED // 2

MEANINGS = {
    "need.hunger < 0.5": [{HUNGER: (0, HALF - 1)}],
    "need.hunger <= .5": [{HUNGER: (0, HALF)}],
    "0.5 >= need.hunger": [{HUNGER: (0, HALF)}],
    "wallet >= 1.25": [{WALLET: (1250, 1_000_000)}],
    "item.meal > 0": [{MEAL: (1, 100)}],
    "item.meal == 3": [{MEAL: (3, 3)}],
    "item.meal != 3": [{MEAL: (0, 2)}, {MEAL: (4, 100)}],
    "not item.meal != 3": [{MEAL: (3, 3)}],
    "20 <= time < 120": [{TIME: (20, 119)}],
    "power": [{POWER: (1, 1)}],
    "not power": [{POWER: (0, 0)}],
    "power == false": [{POWER: (0, 0)}],
    "not not power": [{POWER: (1, 1)}],
    "power and wallet >= 1": [{WALLET: (1000, 1_000_000), POWER: (1, 1)}],
    "power or item.meal > 0": [{MEAL: (1, 100)}, {POWER: (1, 1)}],
    "not (power and item.meal > 0)": [{MEAL: (0, 0)}, {POWER: (0, 0)}],
    "power and (item.meal > 0 or time < 9)": [{MEAL: (1, 100), POWER: (1, 1)}, {TIME: (0, 8), POWER: (1, 1)}],
    "power or power and time < 9": [{POWER: (1, 1)}],  # one box lies in the other
    "item.meal > 2 and item.meal < 5": [{MEAL: (3, 4)}],
    "item.meal >= 0": [{}],
}


@pytest.mark.parametrize(("text", "boxes"), MEANINGS.items(), ids=MEANINGS)
def test_the_meaning_of(text, boxes):
    assert parse(text, WORDS) == boxes


@pytest.mark.parametrize(("one", "same"), [("power and time < 9", "time<9 and(power)"), ("9 > time", "not time >= 9")])
def test_spelling_does_not_matter(one, same):
    assert parse(one, WORDS) == parse(same, WORDS)


def written(rng, depth):
    """A random expression, and the same for Python's own reader."""
    if depth == 0 or rng.random() < 0.3:
        word, limit = [("item.meal", 100), ("time", 199)][rng.integers(2)]
        mark, number = ["<", "<=", ">", ">=", "==", "!="][rng.integers(6)], int(rng.integers(limit))
        return (f"{word} {mark} {number}", lambda values: PYTHON[mark](values[word], number))
    kind = ["and", "or", "not"][rng.integers(3)]
    left, holds_left = written(rng, depth - 1)
    if kind == "not":
        return f"not ({left})", lambda values: not holds_left(values)
    right, holds_right = written(rng, depth - 1)
    both = all if kind == "and" else any
    return f"({left}) {kind} ({right})", lambda values: both((holds_left(values), holds_right(values)))


PYTHON = {
    "<": int.__lt__,
    "<=": int.__le__,
    ">": int.__gt__,
    ">=": int.__ge__,
    "==": int.__eq__,
    "!=": int.__ne__,
}


def test_boxes_hold_exactly_where_the_expression_does():
    """Against the logic itself, on 400 random expressions at 50 random points each."""
    rng, kept = np.random.default_rng(0), 0
    for _ in range(400):
        text, holds = written(rng, 3)
        points = [{"item.meal": int(rng.integers(101)), "time": int(rng.integers(200))} for _ in range(50)]
        try:
            boxes = parse(text, WORDS)
        except ExpressionError as error:
            assert "can never hold" not in str(error) or not any(map(holds, points))
            continue
        kept += 1
        for point in points:
            at = {MEAL: point["item.meal"], TIME: point["time"]}
            inside = any(all(low <= at[v] <= high for v, (low, high) in box.items()) for box in boxes)
            assert inside == holds(point), (text, point)
    assert kept > 200


REFUSED = {
    "need.hungr < 0.5": "there is no word 'need.hungr' (allowed: need.hunger, wallet, item.meal, time, power). "
    "Did you mean 'need.hunger'?",
    "__import__('os')": '"\'" is refused',
    "open(wallet)": "open(...) is a call, and calls are refused",
    "wallet(1) > 0": "wallet(...) is a call",
    "power.__class__": "there is no word 'power.__class__'",
    "wallet + 1 > 2": "'+' is refused (allowed: words, numbers, comparisons, and, or, not, parentheses)",
    "wallet > -1": "'-' is refused",
    "wallet = 1": "'=' is refused",
    "time in [1, 2]": "'[' is refused",
    "lambda: 1": "':' is refused",
    "wallet": "'wallet' is a number (coins): compare it, as in wallet > 0",
    "1 < 2": "'<' compares a word with a number, and nothing else",
    "wallet < time": "'<' compares a word with a number",
    "3": "'3' stands alone",
    "power > true": "'power' is true or false: allowed are == and !=",
    "power == 1": "'power' cannot be compared with 1 (allowed: true, false)",
    "wallet == true": "'wallet' cannot be compared with true (allowed: a number, coins)",
    "item.meal > 1.5": "'item.meal' is a whole number (count), not 1.5",
    "need.hunger < 30": "'need.hunger' is never 30 (allowed: 0 to 1, share)",
    "time >= 200": "'time' is never 200 (allowed: 0 to 199, tick of the day)",
    "wallet > " + "9" * 400: "'wallet' is never 999",
    "wallet > 2 and wallet < 1": "can never hold",
    "need.hunger < 0": "can never hold",
    "(power": "'the end' stands where ')' was expected",
    "power)": "')' stands where `and`, `or` or the end was expected",
    "power power": "'power' stands where `and`, `or` or the end",
    "power and": "'the end' stands where a word or a number was expected",
    "": "'the end' stands where a word or a number was expected",
    "not " * 40 + "power": "nested too deeply (allowed: 16 levels)",
    "(" * 400 + "power": "nested too deeply",
    "power or " * 60 + "power": "characters are too many (allowed: 500)",
    " or ".join(f"time == {n}" for n in range(1, 11, 2)): "5 alternatives are too many (allowed: 4",
    " and ".join(f"({w} != 5)" for w in ("time", "item.meal", "wallet")): "8 alternatives are too many",
}


@pytest.mark.parametrize(("text", "message"), REFUSED.items(), ids=[text[:30] for text in REFUSED])
def test_refused(text, message):
    with pytest.raises(ExpressionError) as error:
        parse(text, WORDS)
    assert message in str(error.value)


@pytest.mark.parametrize("seed", range(4))
def test_no_text_makes_it_fail_otherwise(seed):
    rng = np.random.default_rng(seed)
    pieces = [
        "wallet",
        "power",
        "time",
        "(",
        ")",
        "and",
        "or",
        "not",
        "<",
        "==",
        "!=",
        "5",
        "0.5",
        "true",
        ".",
        "x",
        "\x00",
    ]
    for _ in range(500):
        text = " ".join(rng.choice(pieces, rng.integers(1, 12)))
        try:
            assert parse(text, WORDS)
        except ExpressionError as error:
            assert str(error)

"""Expressions of the YAML, such as `need.hunger < 0.5 and (wallet >= 1 or item.meal > 0)`.

    or:          and ("or" and)*
    and:         not ("and" not)*
    not:         "not" not | comparison
    comparison:  operand (("<" | "<=" | ">" | ">=" | "==" | "!=") operand)*
    operand:     word | number | "true" | "false" | "(" or ")"

A word is compared with numbers, a flag may stand alone. Calls, arithmetic and all else are refused. The result is a union of
boxes: for each variable an interval of integers.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from ..systems import predicates
from ..systems.predicates import CLAUSES, Box, Variable
from ..types import Names
from .errors import suggestion

MAX_CHARS = 500
MAX_DEPTH = 16  # of parentheses and `not`
MAX_BOXES = 64  # on the way; CLAUSES at the end

_TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d+)?|\.\d+)|([A-Za-z_][\w.]*)|(<=|>=|==|!=|<|>|\(|\))|(\S))")
_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_KEYWORDS = ("and", "or", "not", "true", "false")


class ExpressionError(ValueError):
    """An expression that cannot be used; the message names the part."""


class Interval(NamedTuple):
    """One variable within bounds, or outside them."""

    variable: int
    low: int
    high: int
    inside: bool = True


class Node(NamedTuple):
    """`and`, `or` or `not` of other nodes."""

    word: str
    parts: tuple[Any, ...]


class Token(NamedTuple):
    """A piece of the text."""

    kind: str  # number, word, mark or end
    text: str


def variables(config: Any, names: Names) -> tuple[Variable, ...]:
    """The words that expressions of a world may use."""
    on = [name for name in type(config.systems).model_fields if getattr(config.systems, name) is not None]
    section = getattr(config.systems, "utilities", None)
    utilities = [getattr(utility, "name", utility) for utility in section.utilities] if section else []
    return predicates.variables(names, on, config.ticks_per_day, utilities)


def table(config: Any, names: Names) -> predicates.Table | None:
    """What the offers of a world require; None if none requires anything."""
    offers = config.systems.affordances.offers if config.systems.affordances else ()
    if not any(offer.requires for offer in offers):
        return None
    words = variables(config, names)
    return predicates.build([parse(o.requires, words) if o.requires else () for o in offers], len(words))


def parse(text: str, words: Sequence[Variable]) -> list[Box]:
    """The boxes in which an expression holds.

    Args:
        text: the expression.
        words: the variables that it may use.

    Returns:
        One to CLAUSES boxes {index of the variable: (least, most)}, in parts; a variable that is free is left out.

    Raises:
        ExpressionError: it is no expression, uses something else, is too large, or can never hold.
    """
    if len(text) > MAX_CHARS:
        raise ExpressionError(f"{len(text)} characters are too many (allowed: {MAX_CHARS})")
    parser = _Parser(_tokens(text), words)
    node = parser.either(0)
    if parser.token.kind != "end":
        raise ExpressionError(f"{parser.token.text!r} stands where `and`, `or` or the end was expected")
    boxes = _boxes(node, True, words)
    if not boxes:
        raise ExpressionError(f"{text!r} can never hold")
    if len(boxes) > CLAUSES:
        raise ExpressionError(f"{len(boxes)} alternatives are too many (allowed: {CLAUSES} joined by `or` or `!=`)")
    return boxes


def _tokens(text: str) -> list[Token]:
    found = []
    for number, word, mark, other in _TOKEN.findall(text):
        if other:
            hint = " Did you mean '=='?" if other == "=" else ""
            raise ExpressionError(
                f"{other!r} is refused (allowed: words, numbers, comparisons, and, or, not, parentheses).{hint}"
            )
        found.append(Token("number", number) if number else Token("word", word) if word else Token("mark", mark))
    return [*found, Token("end", "the end")]


class _Parser:
    """Recursive descent over the tokens; the depth is bounded."""

    def __init__(self, tokens: list[Token], words: Sequence[Variable]):
        self.tokens, self.words = tokens, words
        self.names = [word.name for word in words]

    @property
    def token(self) -> Token:
        return self.tokens[0]

    def take(self, *texts: str) -> str:
        """The text of the next token if it is one of those, which it passes; else nothing."""
        if self.token.kind in ("word", "mark") and self.token.text in texts:
            return self.tokens.pop(0).text
        return ""

    def either(self, depth: int) -> Any:
        parts = [self.both(depth)]
        while self.take("or"):
            parts.append(self.both(depth))
        return parts[0] if len(parts) == 1 else Node("or", tuple(parts))

    def both(self, depth: int) -> Any:
        parts = [self.negated(depth)]
        while self.take("and"):
            parts.append(self.negated(depth))
        return parts[0] if len(parts) == 1 else Node("and", tuple(parts))

    def negated(self, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise ExpressionError(f"parentheses and `not` are nested too deeply (allowed: {MAX_DEPTH} levels)")
        return Node("not", (self.negated(depth + 1),)) if self.take("not") else self.comparison(depth)

    def comparison(self, depth: int) -> Any:
        operands, marks = [self.operand(depth)], []
        while mark := self.take("<", "<=", ">", ">=", "==", "!="):
            marks.append(mark)
            operands.append(self.operand(depth))
        if not marks:
            return self.alone(operands[0])
        sides = pairwise(operands)
        parts = tuple(self.compared(left, mark, right) for (left, right), mark in zip(sides, marks))
        return parts[0] if len(parts) == 1 else Node("and", parts)

    def operand(self, depth: int) -> Any:
        if self.take("("):
            inner = self.either(depth + 1)
            if not self.take(")"):
                raise ExpressionError(f"{self.token.text!r} stands where ')' was expected")
            return inner
        token = self.tokens.pop(0)
        if token.kind == "number" or token.text in ("true", "false"):
            return token
        if token.kind != "word" or token.text in _KEYWORDS:
            raise ExpressionError(f"{token.text!r} stands where a word or a number was expected")
        if self.token.text == "(":
            raise ExpressionError(f"{token.text}(...) is a call, and calls are refused")
        if token.text not in self.names:
            allowed = ", ".join(self.names)
            raise ExpressionError(
                f"there is no word {token.text!r} (allowed: {allowed}).{suggestion(token.text, self.names)}"
            )
        return self.words[self.names.index(token.text)]

    def alone(self, operand: Any) -> Any:
        if isinstance(operand, Token):
            raise ExpressionError(f"{operand.text!r} stands alone: compare a word with it")
        if isinstance(operand, Variable) and not operand.flag:
            raise ExpressionError(
                f"{operand.name!r} is a number ({operand.unit}): compare it, as in {operand.name} > 0"
            )
        return self.interval(operand, "==", Token("word", "true")) if isinstance(operand, Variable) else operand

    def compared(self, left: Any, mark: str, right: Any) -> Any:
        if isinstance(left, Token) and isinstance(right, Variable):
            left, mark, right = right, _FLIPPED[mark], left
        if not isinstance(left, Variable) or not isinstance(right, Token):
            raise ExpressionError(f"{mark!r} compares a word with a number, and nothing else")
        return self.interval(left, mark, right)

    def interval(self, word: Variable, mark: str, literal: Token) -> Interval:
        value = _parts(word, literal)
        if word.flag and mark not in ("==", "!="):
            raise ExpressionError(f"{word.name!r} is true or false: allowed are == and !=")
        low = value + (mark == ">") if mark in (">", ">=", "==", "!=") else word.low
        high = value - (mark == "<") if mark in ("<", "<=", "==", "!=") else word.high
        return Interval(self.names.index(word.name), low, high, mark != "!=")


def _parts(word: Variable, literal: Token) -> int:
    """A literal in the parts of the variable that it is compared with."""
    if word.flag != (literal.text in ("true", "false")):
        allowed = "true, false" if word.flag else f"a number, {word.unit}"
        raise ExpressionError(f"{word.name!r} cannot be compared with {literal.text} (allowed: {allowed})")
    if word.flag:
        return int(literal.text == "true")
    if word.scale == 1 and "." in literal.text:
        raise ExpressionError(f"{word.name!r} is a whole number ({word.unit}), not {literal.text}")
    value = round(min(float(literal.text), 2.0**31) * word.scale)
    if not word.low <= value <= word.high:
        bounds = f"{word.low / word.scale:g} to {word.high / word.scale:g}, {word.unit.split(',')[0]}"
        raise ExpressionError(f"{word.name!r} is never {literal.text} (allowed: {bounds})")
    return value


def _boxes(node: Any, holds: bool, words: Sequence[Variable]) -> list[Box]:
    """The boxes in which a node holds, or does not; none of them is empty or inside another."""
    if isinstance(node, Interval):
        return _pieces(node, holds, words[node.variable])
    if node.word == "not":
        return _boxes(node.parts[0], not holds, words)
    parts = [_boxes(part, holds, words) for part in node.parts]
    if (node.word == "or") == holds:
        return _pruned([box for part in parts for box in part])
    boxes: list[Box] = [{}]
    for part in parts:
        boxes = _pruned([box for one in boxes for other in part if (box := _crossed(one, other)) is not None])
    return boxes


def _pieces(interval: Interval, holds: bool, word: Variable) -> list[Box]:
    low, high = max(interval.low, word.low), min(interval.high, word.high)
    ranges = [(low, high)] if holds == interval.inside else [(word.low, low - 1), (high + 1, word.high)]
    if holds != interval.inside and low > high:
        ranges = [(word.low, word.high)]
    found = [(least, most) for least, most in ranges if least <= most]
    return [{} if piece == (word.low, word.high) else {interval.variable: piece} for piece in found]


def _crossed(one: Box, other: Box) -> Box | None:
    """What lies in both boxes, or None."""
    box = dict(one)
    for variable, (low, high) in other.items():
        least, most = box.get(variable, (low, high))
        box[variable] = (max(least, low), min(most, high))
        if box[variable][0] > box[variable][1]:
            return None
    return box


def _pruned(boxes: list[Box]) -> list[Box]:
    """The boxes without those that lie in another, in a fixed order."""
    if len(boxes) > MAX_BOXES:
        raise ExpressionError(f"{len(boxes)} alternatives are too many (allowed: {CLAUSES} joined by `or` or `!=`)")
    within = lambda a, b: all(v in a and b[v][0] <= a[v][0] and a[v][1] <= b[v][1] for v in b)
    ordered = sorted({tuple(sorted(box.items())) for box in boxes})
    distinct = [dict(items) for items in ordered]
    return [box for box in distinct if not any(within(box, other) for other in distinct if other is not box)]

"""Arithmetic as people write it: a parser and its evaluation in one, and nothing of Python's own.

Rules:

1. Every step is bounded before it is made: the length of the expression, how deep it nests, and how many digits a
   whole number has. So nothing takes longer than an instant, and there is nothing to wait for.
2. Whole numbers stay whole and exact; any other is a float, shown with 15 digits. What is no number, or too large
   for one, is an error.

By how strongly they bind, ``**`` (or ``^``), which goes from right to left, comes first, then a sign, ``* / // %``,
and ``+ -``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from triolet.errors import ToolError

Number: TypeAlias = int | float

LONGEST = 1000
"""Characters of an expression."""

DEEPEST = 50

MOST_DIGITS = 1000
"""Of a whole number."""

_MOST_BITS = int(MOST_DIGITS * math.log2(10)) + 1
_MOST_FACTORIAL = 400
_MOST_PLACES = 100
_EXACT = 2.0**53
"""Below it, a float without a fraction is that very number."""

_TOKEN = re.compile(r"\s*(?:((?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)|([A-Za-z_]\w*)|(\*\*|//|[-+*/%^(),]))")
_OTHER_SIGNS = str.maketrans({"×": "*", "·": "*", "÷": "/", "−": "-"})

_SIGN = 3
_POWER = 4
_BINDING: Final = {"+": 1, "-": 1, "*": 2, "/": 2, "//": 2, "%": 2, "**": _POWER, "^": _POWER}


def _power(base: Number, exponent: Number) -> Number:
    # A whole number of n bits has at least (n - 1) * exponent bits as a power.
    if isinstance(base, int) and isinstance(exponent, int) and (base.bit_length() - 1) * exponent > _MOST_BITS:
        raise OverflowError
    power = base**exponent
    if isinstance(power, complex):
        raise ValueError("no real number")  # noqa: TRY004  # it is the value that has no answer
    return float(power) if isinstance(power, float) else int(power)


def _factorial(number: Number) -> int:
    if isinstance(number, float) or number < 0:
        raise ValueError("no whole number")
    if number > _MOST_FACTORIAL:
        raise OverflowError
    return math.factorial(number)


def _round(number: Number, places: Number = 0) -> Number:
    if not isinstance(places, int) or abs(places) > _MOST_PLACES:
        raise ValueError("places")
    return round(number, places) if places else round(number)


_OPERATORS: Final[Mapping[str, Callable[[Number, Number], Number]]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left / right,
    "//": lambda left, right: left // right,
    "%": lambda left, right: left % right,
    "**": _power,
    "^": _power,
}
_FUNCTIONS: Final[Mapping[str, Callable[..., Number]]] = {
    **{name: getattr(math, name) for name in ("sqrt", "cbrt", "exp", "log", "log2", "log10", "floor", "ceil")},
    **{name: getattr(math, name) for name in ("sin", "cos", "tan", "asin", "acos", "atan", "atan2")},
    **{name: getattr(math, name) for name in ("degrees", "radians")},
    "ln": math.log,
    "abs": abs,
    "min": min,
    "max": max,
    "round": _round,
    "factorial": _factorial,
}
_CONSTANTS: Final[Mapping[str, Number]] = {"pi": math.pi, "e": math.e, "tau": math.tau}


def evaluate(expression: str) -> str:
    """What the expression comes to.

    Raises:
        ToolError: it is no expression, it has no value, or one beyond the bounds; the message says which and where.
    """
    if len(expression) > LONGEST:
        raise ToolError(f"the expression has {len(expression)} characters; {LONGEST} are the most")
    reader = _Reader(expression.translate(_OTHER_SIGNS))
    value = reader.expression(0)
    if reader.token:
        raise reader.unexpected("an operator")
    return _shown(value)


def _shown(value: Number) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        value = int(value)
    return str(value) if isinstance(value, int) else f"{value:.15g}"


class _Reader:
    """The tokens of an expression, one ahead; reading an expression gives its value."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._start = self._end = self._depth = 0
        self.token = ""
        self.number: str | None = None
        self.name: str | None = None
        self._advance()

    def _advance(self) -> str:
        """The current token, and on to the next one: empty at the end."""
        passed = self.token
        match = _TOKEN.match(self._text, self._end)
        rest = self._text[self._end :].strip()
        self.token = match[0].strip() if match else rest[:1]
        self.number, self.name = (match[1], match[2]) if match else (None, None)
        self._start = match.end() - len(self.token) if match else self._text.find(rest, self._end)
        self._end = match.end() if match else len(self._text)
        return passed

    def unexpected(self, wanted: str) -> ToolError:
        if not self.token:
            return ToolError(f"the expression ends where {wanted} should be")
        return ToolError(f"at character {self._start + 1}: {self.token!r} stands where {wanted} should be")

    def expression(self, binding: int) -> Number:
        """An expression of operators that bind more strongly than ``binding``."""
        self._depth += 1
        if self._depth > DEEPEST:
            raise ToolError(f"the expression nests too deep; {DEEPEST} levels are the most")
        value = self._operand()
        while (strength := _BINDING.get(self.token, 0)) > binding:
            operator = self._advance()
            right = self.expression(strength - (strength == _POWER))
            value = _computed(operator, _OPERATORS[operator], value, right)
        self._depth -= 1
        return value

    def _operand(self) -> Number:
        if self.token in {"+", "-"}:
            sign = self._advance()
            value = self.expression(_SIGN)
            return -value if sign == "-" else value
        if self.number:
            return _computed("the number", _literal, self._advance())
        if self.name:
            return self._named(self._advance())
        if self.token != "(":
            raise self.unexpected("a number")
        self._advance()
        value = self.expression(0)
        self._close()
        return value

    def _named(self, name: str) -> Number:
        if name in _CONSTANTS:
            return _CONSTANTS[name]
        if name not in _FUNCTIONS:
            raise ToolError(f"there is no {name!r}; there are {', '.join([*_CONSTANTS, *_FUNCTIONS])}")
        if self.token != "(":
            raise self.unexpected(f"the ( of {name}")
        self._advance()
        values = [self.expression(0)]
        while self.token == ",":
            self._advance()
            values.append(self.expression(0))
        self._close()
        return _computed(name, _FUNCTIONS[name], *values)

    def _close(self) -> None:
        if self.token != ")":
            raise self.unexpected("a )")
        self._advance()


def _literal(digits: str) -> Number:
    return int(digits) if digits.isdecimal() else float(digits)


def _computed(name: str, compute: Callable[..., Number], *operands: Number | str) -> Number:
    """The result, within the bounds."""
    try:
        value = compute(*operands)
        too_large = value.bit_length() > _MOST_BITS if isinstance(value, int) else math.isinf(value)
    except ZeroDivisionError:
        raise ToolError("a division by zero") from None
    except OverflowError:
        too_large, value = True, 0
    except ValueError:
        raise ToolError(f"{name} has no value there") from None
    except TypeError:
        raise ToolError(f"{name} takes another number of values") from None
    if too_large:
        raise ToolError(f"{name} goes beyond the largest numbers; whole ones have {MOST_DIGITS} digits at most")
    return value

"""The calculator: right where Python is right, an error in a line where there is no value, and at once in any case."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from triolet.errors import ToolError
from triolet.tools.calculator import DEEPEST, LONGEST, evaluate

VALUES = {
    "1+2*3": "7",
    " ( 1 + 2 ) *3 ": "9",
    "10/4": "2.5",
    "10/5": "2",
    "7//2": "3",
    "-7%3": "2",
    "2-3-4": "-5",
    "100/10/2": "5",
    "2**3**2": "512",
    "-2**2": "-4",
    "2**-1": "0.5",
    "2*-3": "-6",
    "--3": "3",
    "+-3": "-3",
    "2^10": "1024",
    "3×4÷2−1·2": "4",
    "0.1+0.2": "0.3",
    ".5e1+5.": "10",
    "1\u00a0+\t1\n": "2",
    "-0.0": "0",
    "2**0.5": "1.4142135623731",
    "1e20": "1e+20",
    "123456789012345678901234567890+1": "123456789012345678901234567891",
    "(-1)**10**100": "1",
    "0**10**100": "0",
    "10**400/10**399": "10",
    "(1 + 2) * sqrt(16) / 3": "4",
    "log(8, 2)": "3",
    "ln(e)": "1",
    "log10(1000)": "3",
    "cos(tau)": "1",
    "degrees(pi)": "180",
    "max(1, 2*3, min(9, 8))": "8",
    "round(2.567, 2)": "2.57",
    "round(2.6)": "3",
    "round(1234, -2)": "1200",
    "factorial(20)": "2432902008176640000",
    "abs(-3)": "3",
    "(" * (DEEPEST - 1) + "1" + ")" * (DEEPEST - 1): "1",
    "1" + "+1" * (LONGEST // 2 - 1): str(LONGEST // 2),
}


@pytest.mark.parametrize("expression", VALUES)
def test_a_value(expression: str) -> None:
    assert evaluate(expression) == VALUES[expression]


BEYOND = "goes beyond the largest numbers"
ERRORS = {
    "": "the expression ends where a number should be",
    "1+": "the expression ends where a number should be",
    "(1": "the expression ends where a ) should be",
    ")": "at character 1: ')' stands where a number should be",
    "1 2": "at character 3: '2' stands where an operator should be",
    "1,2": "at character 2: ',' stands where an operator should be",
    "1 == 2": "at character 3: '=' stands where an operator should be",
    "2pi": "at character 2: 'pi' stands where an operator should be",
    "1 + $": "at character 5: '$' stands where a number should be",
    "\u00a0$": "at character 2: '$' stands where a number should be",
    "٣+1": "at character 1: '٣' stands where a number should be",
    "sqrt": "the expression ends where the ( of sqrt should be",
    "sqrt 4": "at character 6: '4' stands where the ( of sqrt should be",
    "sin()": "at character 5: ')' stands where a number should be",
    "sin(1": "the expression ends where a ) should be",
    "sin(1, 2)": "sin takes another number of values",
    "max(1)": "max takes another number of values",
    "__import__('os')": "there is no '__import__'; there are pi, e, tau, sqrt, ",
    "().__class__": "at character 2: ')' stands where a number should be",
    "1/0": "a division by zero",
    "7 % 0.0": "a division by zero",
    "0**-1": "a division by zero",
    "sqrt(-1)": "sqrt has no value there",
    "(-8)**(1/3)": "** has no value there",
    "factorial(1.5)": "factorial has no value there",
    "factorial(-1)": "factorial has no value there",
    "round(1.5, 0.5)": "round has no value there",
    "round(5, -10**900)": "round has no value there",
    "round(5, 10**900)": "round has no value there",
    "9**9**9": f"** {BEYOND}",
    "10**10**6": f"** {BEYOND}",
    "9^9^9": f"^ {BEYOND}",
    "2**(2**3000)": f"** {BEYOND}",
    "10**999*10**999": f"* {BEYOND}",
    "10**400*1.5": f"* {BEYOND}",
    "1e400": f"the number {BEYOND}",
    "1e308*10": f"* {BEYOND}",
    "exp(1000)": f"exp {BEYOND}",
    "factorial(10**6)": f"factorial {BEYOND}",
    "factorial(10**900)": f"factorial {BEYOND}",
    "9.9**999": f"** {BEYOND}",
    "(" * DEEPEST + "1" + ")" * DEEPEST: "the expression nests too deep; 50 levels are the most",
    "-" * 900 + "1": "the expression nests too deep; 50 levels are the most",
    "2**" * 300 + "1": "the expression nests too deep; 50 levels are the most",
    "9" * (LONGEST + 1): "the expression has 1001 characters; 1000 are the most",
}


@pytest.mark.parametrize("expression", ERRORS)
def test_an_error_says_what_and_where(expression: str) -> None:
    with pytest.raises(ToolError) as caught:
        evaluate(expression)
    assert str(caught.value).startswith(ERRORS[expression])
    assert "\n" not in str(caught.value)


def test_the_largest_work_is_small() -> None:
    """Counted in digits, not in seconds: no step makes a number of more."""
    assert len(evaluate("*".join(["9" * 90] * 10))) == 900
    assert len(evaluate("*".join(["9" * 99] * 10))) == 990
    assert len(evaluate("factorial(400)")) == 869


def sums(numbers: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.recursive(
        numbers,
        lambda inner: (
            st.builds("{} {} {}".format, inner, st.sampled_from(["+", "-", "*", "/", "//", "%"]), inner)
            | st.builds("({})".format, inner)
            | st.builds("-{}".format, inner)
            | st.builds("({})**{}".format, inner, st.integers(0, 3))
        ),
        max_leaves=8,
    )


@given(sums(st.integers(0, 99).map(str)))
def test_whole_numbers_are_as_python_has_them(expression: str) -> None:
    try:
        expected: Any = eval(expression, {"__builtins__": {}})  # noqa: S307  # numbers and operators of ours
    except (ZeroDivisionError, OverflowError):
        expected = None
    try:
        value = evaluate(expression)
    except ToolError as problem:
        assert expected is None or BEYOND in str(problem) or "no value" in str(problem)  # noqa: PT017
        return
    same = int(value) == expected if isinstance(expected, int) else math.isclose(float(value), expected, rel_tol=1e-14)
    assert same


@given(st.text(st.sampled_from("0123456789.eE+-*/%^(), abcpisqrtmax\ud800é"), max_size=60))
@example("1e5000 ** 1e5000")
@example("min(1, 2) ** max(99, 999, 9999999999)")
def test_any_text_has_a_value_or_a_tool_error(expression: str) -> None:
    try:
        float(evaluate(expression))
    except ToolError as problem:
        assert str(problem)  # noqa: PT017

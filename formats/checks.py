"""Checks of declared fields: the wrong type or range is a FormatError that names field, value and expectation."""

from densimeter.formats.errors import FormatError


def check_integer(name: str, value: object, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise FormatError(f"{name} is {value!r}, expected an integer from {low} to {high}")


def check_flag(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise FormatError(f"{name} is {value!r}, expected true or false")


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise FormatError(f"{name} is {value!r}, expected one of {', '.join(choices)}")


def check_amount(name: str, value: object) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < float("inf"):
        raise FormatError(f"{name} is {value!r}, expected a number that is not negative")

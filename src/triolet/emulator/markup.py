"""Inline keyboards: rows of buttons under a message. Other reply markups are not modelled."""

from __future__ import annotations

from typing import Any

from triolet.emulator.answers import bad_request, objection

MAX_BUTTONS = 100
STYLES = frozenset({"danger", "success", "primary"})


def check_keyboard(value: dict[str, Any] | None) -> dict[str, Any] | None:
    """The keyboard, or ``None`` where there is no button; `Refused` where it is not one."""
    if value is None:
        return None
    rows = value.get("inline_keyboard")
    if not isinstance(rows, list) or len(value) > 1 or not all(isinstance(row, list) for row in rows):
        raise objection("reply_markup is not {'inline_keyboard': [[button, ...], ...]}")
    kept = [[_check_button(button) for button in row] for row in rows if row]
    if sum(map(len, kept)) > MAX_BUTTONS:
        raise bad_request("reply markup is too long")
    return {"inline_keyboard": kept} if kept else None


def _check_button(button: Any) -> dict[str, str]:
    if not isinstance(button, dict) or not all(isinstance(value, str) for value in button.values()):
        raise objection(f"reply_markup: {button!r} is no button with texts only")
    if not button.get("text", "").strip():
        raise objection("reply_markup: a button has no text")
    if button.keys() - {"text", "callback_data", "url", "style"}:
        raise objection(f"reply_markup: a field of the button {button['text']!r} is not modelled")
    if button.get("style", "primary") not in STYLES:
        raise objection(f"reply_markup: {button['style']!r} is no button style")
    if len(button.keys() & {"callback_data", "url"}) != 1:
        raise bad_request("Text buttons are unallowed in the inline keyboard")
    if "callback_data" in button and not 1 <= len(button["callback_data"].encode()) <= 64:
        raise bad_request("BUTTON_DATA_INVALID")
    return dict(button)


def buttons_of(keyboard: dict[str, Any] | None) -> list[list[dict[str, str]]]:
    return keyboard["inline_keyboard"] if keyboard else []

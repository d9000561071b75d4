"""The journal tells what was asked, when, and what became of it."""

from __future__ import annotations

from emulator_scenes import ANN, refusal, reply_to, scene


def test_the_journal_tells_every_call() -> None:
    telegram = scene()
    telegram.answered(reply_to(telegram, "sendMessage", 1.0, chat_id=ANN, text="x"), 1.5)
    refusal(telegram, "sendMessage", 2.0, chat_id=404, text="x")
    assert [entry.to_json() for entry in telegram.journal] == [
        {
            "serial": 0,
            "method": "sendMessage",
            "params": {"chat_id": ANN, "text": "x"},
            "peer": ANN,
            "received": 1.0,
            "answered": 1.5,
            "status": 200,
            "outcome": "delivered",
            "carried_out": True,
            "description": "",
        },
        {
            "serial": 1,
            "method": "sendMessage",
            "params": {"chat_id": 404, "text": "x"},
            "peer": 404,
            "received": 2.0,
            "answered": None,
            "status": 400,
            "outcome": "refused",
            "carried_out": False,
            "description": "Bad Request: chat not found",
        },
    ]
    assert [entry.serial for entry in telegram.calls("sendMessage", ANN)] == [0]
    assert telegram.calls("getMe") == []

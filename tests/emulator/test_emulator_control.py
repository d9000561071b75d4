"""The control routes: a person, the faults and the views, from another process."""

from __future__ import annotations

import json
from typing import Any

import pytest
from emulator_scenes import ANN, BEN, FORUM, GROUP, STOP, TOPIC, ask, refusal, reply_to, scene

from triolet.emulator import EmulatedTelegram, Request
from triolet.emulator.control import ROUTES, control


def send(telegram: EmulatedTelegram, verb: str, route: str, now: float = 0.0, /, **fields: Any) -> tuple[int, Any]:
    body = b"" if verb == "GET" else json.dumps(fields).encode()
    query = tuple((name, str(value)) for name, value in fields.items()) if verb == "GET" else ()
    response = control(telegram, Request(verb, f"/control/{route}", query, (), body), now)
    return response.status, json.loads(response.body)


def result(telegram: EmulatedTelegram, verb: str, route: str, now: float = 0.0, /, **fields: Any) -> Any:
    status, answer = send(telegram, verb, route, now, **fields)
    assert (status, answer["ok"]) == (200, True), answer
    return answer["result"]


def test_a_whole_conversation_by_control() -> None:
    telegram = EmulatedTelegram()
    assert result(telegram, "POST", "chat", user_id=ANN, first_name="Ann", topics={"11": "Recipes"}) is None
    message_id = result(telegram, "POST", "message", 1.0, chat_id=ANN, text="helo")
    result(telegram, "POST", "edit", 2.0, chat_id=ANN, message_id=message_id, text="hello")
    ask(telegram, "sendMessageDraft", 3.0, chat_id=ANN, draft_id=5, text="Hi", can_stop=True)
    assert result(telegram, "GET", "screen", 4.0, chat_id=ANN) == {
        "chat_id": ANN,
        "thread_id": None,
        "messages": [
            {
                "id": 1,
                "from_bot": False,
                "sender": "Ann",
                "text": "hello",
                "entities": [],
                "buttons": [],
                "edited": True,
                "reply_to": None,
                "rang": True,
                "rich": None,
            }
        ],
        "draft": {"id": 5, "text": "Hi", "entities": [], "thinking": False, "stop_button": True, "rich": None},
        "typing": False,
        "rings": [],
    }
    assert result(telegram, "POST", "stop", 5.0, chat_id=ANN) == 5
    ask(telegram, "sendMessage", 6.0, chat_id=ANN, text="Hi", reply_markup=STOP)
    assert result(telegram, "POST", "button", 7.0, chat_id=ANN, message_id=2, data="stop") == "7:1"
    result(telegram, "POST", "delete", 8.0, chat_id=ANN, message_id=1)
    result(telegram, "POST", "block", 9.0, user_id=ANN)
    result(telegram, "POST", "unblock", 10.0, user_id=ANN)
    rows = result(telegram, "GET", "transcript", 11.0, chat_id=ANN)
    assert [row["kind"] for row in rows] == ["message", "edit", "draft", "draft_stopped", "message", "delete"]
    journal = result(telegram, "GET", "journal", method="sendMessage")
    assert [(entry["method"], entry["outcome"]) for entry in journal] == [("sendMessage", "delivered")]
    assert result(telegram, "GET", "health", 12.0) == {"now": 12.0, "revision": 6, "calls": 2, "pending_updates": 6}


def test_a_group_and_its_topics() -> None:
    telegram = EmulatedTelegram()
    members, topics = [ANN, BEN], {"11": "Plans"}
    result(telegram, "POST", "chat", chat_id=FORUM, title="Work", members=members, supergroup=True, topics=topics)
    result(telegram, "POST", "message", chat_id=FORUM, text="hi", user_id=BEN, thread_id=TOPIC)
    assert len(result(telegram, "GET", "screen", chat_id=FORUM, thread_id=TOPIC)["messages"]) == 1
    assert result(telegram, "GET", "screen", chat_id=FORUM)["messages"] == []


def test_a_forum_is_closed_opened_and_lost_by_control() -> None:
    telegram = scene()
    topic = {"chat_id": FORUM, "thread_id": 12}
    result(telegram, "POST", "topic", **topic, name="New")
    result(telegram, "POST", "close", **topic, user_id=ANN)
    said = refusal(telegram, "sendMessage", chat_id=FORUM, text="x", message_thread_id=12)
    assert said == "Bad Request: TOPIC_CLOSED"
    result(telegram, "POST", "reopen", **topic)
    ask(telegram, "sendMessage", 2.0, chat_id=FORUM, text="x", message_thread_id=12)
    result(telegram, "DELETE", "topic", 3.0, **topic)
    assert result(telegram, "GET", "screen", 3.0, **topic)["messages"] == []
    assert result(telegram, "GET", "rings", 3.0, chat_id=FORUM) == [2.0]
    assert send(telegram, "DELETE", "topic", **topic) == (400, {"ok": False, "error": f"chat {FORUM} has no topic 12"})


def test_a_group_loses_the_bot_takes_it_back_and_migrates_by_control() -> None:
    telegram = scene()
    result(telegram, "POST", "remove", chat_id=GROUP, kicked=False)
    assert refusal(telegram, "sendMessage", chat_id=GROUP, text="x").endswith("bot is not a member of the group chat")
    result(telegram, "POST", "add", chat_id=GROUP, user_id=BEN)
    result(telegram, "POST", "migrate", chat_id=GROUP, new_chat_id=-1002, user_id=BEN)
    moved = reply_to(telegram, "sendMessage", chat_id=GROUP, text="x").body
    assert isinstance(moved, dict)
    assert moved["parameters"] == {"migrate_to_chat_id": -1002}


def test_a_rich_message_is_seen_by_control() -> None:
    telegram = scene()
    html = "<h1>Title</h1>"
    ask(telegram, "sendRichMessage", chat_id=ANN, rich_message={"html": html})
    ask(telegram, "sendRichMessageDraft", chat_id=ANN, draft_id=1, rich_message={"html": html})
    screen = result(telegram, "GET", "screen", chat_id=ANN)
    for shown in (screen["messages"][0], screen["draft"]):
        assert (shown["text"], shown["rich"]) == ("Title", html)


def test_faults_come_and_go() -> None:
    telegram = scene()
    action = {"name": "refuse", "code": 400, "description": "Bad Request: chosen"}
    result(telegram, "POST", "fault", action=action, method="sendMessage", times=None)
    assert refusal(telegram, "sendMessage", chat_id=ANN, text="x") == "Bad Request: chosen"
    result(telegram, "DELETE", "fault")
    ask(telegram, "sendMessage", chat_id=ANN, text="x")


@pytest.mark.parametrize(
    ("method", "route", "fields", "status", "error"),
    [
        ("GET", "nonsense", {}, 404, "GET /control/nonsense is no control route"),
        ("GET", "message", {}, 405, "GET /control/message is no control route"),
        ("POST", "message", {"chat_id": ANN}, 400, "'text' is missing"),
        ("POST", "message", {"chat_id": "7", "text": "x"}, 400, "chat_id must be int, not '7'"),
        ("POST", "message", {"chat_id": True, "text": "x"}, 400, "chat_id must be int, not True"),
        ("POST", "message", {"chat_id": ANN, "text": "x", "mood": 1}, 400, "'mood' does not belong here"),
        ("POST", "message", {"chat_id": 404, "text": "x"}, 400, "there is no chat 404"),
        ("POST", "stop", {"chat_id": ANN}, 400, "no Stop button is on screen in (7, None)"),
        ("POST", "chat", {"user_id": ANN}, 400, "7 cannot be the id of a new user's chat"),
        ("POST", "chat", {"user_id": 77, "title": "x"}, 400, "'title' does not belong here"),
        ("POST", "chat", {}, 400, "'chat_id' is missing"),
        ("POST", "chat", {"chat_id": -9, "title": "x", "members": ["y"]}, 400, "members must be user ids"),
        ("POST", "chat", {"user_id": 77, "topics": {"x": "y"}}, 400, "topics must be a whole number, not 'x'"),
        ("POST", "fault", {"action": {"name": "x"}}, 400, None),
        ("GET", "screen", {"chat_id": "seven"}, 400, "chat_id must be a whole number, not 'seven'"),
        ("GET", "screen", {}, 400, "'chat_id' is missing"),
        ("GET", "transcript", {"chat_id": 404}, 400, "there is no chat 404"),
    ],
)
def test_wrong_input_gets_one_clear_line(
    method: str, route: str, fields: dict[str, Any], status: int, error: str | None
) -> None:
    got, answer = send(scene(), method, route, **fields)
    assert (got, answer["ok"], answer["error"]) == (status, False, error or answer["error"])
    assert "\n" not in answer["error"]


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    response = control(scene(), Request("POST", "/control/message", body=body), 0.0)
    assert response.status == 400


def test_the_docstring_names_every_route() -> None:
    documented = " ".join((control.__globals__["__doc__"] or "").split())
    for method, name in ROUTES:
        assert f"{method} /control/{name}" in documented

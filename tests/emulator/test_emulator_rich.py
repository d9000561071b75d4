"""Rich messages on their way: sent, edited into and out of, drafted, seen, counted, and unknown to older servers."""

from __future__ import annotations

from typing import Any

import pytest
from emulator_scenes import ANN, EPOCH, FORUM, GROUP, STOP, TOPIC, ask, refusal, reply_to, scene, staged

from triolet.emulator import EmulatedTelegram, Fault, Flood, Limits
from triolet.emulator.parameters import parse_form

HTML = "<h1>Title</h1><ul><li>one</li><li><b>two</b></li></ul><hr/>"
TEXT = "Title\n• one\n• two"
RICH = {"html": HTML}
NOT_MODIFIED = "Bad Request: message is not modified: "


def draft(telegram: EmulatedTelegram, now: float, draft_id: int = 1, html: str = HTML, **params: Any) -> None:
    given = {"chat_id": ANN, "draft_id": draft_id, "rich_message": {"html": html}, **params}
    assert ask(telegram, "sendRichMessageDraft", now, **given) is True


def rows(telegram: EmulatedTelegram) -> list[tuple[str, str]]:
    return [(row.kind, row.text) for row in telegram.transcript(ANN, 99.0)]


def test_a_rich_message_comes_back_as_blocks_without_a_text() -> None:
    telegram = staged()
    sent = ask(
        telegram,
        "sendRichMessage",
        2.0,
        chat_id=ANN,
        rich_message={**RICH, "is_rtl": True, "skip_entity_detection": True},
        reply_parameters={"message_id": 2},
        reply_markup=STOP,
        disable_notification=True,
        protect_content=True,
    )
    assert sent.pop("reply_to_message")["text"] == "hello"
    assert sent == {
        "message_id": 4,
        "from": {"id": 42, "is_bot": True, "first_name": "Triolet", "username": "triolet_bot"},
        "chat": {"id": ANN, "type": "private", "first_name": "Ann", "username": "ann_s"},
        "date": EPOCH + 2,
        "rich_message": {
            "blocks": [
                {"type": "paragraph", "text": "Title"},
                {"type": "paragraph", "text": "• one\n• two"},
                {"type": "divider"},
            ],
            "is_rtl": True,
        },
        "reply_markup": STOP,
        "has_protected_content": True,
    }
    plain = ask(telegram, "sendRichMessage", chat_id=ANN, rich_message=RICH)
    assert plain["rich_message"].keys() == {"blocks"}


def test_a_person_reads_its_text_and_a_test_its_html() -> None:
    telegram = scene()
    ask(telegram, "sendRichMessage", 1.0, chat_id=ANN, rich_message=RICH)
    ask(telegram, "sendMessage", 2.0, chat_id=ANN, text="plain")
    rich, plain = telegram.screen(ANN, 2.0).messages
    assert (rich.text, rich.rich, rich.entities, rich.from_bot) == (TEXT, HTML, (), True)
    assert (plain.text, plain.rich) == ("plain", None)
    assert telegram.visible(ANN, 2.0) == [TEXT, "plain"]
    assert rows(telegram) == [("message", TEXT), ("message", "plain")]
    assert telegram.rings(ANN) == [1.0, 2.0]
    (entry,) = telegram.calls("sendRichMessage", ANN)
    assert (entry.params["rich_message"], entry.outcome) == (RICH, "delivered")


def test_a_rich_message_may_be_longer_than_a_text() -> None:
    telegram = scene()
    for method, params in (
        ("sendRichMessage", {}),
        ("sendRichMessageDraft", {"draft_id": 1}),
        ("editMessageText", {"message_id": 1}),
    ):
        ask(telegram, method, chat_id=ANN, rich_message={"html": method[0] * 32768}, **params)


def test_text_becomes_rich_and_rich_becomes_text() -> None:
    telegram = scene()
    ask(telegram, "sendMessage", chat_id=ANN, text=TEXT, link_preview_options={"is_disabled": True})
    edit = {"chat_id": ANN, "message_id": 1}
    edited = ask(telegram, "editMessageText", 3.0, **edit, rich_message=RICH, reply_markup=STOP)
    assert (edited["edit_date"], edited["reply_markup"]) == (EPOCH + 3, STOP)
    assert not edited.keys() & {"text", "entities", "link_preview_options"}
    assert telegram.screen(ANN, 3.0).messages[0].rich == HTML
    said = refusal(telegram, "editMessageText", 4.0, **edit, rich_message=RICH, reply_markup=STOP)
    assert said.startswith(NOT_MODIFIED)
    ask(telegram, "editMessageText", 5.0, **edit, rich_message={**RICH, "is_rtl": True}, reply_markup=STOP)
    back = ask(telegram, "editMessageText", 6.0, **edit, text=TEXT)
    assert (back["text"], "rich_message" in back) == (TEXT, False)
    assert telegram.screen(ANN, 6.0).messages[0].rich is None


def test_a_rich_draft_and_a_text_draft_are_the_same_draft() -> None:
    telegram = scene()
    ask(telegram, "sendMessageDraft", 0.0, chat_id=ANN, draft_id=1, text="Tit")
    draft(telegram, 1.0)
    live = telegram.screen(ANN, 1.0).draft
    assert live is not None
    assert (live.id, live.text, live.rich, live.thinking, live.stop_button) == (1, TEXT, HTML, False, False)
    draft(telegram, 2.0)
    assert telegram.visible(ANN, 31.9) == [TEXT]
    ask(telegram, "sendMessageDraft", 31.9, chat_id=ANN, draft_id=1, text="Title")
    assert telegram.visible(ANN, 31.9) == ["Title"]
    ask(telegram, "sendRichMessage", 32.0, chat_id=ANN, rich_message=RICH)
    assert telegram.visible(ANN, 32.0) == [TEXT]
    assert rows(telegram) == [
        ("draft", "Tit"),
        ("draft", TEXT),
        ("draft", "Title"),
        ("draft_cleared", "Title"),
        ("message", TEXT),
    ]


def test_a_stopped_id_is_dead_for_rich_drafts_too() -> None:
    telegram = scene()
    draft(telegram, 0.0, draft_id=5, html="<p>one</p>", can_stop=True, keep_on_stop=True)
    assert telegram.user_presses_stop(ANN, 1.0) == 5
    draft(telegram, 2.0, draft_id=5, html="<p>one two</p>")
    assert telegram.visible(ANN, 2.0) == ["one"]
    draft(telegram, 3.0, draft_id=6, html="<tg-thinking>Reading…</tg-thinking>")
    assert telegram.visible(ANN, 3.0) == ["Reading…"]


@pytest.mark.parametrize(
    ("method", "params", "said"),
    [
        ("sendRichMessage", {"rich_message": RICH}, "chat_id is empty"),
        ("sendRichMessage", {"chat_id": 404, "rich_message": RICH}, "chat not found"),
        ("sendRichMessage", {"chat_id": ANN}, "rich message must be non-empty"),
        ("sendRichMessage", {"chat_id": ANN, "rich_message": {"html": ""}}, "RICH_MESSAGE_HTML_INVALID"),
        ("sendRichMessage", {"chat_id": ANN, "rich_message": {"html": "a@b.cd"}}, "RICH_MESSAGE_EMAIL_INVALID"),
        (
            "sendRichMessage",
            {"chat_id": FORUM, "rich_message": RICH, "message_thread_id": 99},
            "message thread not found",
        ),
        (
            "sendRichMessage",
            {"chat_id": ANN, "rich_message": RICH, "reply_parameters": {"message_id": 99}},
            "message to be replied not found",
        ),
        (
            "sendRichMessage",
            {"chat_id": ANN, "rich_message": RICH, "text": "x"},
            "emulator: sendRichMessage has no parameter 'text'",
        ),
        (
            "sendRichMessage",
            {"chat_id": ANN, "rich_message": RICH, "message_effect_id": "1"},
            "emulator: sendRichMessage: the parameter 'message_effect_id' is not modelled",
        ),
        (
            "sendRichMessage",
            {"chat_id": ANN, "rich_message": RICH, "link_preview_options": {}},
            "emulator: sendRichMessage has no parameter 'link_preview_options'",
        ),
        (
            "sendRichMessage",
            {"chat_id": ANN, "rich_message": "<p>x</p>"},
            'emulator: sendRichMessage: rich_message must be Object, not "<p>x</p>"',
        ),
        (
            "sendRichMessage",
            {"chat_id": ANN, "rich_message": {"html": "<tg-thinking>x</tg-thinking>"}},
            "emulator: rich_message: <tg-thinking> is for drafts",
        ),
        ("sendRichMessageDraft", {"chat_id": ANN, "rich_message": RICH}, "RANDOM_ID_INVALID"),
        ("sendRichMessageDraft", {"chat_id": ANN, "draft_id": 1}, "rich message must be non-empty"),
        ("sendRichMessageDraft", {"chat_id": GROUP, "draft_id": 1, "rich_message": RICH}, "TEXTDRAFT_PEER_INVALID"),
        (
            "sendRichMessageDraft",
            {"chat_id": ANN, "draft_id": 1, "rich_message": {"html": "<hr>"}},
            "RICH_MESSAGE_EMPTY",
        ),
        (
            "sendRichMessageDraft",
            {"chat_id": "@ann_s", "draft_id": 1, "rich_message": RICH},
            'emulator: sendRichMessageDraft: chat_id must be Integer, not "@ann_s"',
        ),
        ("editMessageText", {"chat_id": ANN, "message_id": 99, "rich_message": RICH}, "message to edit not found"),
        ("editMessageText", {"chat_id": ANN, "message_id": 2, "rich_message": RICH}, "message can't be edited"),
        ("editMessageText", {"chat_id": ANN, "message_id": 1, "rich_message": {}}, "rich message must be non-empty"),
        *(
            (
                "editMessageText",
                {"chat_id": ANN, "message_id": 1, "rich_message": RICH, name: value},
                f"emulator: editMessageText: rich_message and {name} are given together",
            )
            for name, value in (("text", "x"), ("entities", []), ("link_preview_options", {}))
        ),
    ],
)
def test_a_rich_call_is_refused_in_these_words_and_changes_nothing(
    method: str, params: dict[str, Any], said: str
) -> None:
    telegram = staged()
    before = telegram.revision
    assert refusal(telegram, method, **params) == f"Bad Request: {said}"
    assert telegram.revision == before


def test_who_is_not_wanted_may_send_nothing_rich_either() -> None:
    telegram = scene()
    telegram.close_topic(FORUM, TOPIC, 0.0)
    params: dict[str, Any] = {"chat_id": FORUM, "rich_message": RICH, "message_thread_id": TOPIC}
    assert refusal(telegram, "sendRichMessage", **params) == "Bad Request: TOPIC_CLOSED"
    telegram.user_blocks_bot(ANN, 0.0)
    for method in ("sendRichMessage", "sendRichMessageDraft"):
        said = refusal(telegram, method, chat_id=ANN, rich_message=RICH, **{"draft_id": 1} if "Draft" in method else {})
        assert said == "Forbidden: bot was blocked by the user"


def test_rich_calls_count_as_their_plain_sisters_do() -> None:
    telegram = scene(Limits())
    for number in range(20):
        method, content = ("sendMessageDraft", {"text": "x"}) if number % 2 else ("sendRichMessageDraft", {})
        given: dict[str, Any] = {"chat_id": ANN, "draft_id": 1, **(content or {"rich_message": RICH})}
        ask(telegram, method, **given)
    for _ in range(3):
        ask(telegram, "sendRichMessage", chat_id=ANN, rich_message=RICH)
    for method, params in (
        ("sendRichMessageDraft", {"draft_id": 1, "rich_message": RICH}),
        ("sendMessageDraft", {"draft_id": 1}),
        ("sendRichMessage", {"rich_message": RICH}),
        ("sendMessage", {"text": "x"}),
    ):
        assert reply_to(telegram, method, chat_id=ANN, **params).status == 429


def test_a_flood_of_rich_messages_is_a_flood_of_messages() -> None:
    telegram = scene()
    telegram.add_fault(Fault(action=Flood(8), method="sendRichMessage"))
    assert refusal(telegram, "sendRichMessage", chat_id=ANN, rich_message=RICH).endswith("retry after 8")
    assert refusal(telegram, "sendMessage", 1.0, chat_id=ANN, text="x").endswith("retry after 8")


def test_an_older_server_knows_nothing_of_rich_messages() -> None:
    telegram = scene(rich=False)
    ask(telegram, "sendMessage", chat_id=ANN, text="x")
    for method in ("sendRichMessage", "sendRichMessageDraft"):
        assert reply_to(telegram, method, chat_id=ANN, rich_message=RICH).status == 404
        assert refusal(telegram, method) == "Not Found: method not found"
    edit: dict[str, Any] = {"chat_id": ANN, "message_id": 1, "rich_message": RICH}
    assert refusal(telegram, "editMessageText", **edit) == "Bad Request: message text is empty"
    assert ask(telegram, "editMessageText", **edit, text="y")["text"] == "y"


def test_a_form_carries_a_rich_message_as_json() -> None:
    params = parse_form("sendRichMessage", [("chat_id", "7"), ("rich_message", '{"html": "x"}')])
    assert ask(scene(), "sendRichMessage", **params)["rich_message"]["blocks"] == [{"type": "paragraph", "text": "x"}]

"""Formats on the screen: entities, rich, plain; what is refused is shown more plainly, and nothing is lost."""

from __future__ import annotations

import re
from typing import Any

import pytest
import trio
from scenes import ADA, CURSOR, GROUP, Scene, open_scene, open_telegram, rest, scene_settings

from triolet.config import StreamingSettings
from triolet.emulator import Fault, Limits, Refuse
from triolet.providers.scripted import Pause, Say, Step

ANSWER = """\
# Sorting

Use **one** of *these*:

- `sorted(x)` gives a new list
- `x.sort()` sorts in place

```python
def first(x: List[T]) -> T:  # <T>
    return sorted(x)[0]
```

| name | cost |
|------|------|
| sort | n log n |
| scan | n |

See [the docs](https://docs.python.org/3/library/functions.html#sorted), or `List<String>` in Java; a<b> is text.
"""

HIDDEN = ("(https://docs.python.org/3/library/functions.html#sorted)", "```python")
"""A link's address and a fence's language, which are shown in other ways."""


def words_of(text: str, *hidden: str) -> list[str]:
    for each in hidden:
        text = text.replace(each, "")
    return re.findall(r"\w+", text)


WORDS = words_of(ANSWER, *HIDDEN)

SCREENS = {"draft": (ADA, "auto"), "edit": (ADA, "edit"), "group": (GROUP, "auto")}
FORMATS = ["entities", "rich", "plain"]


def spoken(text: str, size: int = 7) -> list[Step]:
    return [step for at in range(0, len(text), size) for step in (Say.text(text[at : at + size]), Pause(0.1))]


def look(screen: str, form: Any, **options: Any) -> tuple[int, StreamingSettings]:
    chat_id, transport = SCREENS[screen]
    return chat_id, StreamingSettings(transport=transport, format=form, **options)  # type: ignore[arg-type]  # its own


async def answer_in(scene: Scene, chat_id: int) -> str:
    scene.server.say(chat_id, "@triolet_bot hello", user_id=ADA)
    await scene.server.wait_until(lambda: bool(scene.provider.requests) and scene.provider.open_streams == 0)
    await rest(60)
    [text] = scene.bot_messages(chat_id)
    return text


@pytest.mark.case("M1", "M4")
@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("form", FORMATS)
async def test_formatted_answer_grows_without_a_refusal_and_loses_no_word(
    autojump_clock: object, screen: str, form: str
) -> None:
    chat_id, streaming = look(screen, form)
    async with open_scene(*spoken(ANSWER), settings=scene_settings(streaming=streaming)) as scene:
        text = await answer_in(scene, chat_id)
        assert {call.status for call in scene.calls(chat_id=chat_id)} == {200}
        assert words_of(text, *HIDDEN) == WORDS
        assert all("parse_mode" not in call.params for call in scene.telegram.journal)
        entities = scene.server.screen(chat_id).messages[-1].entities
        kinds = {entity["type"] for entity in entities}
        assert kinds >= ({"bold", "italic", "code", "pre", "text_link"} if form == "entities" else set())
        assert bool(scene.server.screen(chat_id).messages[-1].rich) == (form == "rich")


@pytest.mark.case("M4")
@pytest.mark.parametrize("screen", SCREENS)
async def test_link_previews_are_off_on_every_call_that_could_show_one(autojump_clock: object, screen: str) -> None:
    chat_id, streaming = look(screen, "entities")
    async with open_scene(*spoken(ANSWER), settings=scene_settings(streaming=streaming)) as scene:
        await answer_in(scene, chat_id)
        shown = scene.calls("sendMessage", "editMessageText", chat_id=chat_id)
        assert [call.params["link_preview_options"] for call in shown] == [{"is_disabled": True}] * len(shown)


@pytest.mark.case("M2")
@pytest.mark.parametrize("notify", ["final", "first"])
async def test_final_with_the_text_of_the_last_frame_is_still_formatted(autojump_clock: object, notify: str) -> None:
    chat_id, streaming = look("edit", "entities", cursor="", notify=notify)
    async with open_scene(
        Say.text("This is **bold** text"), Pause(10.0), settings=scene_settings(streaming=streaming)
    ) as scene:
        assert await answer_in(scene, chat_id) == "This is bold text"
        [entity] = scene.server.screen(ADA).messages[-1].entities
        assert (entity["type"], entity["offset"], entity["length"]) == ("bold", 8, 4)


REFUSALS = {
    "entities": Refuse(400, "Bad Request: can't parse entities: whatever"),
    "rich": Refuse(400, "Bad Request: RICH_MESSAGE_HTML_INVALID"),
}


@pytest.mark.case("M3")
@pytest.mark.parametrize("screen", ["draft", "edit", "group"])
@pytest.mark.parametrize("form", REFUSALS)
async def test_refused_final_is_shown_once_and_more_plainly(autojump_clock: object, screen: str, form: str) -> None:
    chat_id, streaming = look(screen, form, enabled=False)
    async with open_scene(*spoken(ANSWER), settings=scene_settings(streaming=streaming)) as scene:
        method = "sendRichMessage" if form == "rich" else "sendMessage"
        scene.telegram.add_fault(Fault(method=method, times=1, action=REFUSALS[form]))
        text = await answer_in(scene, chat_id)
        assert words_of(text) == WORDS
        sends = scene.calls("sendRichMessage", "sendMessage", chat_id=chat_id)
        assert [call.status for call in sends] == [400, 200]
        assert bool(scene.server.screen(chat_id).messages[-1].entities) == (form == "rich")


@pytest.mark.case("M1")
@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("form", REFUSALS)
async def test_refused_frame_goes_on_more_plainly_in_the_same_bubble(
    autojump_clock: object, screen: str, form: str
) -> None:
    chat_id, streaming = look(screen, form, notify="first")
    async with open_scene(*spoken(ANSWER), settings=scene_settings(streaming=streaming)) as scene:
        frames = ("sendRichMessageDraft", "sendMessageDraft") if screen == "draft" else ("editMessageText",)
        scene.telegram.add_fault(
            Fault(method=frames, skip=4 if screen == "draft" else 1, times=1, action=REFUSALS[form])
        )
        text = await answer_in(scene, chat_id)
        assert words_of(text) == WORDS
        calls = scene.calls(*frames, chat_id=chat_id)
        refused = next(number for number, call in enumerate(calls) if call.status == 400)
        assert calls[refused + 1].status == 200
        assert "rich_message" not in calls[refused + 1].params
        assert len(scene.calls("editMessageText", chat_id=chat_id)) > 0 or screen == "draft"


@pytest.mark.parametrize("screen", SCREENS)
async def test_server_without_rich_messages_shows_entities(autojump_clock: object, screen: str) -> None:
    chat_id, streaming = look(screen, "rich")
    telegram = open_telegram(Limits(), rich=False)
    async with open_scene(*spoken(ANSWER), settings=scene_settings(streaming=streaming), telegram=telegram) as scene:
        text = await answer_in(scene, chat_id)
        assert words_of(text) == WORDS
        assert scene.server.screen(chat_id).messages[-1].entities
        assert len([call for call in scene.calls(chat_id=chat_id) if call.status != 200]) <= 3


@pytest.mark.case("M1")
@pytest.mark.parametrize("screen", ["draft", "edit"])
async def test_half_open_markup_is_shown_as_it_will_be(autojump_clock: object, screen: str) -> None:
    """No marker flickers: what is shown before a construct is closed is how it starts when it is."""
    chat_id, streaming = look(screen, "entities", notify="first")
    text = "Some **bold words that go on** and `code here` and a [link text](https://example.org/a) end."
    async with open_scene(*spoken(text, 2), settings=scene_settings(streaming=streaming)) as scene:
        final = await answer_in(scene, chat_id)
        assert final == "Some bold words that go on and code here and a link text end."
        frames = [frame.removesuffix(CURSOR) for frame in scene.texts("sendMessageDraft", "editMessageText")]
        assert len(frames) > 2
        assert all(final.startswith(frame) for frame in frames)
        assert trio.current_time() > 0

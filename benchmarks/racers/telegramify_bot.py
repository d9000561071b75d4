"""A bot with telegramify-markdown's streams, as its README shows them, with its README's settings, on bare httpx calls.

DraftStream shows rich drafts every 0.3 s, and leaves the first 0.5 s to "Thinking…"; EditStream edits every second.

https://github.com/sudoskys/telegramify-markdown#draftstream--editstream--streaming-llm-output-bot-api-93
"""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from given import given
from openai import AsyncOpenAI
from telegramify_markdown.stream import DraftStream, EditStream

TOLD = given()
MODEL = AsyncOpenAI(api_key="none", base_url=f"{TOLD.model}/v1")
CLIENT = httpx.AsyncClient(timeout=60)


async def call(method: str, **params: Any) -> Any:
    response = await CLIENT.post(f"{TOLD.api}/bot{TOLD.token}/{method}", json=params)
    return response.json()["result"]


def open_drafts(chat_id: int) -> DraftStream:
    async def send_draft(payload: Any) -> None:
        rich = payload.rich_message.to_dict()
        await call("sendRichMessageDraft", chat_id=chat_id, draft_id=payload.draft_id, rich_message=rich)

    async def send_final(payload: Any) -> None:
        await call("sendRichMessage", chat_id=chat_id, rich_message=payload.rich_message.to_dict())

    return DraftStream(
        send_draft=send_draft,
        send_final=send_final,
        mode="rich",
        interval=0.3,
        thinking_delay=0.5,
        keepalive_timeout=25.0,
    )


def open_edits(chat_id: int) -> EditStream:
    async def send(payload: Any) -> int:
        sent = await call("sendRichMessage", chat_id=chat_id, rich_message=payload.rich_message.to_dict())
        return int(sent["message_id"])

    async def edit(message_id: int, payload: Any) -> None:
        rich = payload.rich_message.to_dict()
        await call("editMessageText", chat_id=chat_id, message_id=message_id, rich_message=rich)

    return EditStream(send_message=send, edit_message=edit, mode="rich", interval=1.0)


async def answer(chat_id: int, text: str) -> None:
    chunks = await MODEL.chat.completions.create(
        model="canned", messages=[{"role": "user", "content": text}], stream=True
    )
    async with open_edits(chat_id) if TOLD.edits else open_drafts(chat_id) as stream:
        async for chunk in chunks:
            if chunk.choices and chunk.choices[0].delta.content:
                stream.feed(chunk.choices[0].delta.content)


async def main() -> None:
    offset, tasks = 0, set()
    while True:
        for update in await call("getUpdates", offset=offset, timeout=50):
            offset = update["update_id"] + 1
            task = asyncio.create_task(answer(update["message"]["chat"]["id"], update["message"]["text"]))
            tasks.add(task)
            task.add_done_callback(tasks.discard)


if __name__ == "__main__":
    asyncio.run(main())

"""A bot on aiogram, as people write it: the handler of its echo bot, and in it the loop of OpenAI's README.

The same two loops as in `ptb_bot`, for the same reasons.

https://docs.aiogram.dev/en/latest/index.html
https://github.com/openai/openai-python#streaming-responses
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from aiogram import Bot, Dispatcher  # type: ignore[import-not-found]
from aiogram.client.session.aiohttp import AiohttpSession  # type: ignore[import-not-found]
from aiogram.client.telegram import TelegramAPIServer  # type: ignore[import-not-found]
from aiogram.types import Message  # type: ignore[import-not-found]
from given import given
from openai import AsyncOpenAI

TOLD = given()
INTERVAL = 1.0
MODEL = AsyncOpenAI(api_key="none", base_url=f"{TOLD.model}/v1")


async def pieces(text: str) -> Any:
    stream = await MODEL.chat.completions.create(
        model="canned", messages=[{"role": "user", "content": text}], stream=True
    )
    async for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            yield chunk.choices[0].delta.content


async def answer_by_edits(message: Message) -> None:
    answer, shown, sent, sent_at = "", "", None, 0.0
    async for piece in pieces(message.text):
        answer += piece
        if time.monotonic() - sent_at >= INTERVAL:
            sent = await message.answer(answer) if sent is None else await sent.edit_text(answer)
            shown, sent_at = answer, time.monotonic()
    if sent is not None and answer != shown:
        await sent.edit_text(answer)


async def answer_by_drafts(message: Message, bot: Bot) -> None:
    answer = ""
    async for piece in pieces(message.text):
        answer += piece
        await bot.send_message_draft(chat_id=message.chat.id, draft_id=message.message_id, text=answer)
    await message.answer(answer)


async def main() -> None:
    dispatcher = Dispatcher()
    dispatcher.message.register(answer_by_edits if TOLD.edits else answer_by_drafts)
    bot = Bot(TOLD.token, session=AiohttpSession(api=TelegramAPIServer.from_base(TOLD.api)))
    await dispatcher.start_polling(bot)


if __name__ == "__main__":
    asyncio.run(main())

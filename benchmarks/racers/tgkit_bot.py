"""A bot with tgkit's Turn, as its README shows it, in the handler of aiogram's echo bot.

A Turn shows rich drafts every 1.5 s; its first one, ahead of the model, asks whether there are drafts.

https://pypi.org/project/tgkit/
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiogram import Bot, Dispatcher  # type: ignore[import-not-found]
from aiogram.client.session.aiohttp import AiohttpSession  # type: ignore[import-not-found]
from aiogram.client.telegram import TelegramAPIServer  # type: ignore[import-not-found]
from aiogram.types import Message  # type: ignore[import-not-found]
from given import given
from openai import AsyncOpenAI
from tgkit import Turn  # type: ignore[import-not-found]

TOLD = given()
MODEL = AsyncOpenAI(api_key="none", base_url=f"{TOLD.model}/v1")


def classify(event: Any, activity_limit: int) -> tuple[str, object]:
    if event.choices and event.choices[0].delta.content:
        return "text", event.choices[0].delta.content
    return "ignored", None


async def answer(message: Message, bot: Bot) -> None:
    turn = await Turn.create(bot, message.chat.id, classify_event=classify)
    stream = await MODEL.chat.completions.create(
        model="canned", messages=[{"role": "user", "content": message.text}], stream=True
    )
    async for chunk in stream:
        await turn.notify(chunk)
    await turn.persist()


async def main() -> None:
    dispatcher = Dispatcher()
    dispatcher.message.register(answer)
    bot = Bot(TOLD.token, session=AiohttpSession(api=TelegramAPIServer.from_base(TOLD.api)))
    await dispatcher.start_polling(bot)


if __name__ == "__main__":
    asyncio.run(main())

"""A bot on python-telegram-bot, as people write it: the handler of its echo bot, and in it the loop of OpenAI's README.

Its documentation has no recipe for a streamed answer. With edits this is the loop that most bots have, at its best: the
first piece is a message at once, with no "…" before it, and an edit follows when a second has passed. With drafts each
piece is one, and the whole answer is a message.

https://docs.python-telegram-bot.org/en/stable/examples.echobot.html
https://github.com/openai/openai-python#streaming-responses
"""

from __future__ import annotations

import time
from typing import Any

from given import given
from openai import AsyncOpenAI
from telegram.ext import ApplicationBuilder, MessageHandler, filters  # type: ignore[import-not-found]

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


async def answer_by_edits(update: Any, context: Any) -> None:
    answer, shown, sent, sent_at = "", "", None, 0.0
    async for piece in pieces(update.message.text):
        answer += piece
        if time.monotonic() - sent_at >= INTERVAL:
            if sent is None:
                sent = await update.message.reply_text(answer)
            else:
                await sent.edit_text(answer)
            shown, sent_at = answer, time.monotonic()
    if sent is not None and answer != shown:
        await sent.edit_text(answer)


async def answer_by_drafts(update: Any, context: Any) -> None:
    answer, chat_id = "", update.message.chat_id
    async for piece in pieces(update.message.text):
        answer += piece
        await context.bot.send_message_draft(chat_id=chat_id, draft_id=update.update_id, text=answer)
    await update.message.reply_text(answer)


def main() -> None:
    answer = answer_by_edits if TOLD.edits else answer_by_drafts
    application = ApplicationBuilder().token(TOLD.token).base_url(f"{TOLD.api}/bot").build()
    application.add_handler(MessageHandler(filters.TEXT & ~filters.COMMAND, answer))
    application.run_polling()


if __name__ == "__main__":
    main()

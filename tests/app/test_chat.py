"""`triolet chat` and Ctrl-C: what it does is what the person sees at that moment."""

from __future__ import annotations

import io
import os
import signal

import trio

from triolet.app.chat import run_chat
from triolet.config import ModelSettings, Secret, Settings, TelegramSettings
from triolet.providers import open_provider
from triolet.providers.scripted import GREETING
from triolet.store import run_inline
from triolet.transports.console import PROMPT
from triolet.transports.terminal import Terminal


class ImpatientReader(io.StringIO):
    """Presses Ctrl-C in the instant in which a prompt follows an answer."""

    def write(self, text: str) -> int:
        written = super().write(text)
        if text.endswith(PROMPT) and GREETING.splitlines()[-1] in self.getvalue():
            os.kill(os.getpid(), signal.SIGINT)
        return written


async def test_ctrl_c_leaves_as_soon_as_the_prompt_is_there(autojump_clock: object) -> None:
    settings = Settings(telegram=TelegramSettings(token=Secret("0:none")), model=ModelSettings(provider="scripted"))
    source, person = os.pipe()
    os.write(person, b"Hello\n")
    output = ImpatientReader()
    try:
        with trio.fail_after(3600):
            async with open_provider(settings.model, executor=run_inline) as provider:
                await run_chat(settings, [provider], Terminal(source, output))
    finally:
        os.close(source)
        os.close(person)
    assert output.getvalue().endswith(PROMPT + "\n")
    assert "nothing to stop" not in output.getvalue()

"""What the bot says of itself."""

from __future__ import annotations

HELP = """\
Send me a message and I answer while I think: you see the text grow.

/stop  stop the answer, and drop what waits
/new   forget this conversation and begin another
/stream auto, draft, edit or off: how answers grow in this chat
/reasoning on or off: whether you see what the model thinks
/busy queue, interrupt or steer: what you send while I answer waits, ends that answer, or goes into it
/status  what I am doing, and how this chat is set
/usage  what the answers here took, in tokens and money
/help  this text"""

START = "Hello! " + HELP

COMMANDS = {
    "stop": "Stop the answer, and drop what waits",
    "new": "Forget this conversation and begin another",
    "stream": "How answers grow here: auto, draft, edit or off",
    "reasoning": "Whether you see what the model thinks: on or off",
    "busy": "What a message does while I answer: queue, interrupt or steer",
    "status": "What I am doing, and how this chat is set",
    "usage": "What the answers here took, in tokens and money",
    "help": "What I can do",
}

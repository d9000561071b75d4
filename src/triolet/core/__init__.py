"""THE WORKSHOP: pure machines and values, and the ports that rooms meet at.

Nothing here awaits, reads a clock, opens a socket or logs: time comes in as ``now`` (seconds on a monotonic
clock), absolute deadlines go out. The benches, from what comes in to what goes out::

    conversation  events  ports    the values that all rooms share, and the Protocols they meet at
    dialects/                      a model's API: bytes to events, and messages to a request
    history                        what of a conversation fits into a request
    breaker  seam  rounds          a model that fails, what is left of its answer, and what it said
    updates  commands  buttons     what people do: messages, commands, presses
    mailbox  status                what they wait for

    coalescer  hidden  ending      an answer's text: what of it may be seen, and how it ends
    transcript  usage              what a turn leaves behind: its messages, and what they took
    sights  sentences              what those see who look on
    text  content                  what a message shows, and how Telegram counts it
    markup/                        Markdown as messages: sealed parts, and a live one

    pace                           when the next frame is due
    budget  calls  delivery  lane  what Telegram takes, what its answers tell, and in which order
"""

"""A model's API on the wire: bytes to stream events, and a request to a body; one module for each dialect.

::

    sse                                     server-sent events
    wire                                    what the dialects have in common
    openai_chat                             Chat Completions
    openai_responses  openai_items          Responses
    anthropic_messages  anthropic_request   Messages
"""

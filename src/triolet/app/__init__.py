"""THE LIVING ROOM: supervisor -> conversation -> turn {provider | coalescer | transport}.

Start reading at `turn`: it is the picture. A `conversation` runs one turn after the other; the `supervisor` gives
every update to its conversation; `bot` puts the house together; `chat` and `demo` are two other doors to it.
"""

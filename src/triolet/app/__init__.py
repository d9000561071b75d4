"""THE LIVING ROOM: supervisor -> conversation -> turn {provider | coalescer | transport}.

Start reading at `turn`: it is the picture. A `conversation` runs one turn after the other; the `supervisor` gives
every update to its conversation; `bot` puts the house together; `chat` and `demo` are two other doors to it.

What a turn asks is an `agent`, round after round: a `model`, behind which there may be several, and the tools on its
`bench`, some of which ask a person first (`approvals`).
"""

"""THE WORKSHOP: pure machines and values, and the ports that rooms meet at.

Nothing here awaits, reads a clock, opens a socket or logs: time comes in as ``now`` (seconds on a monotonic
clock), absolute deadlines go out.
"""

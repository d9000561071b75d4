"""THE BENCH: what the model may call.

A tool is any `core.ports.Tool`: a Python function (`tool`), one that comes with the house (`open_builtin`), or one of
a server's. Whatever it is, it runs in one place, `run_calls`, which knows the limits, asks the person, and turns
every failure into something that the model can read.
"""

from triolet.tools.builtin import open_builtin
from triolet.tools.functions import FunctionTool, tool
from triolet.tools.runner import ToolLimits, run_calls

__all__ = ["FunctionTool", "ToolLimits", "open_builtin", "run_calls", "tool"]

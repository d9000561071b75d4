"""THE WINDOW SILL: who looks on without touching: onlookers at turns (`turns`), and the log (`log`)."""

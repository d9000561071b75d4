"""THE WINDOW SILL: who looks on without touching: logging today, observers and metrics later."""

"""THE BENCH: what the model may call."""

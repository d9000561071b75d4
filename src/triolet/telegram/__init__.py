"""THE POST OFFICE: the Bot API. One typed client, the poller of updates, and the outbox that keeps the budget."""

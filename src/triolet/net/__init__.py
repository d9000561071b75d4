"""THE DRAINS: connections that a cancel leaves whole, the HTTP seam, and the redaction of secrets."""

"""The durable store: one file of SQLite, one writer at a time, any number of readers."""

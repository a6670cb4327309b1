"""What a build proves: which fields are where, what functions read, and where each parameter gets its value."""

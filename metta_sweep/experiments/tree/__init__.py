"""Experiments inside experiments: who runs inside whom, under which address, with whose slots, and until when."""

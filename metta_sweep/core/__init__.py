"""The nouns: what is searched, tried, measured, spent and decided. Frozen; no I/O, no clock, no async.

Import from the modules: ``metta_sweep.core.trial``, ``.distributions``, ``.search_space``, ``.goal``, ``.budget``, ``.events``, ...
"""

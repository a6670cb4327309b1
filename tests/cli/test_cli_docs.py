"""What the documents say of commands, options and log levels is so."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from cli_kit import Cli

from metta_sweep.core.events import EVENT_TYPES
from metta_sweep.experiments.event_log import LEVELS

DOCS = Path(__file__).parents[2] / "docs"


def test_the_levels_of_events_are_documented() -> None:
    """Every kind of event is in the table, with the level that it has."""
    table = re.findall(r"^\| `([a-z.]+)`: .* \| ([A-Z]+) \|$", (DOCS / "logging.md").read_text(), flags=re.MULTILINE)
    assert dict(table) == {kind: logging.getLevelName(LEVELS.get(event, logging.DEBUG)) for kind, event in EVENT_TYPES.items()}
    assert len(table) == len(EVENT_TYPES)


def test_commands_and_options_are_documented(cli: Cli) -> None:
    """Each of them is named in the document, and none besides."""
    text = (DOCS / "command-line.md").read_text()
    commands = set(re.findall(r"^│ (\w+) ", cli("--help").out, flags=re.MULTILINE))
    assert commands == {"run", "resume", "list", "tree", "show", "trace", "doctor"}
    assert commands == set(re.findall(r"^\| `(\w+)[ `]", text, flags=re.MULTILINE))
    options = {option for command in commands for option in re.findall(r"--[a-z]+", cli(command, "--help").out)}
    assert set(re.findall(r"--[a-z]+", text)) == options - {"--help", "--version"}


def test_nothing_below_a_warning_is_told_without_set_up() -> None:
    """The package adds no handler to its logger, and sets no level: Python's own default holds."""
    logger = logging.getLogger("metta_sweep")
    assert logger.level == logging.NOTSET
    assert not logger.handlers
    assert logging.lastResort is not None
    assert logging.lastResort.level == logging.WARNING

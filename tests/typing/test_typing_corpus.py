"""Type checkers find what is marked as wrong, and nothing in what is right; the documentation says so truly."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typing_corpus import (
    CHECKERS,
    DOCUMENT,
    DOCUMENTED,
    RIGHT,
    WRONG,
    Mistake,
    Places,
    documented_code,
    load,
    marked,
    mistakes,
    reported,
    table,
)

from metta_sweep.errors import MettaSweepError
from metta_sweep.pipeline import Pipeline

MISTAKES = list(mistakes())
ANSWERS = re.compile(r"^\| mistake \|.*?(?=\n\n)", flags=re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Places]:
    """What both checkers report, asked once."""
    return reported(tmp_path_factory.mktemp("typing"))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("checker", CHECKERS)
def test_checkers_pass_what_is_right(checker: str, found: dict[str, Places]) -> None:
    """No line of the right files is reported, nor of the code of docs/typing.md."""
    names = {DOCUMENTED, *(path.name for path in RIGHT)}
    assert sorted(place for place in found[checker] if place[0] in names) == []


@pytest.mark.timeout(300)
@pytest.mark.parametrize("checker", CHECKERS)
def test_checkers_report_every_marked_line_and_no_other(checker: str, found: dict[str, Places]) -> None:
    """In the wrong files exactly the marked lines are reported."""
    names = {path.name for path in WRONG}
    assert sorted(place for place in found[checker] if place[0] in names) == sorted(marked(checker))


def test_every_mark_belongs_to_a_mistake() -> None:
    """Marks and wrong pipelines are the same in number and place, and there are many of each kind."""
    for checker in CHECKERS:
        here = {(mistake.file, mistake.line) for mistake in MISTAKES if checker in mistake.found_by}
        assert here == marked(checker)
        assert len(here) >= 15
    assert len(RIGHT) >= 12
    assert len({mistake.title for mistake in MISTAKES}) == len(MISTAKES)


@pytest.mark.parametrize("path", RIGHT, ids=lambda path: path.stem)
def test_what_is_right_builds(path: Path) -> None:
    """The pipelines that checkers pass are right for ``build()`` as well."""
    pipelines: list[Pipeline] = load(path).PIPELINES
    assert pipelines
    for pipeline in pipelines:
        pipeline.build()


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.make.__name__)
def test_build_finds_what_it_is_said_to_find(mistake: Mistake) -> None:
    """What is marked so is refused before anything runs, the rest is not."""

    def build() -> None:
        mistake.make().build()

    if "build" in mistake.found_by:
        with pytest.raises((MettaSweepError, TypeError)):
            build()
    else:
        build()


def test_the_table_of_the_documentation_is_true() -> None:
    """docs/typing.md lists every mistake with those who find it."""
    match = ANSWERS.search(DOCUMENT.read_text(encoding="utf-8"))
    assert match is not None
    assert match[0] == table()


def test_the_code_of_the_documentation_builds() -> None:
    """The blocks of docs/typing.md run, and their pipelines build."""
    names: dict[str, object] = {"__name__": "documented"}
    exec(compile(documented_code(), DOCUMENTED, "exec", dont_inherit=True), names)
    pipelines = [value for value in names.values() if isinstance(value, Pipeline)]
    assert len(pipelines) == 4
    for pipeline in pipelines:
        pipeline.build()

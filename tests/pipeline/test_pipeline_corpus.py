"""Every wrong pipeline of the corpus is reported by its build; every right one builds, and runs to its result."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from corpus import Right, Wrong, right_cases, unseen_cases, wrong_cases
from corpus.cases import judge_right, judge_wrong

ROOT = Path(__file__).parents[2]


def _id(case: Wrong | Right) -> str:
    return f"{case.topic}.{case.name}"


@pytest.mark.parametrize("case", wrong_cases(), ids=_id)
def test_the_build_reports_a_wrong_pipeline(case: Wrong) -> None:
    """The one mistake is reported before anything runs, by stage and field, and nothing else is."""
    assert judge_wrong(case) == []


@pytest.mark.parametrize("case", unseen_cases(), ids=_id)
def test_what_the_build_does_not_report_is_known(case: Wrong) -> None:
    """The list of what is missed holds nothing that is reported by now: that belongs among the wrong ones."""
    assert judge_wrong(case) != []


@pytest.mark.parametrize("case", right_cases(), ids=_id)
async def test_a_right_pipeline_builds_and_runs(case: Right) -> None:
    """No false alarm, nothing unchecked that is annotated, and the result is the stated one."""
    assert await judge_right(case) == []


def test_the_corpora_are_large() -> None:
    """Names are unique in a topic, and there are enough cases for the counts to mean something."""
    wrong, right = [_id(case) for case in wrong_cases()], [_id(case) for case in right_cases()]
    assert len(set(wrong)) == len(wrong) >= 300
    assert len(set(right)) == len(right) >= 180


def test_the_corpora_print_their_counts() -> None:
    """``python -m tests.corpus`` says how many of each there are, and ends with 0 when none is missed."""
    ended = subprocess.run([sys.executable, "-m", "tests.corpus"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    lines = [" ".join(line.split()) for line in ended.stdout.splitlines()]
    wrong, right = len(wrong_cases()), len(right_cases())
    assert f"all {wrong} of {wrong} reported" in lines
    assert f"all {right} of {right} built and ran" in lines

"""Judges both corpora, and some drawn pipelines: a line per topic, what is missed, and the counts. Exits with 1 for any miss.

``--messages`` prints every message of the builds as well, to be read.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Final

from . import right_cases, unseen_cases, wrong_cases
from .cases import Right, Wrong, judge_right, judge_wrong, messages
from .drawn import disagreement

DRAWN: Final = 200


async def _all_right(cases: Sequence[Right]) -> list[list[str]]:
    return [await judge_right(case) for case in cases]


async def _drawn(count: int) -> list[str]:
    return [said for seed in range(count) if (said := await disagreement(seed))]


def _report(title: str, good: str, cases: Sequence[Wrong | Right], verdicts: Sequence[list[str]]) -> bool:
    totals = Counter(case.topic for case in cases)
    passed = Counter(case.topic for case, said in zip(cases, verdicts, strict=True) if not said)
    sys.stdout.write(f"{title}\n")
    for topic, total in sorted(totals.items()):
        sys.stdout.write(f"  {topic:<14} {passed[topic]:>4} of {total:>3} {good}\n")
    for case, said in zip(cases, verdicts, strict=True):
        for line in said:
            sys.stdout.write(f"  ! {case.topic}.{case.name}: {line}\n")
    sys.stdout.write(f"  {'all':<14} {passed.total():>4} of {totals.total():>3} {good}\n")
    return passed.total() == totals.total()


def main() -> int:
    """Print the tables; 0 when every wrong pipeline was reported, every right one built and ran, and no drawn one was misjudged."""
    os.environ["METTA_SWEEP_STORE"] = "memory"  # sweeps in stages leave no file behind
    logging.getLogger("metta_sweep").setLevel(logging.ERROR)  # retries are announced
    wrong, right = wrong_cases(), right_cases()
    if "--messages" in sys.argv[1:]:
        for case in wrong:
            sys.stdout.write(f"{case.topic}.{case.name}\n")
            for message in messages(case):
                sys.stdout.write(f"    {message}\n")
    reported = _report("wrong pipelines", "reported", wrong, [judge_wrong(case) for case in wrong])
    for case in unseen_cases():
        sys.stdout.write(f"  known not to be reported: {case.topic}.{case.name}\n")
    built = _report("right pipelines", "built and ran", right, asyncio.run(_all_right(right)))
    drawn = asyncio.run(_drawn(DRAWN))
    sys.stdout.write("".join(f"  ! {line}\n" for line in drawn))
    sys.stdout.write(f"drawn pipelines\n  {'all':<14} {DRAWN - len(drawn):>4} of {DRAWN:>3} judged as by following every path\n")
    return 0 if reported and built and not drawn else 1


if __name__ == "__main__":
    sys.exit(main())

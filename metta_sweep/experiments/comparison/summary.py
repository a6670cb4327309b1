"""A comparison for people: the answer in words, and the numbers behind it."""

from __future__ import annotations

import math
from io import StringIO
from typing import TYPE_CHECKING

from metta_sweep.core.paired import EXACT_UP_TO, LEVEL, RESAMPLES, pairs_needed
from metta_sweep.experiments.comparison.pairs import ALPHA

if TYPE_CHECKING:
    from metta_sweep.experiments.comparison.pairs import Pair
    from metta_sweep.experiments.comparison.result import Comparison

__all__ = ["summary_of"]

WIDTH = 110


def summary_of(comparison: Comparison) -> str:
    """The summary as text, at most ``WIDTH`` columns wide where names are short."""
    lines = [_head(comparison), "", *_table(comparison), ""]
    for pair in comparison.pairs:
        lines += _answer(comparison, pair)
    lines += ["", *_notes(comparison)]
    return "\n".join(line.rstrip() for line in lines)


def _head(comparison: Comparison) -> str:
    problems = len(comparison.problems)
    on = "" if problems == 1 else f" on {problems} problems"
    spend = comparison.spend
    return (
        f"{comparison.name or comparison.run_id}: {_listed(comparison.sides)}, {_counted(comparison.repeats, 'repeat')}{on}, "
        f"{_counted(spend.trials, 'run')} in {spend.seconds:.1f} s"
    )


def _table(comparison: Comparison) -> list[str]:
    from rich.box import Box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    under_header = Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
    table = Table("side", box=under_header, show_edge=False, pad_edge=False)
    for title in ("runs", f"median {_spelled(comparison.score)}", "quartiles", "mean", "trials", "seconds"):
        table.add_column(title, justify="right")
    for one in comparison.scores.values():
        quartiles = f"{_number(one.lower_quartile)} to {_number(one.upper_quartile)}"
        mean = _number(math.nan if one.mean is None else one.mean)
        spent = f"{one.trials:.4g}", f"{one.seconds:.3g}" if one.seconds < 1000 else f"{one.seconds:.0f}"
        table.add_row(Text(one.name), str(one.runs), _number(one.median), quartiles, mean, *spent)
    out = StringIO()
    Console(file=out, width=WIDTH, no_color=True, highlight=False, force_terminal=False).print(table)
    return out.getvalue().splitlines()


def _answer(comparison: Comparison, pair: Pair) -> list[str]:
    """What is known of two sides, in one sentence, and for each problem in one more."""
    if pair.better == pair.second:
        pair = pair.turned()
    if not pair.pairs:
        return [f"{pair.first} and {pair.second} have not been run in a pair."]
    score = _spelled(comparison.score)
    first, second = comparison.scores[pair.first].median, comparison.scores[pair.second].median
    verdict = f"{pair.first} is better than {pair.second}" if pair.better else _undecided(comparison, pair)
    lines = [
        f"{verdict}: median {score} {_number(first)} against {_number(second)},",
        f"  {_difference(pair)},",
        f"  better in {pair.wins} of {_counted(pair.pairs, 'pair')}{_tied(pair)}, p = {_p(pair.p_value)}.",
    ]
    if len(comparison.problems) > 1:
        lines += [f"    {problem}: {_alone(one)}" for problem, one in pair.by_problem.items() if one.pairs]
    return lines


def _undecided(comparison: Comparison, pair: Pair) -> str:
    needed = pairs_needed(ALPHA, len(comparison.pairs))
    if pair.pairs < needed:
        return f"{_counted(pair.pairs, 'pair')} cannot tell {pair.first} from {pair.second}, {needed} at least are needed"
    return f"no difference was found between {pair.first} and {pair.second}"


def _difference(pair: Pair) -> str:
    low, high = pair.interval
    # a run without a score is infinitely worse: to which side matters here
    return f"median difference {pair.difference:.4g} [{low:.4g}, {high:.4g}]"


def _alone(pair: Pair) -> str:
    return f"{_difference(pair)}, better in {pair.wins} of {pair.pairs}{_tied(pair)}"


def _tied(pair: Pair) -> str:
    return f", the same in {pair.ties}" if pair.ties else ""


def _notes(comparison: Comparison) -> list[str]:
    many = any(pair.pairs > EXACT_UP_TO for pair in comparison.pairs)
    by = "repeat" if len(comparison.problems) == 1 else "problem and repeat"
    several = f", p-values corrected for {len(comparison.pairs)} comparisons (Holm)" if len(comparison.pairs) > 1 else ""
    lines = [
        f"test       paired by {by}: Wilcoxon's signed-rank test, two-sided{'' if many else ', exact'}{several}",
        f"intervals  {LEVEL:.0%}, of the median difference (positive: better), from {RESAMPLES:,} bootstrap resamples",
    ]
    lines += [f"failed     {line}" for line in _failures(comparison)]
    lines += [f"note       {line}" for line in _doubts(comparison)]
    asked = comparison.repeats * len(comparison.problems) * len(comparison.sides)
    if len(comparison.runs) < asked:
        ended = f"{len(comparison.runs)} of {asked} runs came to their end"
        lines.append(f"stop       {ended}; {comparison.stop_reason}: {comparison.stop_detail}")
    return lines


def _failures(comparison: Comparison) -> list[str]:
    lines: list[str] = []
    for side, one in comparison.scores.items():
        if one.failed:
            last = [run.error for run in comparison.runs if run.side == side and run.score is None][-1]
            which = f"{one.failed} of {one.runs} runs of {side} have no score, and count as worse than any"
            lines.append(f"{which}; the last: {(last or 'unknown').splitlines()[0]}")
    return lines


def _doubts(comparison: Comparison) -> list[str]:
    """What speaks against taking the numbers at their word."""
    lines: list[str] = []
    for side in comparison.sides:
        for problem in comparison.problems:
            scores = [run.score for run in comparison.runs if run.side == side and run.problem == problem]
            if len(scores) > 1 and None not in scores and len(set(scores)) == 1:
                on = "" if len(comparison.problems) == 1 else f" on {problem}"
                lines.append(f"all runs of {side}{on} have the same score: nothing in them is random")
    spent = {side: one.trials for side, one in comparison.scores.items() if one.runs}
    if spent and max(spent.values()) > 1.05 * min(spent.values()):
        lines.append(f"they did not take the same number of trials: {', '.join(f'{side} {n:.4g}' for side, n in spent.items())}")
    return lines


def _spelled(score: str) -> str:
    return score.replace("_", " ") if score.isidentifier() else score


def _listed(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"


def _number(value: float) -> str:
    if math.isnan(value):
        return "-"
    return "none" if math.isinf(value) else f"{value:.4g}"


def _p(value: float) -> str:
    return f"{value:.2g}" if value < 0.1 else f"{value:.2f}"

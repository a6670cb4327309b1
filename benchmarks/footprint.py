"""What having the package costs: the time to import it, and the size of what it installs. Beside Optuna, by the same method.

Takes about a minute. Each package is installed, with bytecode, into a temporary environment of its own, and is measured there.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import venv
from functools import partial
from pathlib import Path

from tables import interleaved, machine, print_table, verdict

ROOT = Path(__file__).resolve().parents[1]
IMPORT_RATIO = 0.75
INSTALL_MEGABYTES = 65

OURS = """
from metta_sweep import Budget, Choice, Integer, LogUniform, SweepExperiment, TrialContext
from metta_sweep.optimizers import RandomOptimizer
from metta_sweep.schedulers import IterationScheduler
"""
OPTUNA = "import optuna"
OURS_RUN = f"""{OURS}
async def objective(C: float) -> float:
    return C
SweepExperiment(objective=objective, search_space={{"C": LogUniform(1e-4, 1.0)}}, store="memory").run(budget=1)
"""
OPTUNA_RUN = """
import optuna
optuna.logging.set_verbosity(optuna.logging.WARNING)
optuna.create_study().optimize(lambda trial: trial.suggest_float("C", 1e-4, 1.0, log=True), n_trials=1)
"""


def install(requirement: str, folder: Path) -> float:
    """Install a requirement, with bytecode, into a new environment. Returns the megabytes that it adds."""
    venv.create(folder)
    before = _size(folder)
    options = ["--quiet", "--quiet", "--compile", "--no-input", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "--python", str(_python(folder)), "install", *options, requirement]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit("the installation into a temporary environment failed; is the package index in reach?")
    return _size(folder) - before


def _python(folder: Path) -> Path:
    return folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"


def _size(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()) / 1e6


def seconds_of(folder: Path, code: str) -> float:
    """Seconds that the code takes in a fresh interpreter, by its own clock: starting the interpreter does not count.

    The interpreter is isolated, so that variables of the environment and the working directory change nothing.
    """
    timed = f"import time; started = time.perf_counter()\n{code}\nprint(time.perf_counter() - started)"
    command = [str(_python(folder)), "-I", "-c", timed]
    return float(subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder).stdout)


def imports(mine: Path, theirs: Path, repeats: int) -> None:
    """Import times in fresh interpreters that take turns."""
    rows = []
    for label, our_code, their_code in (("import", OURS, OPTUNA), ("import and run one trial", OURS_RUN, OPTUNA_RUN)):
        contenders = {"ours": partial(seconds_of, mine, our_code), "optuna": partial(seconds_of, theirs, their_code)}
        for first in contenders.values():
            first()  # fills the file cache
        figures = interleaved(contenders, repeats)
        ratio = figures["ours"] / figures["optuna"]
        rows.append([label, figures["ours"], figures["optuna"], ratio, verdict(ratio, IMPORT_RATIO) if label == "import" else ""])
    print_table(
        f"Seconds in a fresh interpreter (medians of {repeats})",
        ["", "metta_sweep", "Optuna", "ours / Optuna", "target, ratio"],
        rows,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("--repeats", type=int, default=15, help="fresh interpreters for each figure (default: 15)")
    repeats = parser.parse_args().repeats
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        mine, theirs = Path(folder) / "ours", Path(folder) / "optuna"
        ours, optuna = install(str(ROOT), mine), install("optuna", theirs)
        print_table(
            "Base install with its dependencies and bytecode, MB",
            ["metta_sweep", "Optuna", "ours / Optuna", "target, MB"],
            [[ours, optuna, ours / optuna, verdict(ours, INSTALL_MEGABYTES)]],
        )
        imports(mine, theirs, repeats)


if __name__ == "__main__":
    main()

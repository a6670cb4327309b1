"""What having the package costs: the time to import it, and the size of what it installs. Beside Optuna, by the same method.

Takes about two minutes and installs into temporary environments; ``--no-install`` measures imports only.
"""

from __future__ import annotations

import argparse
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


def seconds_of(code: str) -> float:
    """Seconds that the code takes in a fresh interpreter, by its own clock: starting the interpreter does not count."""
    timed = f"import time; started = time.perf_counter()\n{code}\nprint(time.perf_counter() - started)"
    return float(subprocess.run([sys.executable, "-c", timed], check=True, capture_output=True, text=True).stdout)


def imports(repeats: int) -> None:
    """Import times in fresh interpreters that take turns."""
    rows = []
    for label, mine, theirs in (("import", OURS, OPTUNA), ("import and run one trial", OURS_RUN, OPTUNA_RUN)):
        contenders = {"ours": partial(seconds_of, mine), "optuna": partial(seconds_of, theirs)}
        for first in contenders.values():
            first()  # fills the file cache, and writes bytecode
        figures = interleaved(contenders, repeats)
        ratio = figures["ours"] / figures["optuna"]
        rows.append([label, figures["ours"], figures["optuna"], ratio, verdict(ratio, IMPORT_RATIO) if label == "import" else ""])
    print_table(
        f"Seconds in a fresh interpreter (medians of {repeats})",
        ["", "metta_sweep", "Optuna", "ours / Optuna", "target"],
        rows,
    )


def installed_megabytes(requirement: str) -> float:
    """What installing a requirement adds to an empty environment, bytecode included."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        before = _size(Path(folder))
        python = Path(folder) / ("Scripts" if sys.platform == "win32" else "bin") / "python"
        options = ["--quiet", "--compile", "--no-input", "--disable-pip-version-check"]
        command = [str(python), "-m", "pip", "install", *options, requirement]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit("the installation failed; is the package index in reach? Leave this part out with --no-install")
        return _size(Path(folder)) - before


def _size(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()) / 1e6


def installs() -> None:
    """Base installs into fresh environments."""
    mine, theirs = installed_megabytes(str(ROOT)), installed_megabytes("optuna")
    print_table(
        "Base install with its dependencies and bytecode, MB",
        ["metta_sweep", "Optuna", "ours / Optuna", "target"],
        [[mine, theirs, mine / theirs, verdict(mine, INSTALL_MEGABYTES)]],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("--no-install", action="store_true", help="measure imports only")
    parser.add_argument("--repeats", type=int, default=15, help="fresh interpreters for each figure (default: 15)")
    arguments = parser.parse_args()
    print(machine())
    imports(arguments.repeats)
    if not arguments.no_install:
        installs()


if __name__ == "__main__":
    main()

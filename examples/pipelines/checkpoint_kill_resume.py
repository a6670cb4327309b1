"""Killed in the middle and taken up again: no stage that had finished runs a second time.

The script starts itself as a child that trains a model in six epochs, kills it with SIGKILL in the fourth, looks at what a resume
would do, and resumes. Run it with ``python examples/pipelines/checkpoint_kill_resume.py``; it takes two or three seconds.
"""

import asyncio
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pydantic import BaseModel

from metta_sweep import Pipeline, SqliteStore, StageContext

EPOCHS = 6


class Model(BaseModel):
    """What is trained: kept as JSON after every epoch."""

    weight: float = 0.0
    epoch: int = 0


def load_data(n: int) -> list[float]:
    print("  load_data runs", flush=True)
    return [float(i % 7) for i in range(n)]


def train_epoch(data: list[float], model: Model, stage: StageContext) -> Model:
    print(f"  {stage.address} runs", flush=True)
    is_child = len(sys.argv) > 1
    time.sleep(60.0 if is_child and model.epoch == 3 else 0.05)  # so long that it can be killed there
    return Model(weight=model.weight + 0.5 * (sum(data) / len(data) - model.weight), epoch=model.epoch + 1)


def evaluate(model: Model) -> float:
    print("  evaluate runs", flush=True)
    return round(model.weight, 4)


plan = (
    Pipeline(n=int)
    .stage("load_data", load_data)
    .through(data=list[float])
    .loop_while(lambda ctx: ctx.model.epoch < EPOCHS, carry={"model": Model()}, max_iterations=100, name="epochs")
    .stage("train", train_epoch)
    .through(model=Model)
    .end_loop()
    .stage("evaluate", evaluate)
    .through(score=float)
    .build()
)


def run(database: Path) -> float:
    """Run the pipeline under a name: it is kept, and goes on where it was. Nothing else is needed."""
    store = SqliteStore(database)
    try:
        result = asyncio.run(plan.run(name="digits", store=store, n=100))
    finally:
        store.close()
    return float(result.score)


def what_a_resume_would_do(database: Path) -> str:
    """Reuse, rerun, or new: per stage, with the reason. Nothing runs, and nothing is written."""
    store = SqliteStore(database)
    try:
        return str(plan.plan_resume(name="digits", store=store, n=100))
    finally:
        store.close()


def killed_run(database: Path) -> list[str]:
    """Run it in a child, which is killed in the fourth epoch. Returns what the child printed."""
    lines: list[str] = []
    with subprocess.Popen([sys.executable, __file__, str(database)], stdout=subprocess.PIPE, text=True) as child:
        for line in child.stdout or ():
            lines.append(line.rstrip())
            print(lines[-1])
            if "epochs[3]/train" in line:
                child.send_signal(signal.SIGKILL)
    return [*lines, f"exit code {child.returncode}"]


if __name__ == "__main__":
    if len(sys.argv) > 1:
        run(Path(sys.argv[1]))
        sys.exit()
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "runs.db"
        print("A child runs it, until it is killed:")
        print(f"  {killed_run(database)[-1]}\n")
        print(f"What a resume would do:\n{what_a_resume_would_do(database)}\n")
        print("Taken up again:")
        score = run(database)
        print(f"  score {score}\n")
        print("And once more, when all is done:")
        print(f"  score {run(database)}, and nothing ran")

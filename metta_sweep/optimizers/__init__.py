"""What to try. One optimizer per file; add one by adding its file and its line here."""

from metta_sweep.optimizers.ax import AxOptimizer as AxOptimizer
from metta_sweep.optimizers.bayesian import BayesianOptimizer as BayesianOptimizer
from metta_sweep.optimizers.evolution import EvolutionOptimizer as EvolutionOptimizer
from metta_sweep.optimizers.grid import GridOptimizer as GridOptimizer
from metta_sweep.optimizers.nevergrad import NevergradOptimizer as NevergradOptimizer
from metta_sweep.optimizers.optimizer import Optimizer as Optimizer
from metta_sweep.optimizers.optuna import OptunaOptimizer as OptunaOptimizer
from metta_sweep.optimizers.phase import Phase as Phase
from metta_sweep.optimizers.phases import Phases as Phases
from metta_sweep.optimizers.portfolio import PortfolioOptimizer as PortfolioOptimizer
from metta_sweep.optimizers.protein import ProteinOptimizer as ProteinOptimizer
from metta_sweep.optimizers.queue import SuggestionQueue as SuggestionQueue
from metta_sweep.optimizers.random import RandomOptimizer as RandomOptimizer
from metta_sweep.optimizers.sobol import SobolOptimizer as SobolOptimizer
from metta_sweep.optimizers.supports import Supports as Supports

__all__ = [name for name in dir() if name[0].isupper()]  # pyright: ignore[reportUnsupportedDunderAll]

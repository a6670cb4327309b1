"""Random generators of the process, lent to libraries."""

from __future__ import annotations

import random
import threading

import pytest

from metta_sweep.optimizers.own_randomness import OwnRandomness

np = pytest.importorskip("numpy")


def draws(randomness: OwnRandomness, n: int = 1) -> list[float]:
    """What is drawn within, entering for each draw."""
    found: list[float] = []
    for _ in range(n):
        with randomness:
            found += [random.random(), float(np.random.random())]
    return found


def test_draws_within_are_a_function_of_the_seed() -> None:
    """And of the draws before, over many entries; another seed gives others, also one of more than 32 bits."""
    first = draws(OwnRandomness(3), 3)
    random.seed(9)
    np.random.seed(9)
    assert draws(OwnRandomness(3), 3) == first
    assert len(set(first)) == 6
    assert draws(OwnRandomness(4), 3) != first != draws(OwnRandomness(2**40 + 3), 3)


def test_draws_outside_are_as_without_it() -> None:
    """Whatever is drawn within, and also when something raises there."""
    random.seed(1)
    np.random.seed(1)
    expected = [random.random(), np.random.random(), random.random(), np.random.random()]
    random.seed(1)
    np.random.seed(1)
    found = [random.random(), np.random.random()]
    draws(OwnRandomness(3), 2)
    with pytest.raises(ZeroDivisionError), OwnRandomness(5):
        _ = random.random() / 0
    assert [*found, random.random(), np.random.random()] == expected


@pytest.mark.slow
def test_torch_is_included_where_it_is_loaded() -> None:
    """Its generator is as before, and its draws within come again."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(1)
    before = torch.get_rng_state().tolist()
    found = []
    for _ in range(2):
        with OwnRandomness(3):
            found.append(float(torch.rand(1)))
    assert found[0] == found[1]
    assert torch.get_rng_state().tolist() == before


def test_threads_wait_for_each_other() -> None:
    """Two libraries in two threads draw what each draws alone."""
    alone = [draws(OwnRandomness(seed), 50) for seed in (1, 2)]
    found: dict[int, list[float]] = {}
    threads = [threading.Thread(target=lambda seed=seed: found.update({seed: draws(OwnRandomness(seed), 50)})) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert [found[1], found[2]] == alone

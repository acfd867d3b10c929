"""Half the cost at 1.2 times the wait: `frugal` does it if a burst allows it, and no policy can otherwise."""

from dataclasses import replace

import numpy as np
import pytest
from simulation.policies import POLICIES, Baseline, Make
from simulation.score import Score, of
from simulation.traces import CALM, burst, served_in
from simulation.world import World

COST, WAIT = 0.5, 1.2
SEEDS = (1, 2, 3, 4)


def score(seed: int, service_s: float, make: Make) -> Score:
    trace = replace(served_in(burst(np.random.default_rng(seed)), service_s), faults=CALM)
    world = World(trace, make, seed)
    world.run(1000.0)
    return of(world)


def fixed(count: int) -> Make:
    """So many instances at the first sight of work, and none afterwards."""
    return lambda site: Baseline(site, 1e9, lambda visible, _running, _booting: count if visible else 0)


def ratios(ours: Score, theirs: Score) -> tuple[float, float]:
    return ours.cost_usd / theirs.cost_usd, ours.p99_wait_s / theirs.p99_wait_s


@pytest.mark.parametrize("seed", SEEDS)
def test_with_a_second_for_each_request_no_number_of_instances_is_within_both_bounds(seed: int) -> None:
    demand = score(seed, 1.0, POLICIES["demand"])
    all_ratios = [ratios(score(seed, 1.0, fixed(count)), demand) for count in range(1, 16)]
    assert any(cost <= COST for cost, _ in all_ratios)
    assert any(wait <= WAIT for _, wait in all_ratios)
    assert not any(cost <= COST and wait <= WAIT for cost, wait in all_ratios)


@pytest.mark.parametrize("service_s", [0.1, 0.25, 0.5, 0.75])
@pytest.mark.parametrize("seed", SEEDS)
def test_with_three_quarters_of_a_second_and_less_frugal_is_within_both(seed: int, service_s: float) -> None:
    demand, frugal = (score(seed, service_s, POLICIES[name]) for name in ("demand", "frugal"))
    cost, wait = ratios(frugal, demand)
    assert cost <= COST
    assert wait <= WAIT


@pytest.mark.parametrize("service_s", [0.5, 1.0, 2.0])
def test_frugal_starts_the_fewest_that_are_within_the_wait_or_one_more(service_s: float) -> None:
    demand, frugal = (score(1, service_s, POLICIES[name]) for name in ("demand", "frugal"))
    waits = {count: ratios(score(1, service_s, fixed(count)), demand)[1] for count in range(1, 16)}
    fewest = min(count for count, wait in waits.items() if wait <= WAIT)
    assert frugal.starts - fewest in {0, 1}
    assert frugal.p99_wait_s <= WAIT * demand.p99_wait_s

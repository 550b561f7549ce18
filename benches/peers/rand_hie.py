"""Compares the time of the fit in the example rand_hie with the same training in PyTorch, on one core.

Data, standardisation, number of epochs, batch size, learning rate and its decay are the same; the
random batches differ. PyTorch runs twice: with automatic differentiation, and with the gradient
written out as in the example, so that the time of automatic differentiation can be excluded.

    python benches/peers/rand_hie.py [--rounds 11]
"""

import argparse
import gzip
import json
import os
import statistics
import subprocess
import time
from pathlib import Path

# Set before PyTorch is imported. The example inherits the affinity.
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import numpy as np
import torch

REPOSITORY = Path(__file__).parents[2]

# As in examples/rand_hie/fit.rs.
EPOCHS, BATCH, LEARNING_RATE = 60, 256, 0.01
EXCESS_TOLERANCE, COEFFICIENT_TOLERANCE = 1e-5, 0.005


def load():
    """Returns the design matrix (an intercept and standardised covariates) and the counts."""
    with gzip.open(REPOSITORY / "examples/data/randhie.csv.gz", "rt") as file:
        table = np.loadtxt(file, delimiter=",", skiprows=1)
    covariates = table[:, 1:]
    standardised = (covariates - covariates.mean(axis=0)) / covariates.std(axis=0)
    return np.column_stack([np.ones(len(table)), standardised]), table[:, 0]


def loss(x, y, beta):
    """Mean negative log-likelihood without the terms that do not depend on β."""
    eta = x @ beta
    return (eta.exp() - eta * y).mean()


def by_autograd(x, y, beta):
    beta.grad = None
    loss(x, y, beta).backward()


@torch.no_grad()
def by_hand(x, y, beta):
    beta.grad = x.T @ ((x @ beta).exp() - y) / len(y)


def fit(x, y, seed, differentiate):
    """Fits β, starting from zero."""
    generator = torch.Generator().manual_seed(seed)
    beta = torch.zeros(x.shape[1], dtype=x.dtype, requires_grad=True)
    optimizer = torch.optim.Adamax([beta], lr=LEARNING_RATE)
    steps = EPOCHS * -(-len(y) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(y), generator=generator).split(BATCH):
            differentiate(x[rows], y[rows], beta)
            optimizer.step()
            schedule.step()
    return beta.detach()


def newton(x, y):
    """Returns the maximum-likelihood β by Newton's method."""
    beta = torch.zeros(x.shape[1], dtype=x.dtype)
    for _ in range(30):
        expected = (x @ beta).exp()
        beta -= torch.linalg.solve(x.T @ (x * expected[:, None]), x.T @ (expected - y))
    return beta


def in_pytorch(differentiate):
    """Returns a function that fits and returns the seconds and both distances from the optimum."""
    x, y = map(torch.from_numpy, load())
    optimum = newton(x, y)

    def run(round):
        start = time.perf_counter()
        beta = fit(x, y, round, differentiate)
        seconds = time.perf_counter() - start
        excess = loss(x, y, beta) - loss(x, y, optimum)
        return seconds, excess.item(), (beta - optimum).abs().max().item()

    return run


def in_rust():
    """The same for the example, which prints these numbers."""
    build = ["cargo", "build", "--quiet", "--release", "--example", "rand_hie"]
    output = subprocess.run(
        [*build, "--message-format=json"], cwd=REPOSITORY, check=True, stdout=subprocess.PIPE
    ).stdout
    messages = map(json.loads, output.splitlines())
    example = [path for message in messages if (path := message.get("executable"))][-1]

    def run(_):
        command = [example, "--fit-only"]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        return tuple(map(float, output.split()))

    return run


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11)
    rounds = parser.parse_args().rounds

    torch.set_num_threads(1)
    peers = {
        "this crate": in_rust(),
        "PyTorch, its own derivatives": in_pytorch(by_autograd),
        "PyTorch, the gradient written out": in_pytorch(by_hand),
    }
    results = {name: [] for name in peers}
    for round in range(rounds):
        for name, run in peers.items():
            results[name].append(run(round))

    print(f"PyTorch {torch.__version__}, {rounds} rounds, {EPOCHS} epochs of batches of {BATCH}")
    print("Median seconds, median of the ratios within a round, worst distances from the optimum\n")
    print("| | seconds | ratio | log-likelihood per row | standardised coefficient |")
    print("|---|---|---|---|---|")
    base = results["this crate"]
    for name, runs in results.items():
        seconds = statistics.median(run[0] for run in runs)
        ratio = statistics.median(own[0] / other[0] for own, other in zip(runs, base))
        excess, error = (max(run[i] for run in runs) for i in (1, 2))
        print(f"| {name} | {seconds:.3f} | {ratio:.3g}× | {excess:.1e} | {error:.1e} |")
        if not (excess < EXCESS_TOLERANCE and error < COEFFICIENT_TOLERANCE):
            raise SystemExit(f"{name}: farther from the optimum than the example allows")


if __name__ == "__main__":
    main()

"""Times steps of some rows of a table, with this crate and with PyTorch, alternately on one core.

The work is a table of which each step names the same rows, evenly spaced. PyTorch's Adamax refuses
sparse gradients. So there are two peers, and neither does exactly the same:

- SparseAdam takes the gradient of `nn.Embedding(sparse=True)`. It applies Adam's rule, with a square root in
  place of the maximum, and counts the steps of the whole table.
- Adamax takes a dense gradient and steps all rows.

    python benches/peers/rows.py [--rounds 15]
"""

import argparse
import os
import time
from dataclasses import dataclass

from compare import CORE, measure, table
from job import ALPHA, BETA1, BETA2, EPSILON, gradients, parameters
from native import rows_of_this_crate

# Set before PyTorch is imported. Compiling may use all cores, so the program is built before.
THIS_CRATE = rows_of_this_crate()
os.sched_setaffinity(0, {CORE})

import numpy as np
import torch

torch.set_num_threads(1)
# The default too, but without a warning.
torch.sparse.check_sparse_tensor_invariants.disable()

# Each with the number of rows that a step names.
TABLES = [
    (10_000, 64, 1000),
    (100_000, 1, 1000),
    (100_000, 16, 1000),
    (100_000, 64, 1000),
    (100_000, 300, 1000),
]
SPARSE_ADAM = "PyTorch, SparseAdam"


@dataclass(frozen=True)
class RowsJob:
    """A table, and gradients of some of its rows."""

    precision: str
    rows: int
    length: int
    count: int

    @property
    def name(self):
        return f"{self.count} of {self.rows} × {self.length}"

    def table(self):
        return parameters(self.precision, self.rows, self.length)

    def gradients(self):
        return gradients(self.precision, self.count, self.length)

    def named(self):
        return np.arange(self.count) * (self.rows // self.count)

    def check(self, system, steps, total):
        """Exits if the sum of the table differs from that of the formula."""
        x, g = self.table().astype(np.float64), self.gradients().astype(np.float64)
        moved, m, u = x[self.named()], np.zeros_like(g), np.zeros_like(g)
        for t in range(1, steps + 1):
            m = BETA1 * m + (1 - BETA1) * g
            if system == SPARSE_ADAM:
                u = BETA2 * u + (1 - BETA2) * g**2
                scale = np.sqrt(u / (1 - BETA2**t))
            else:
                u = np.maximum(BETA2 * u, np.abs(g))
                scale = u
            moved -= ALPHA / (1 - BETA1**t) * m / (scale + EPSILON)
        x[self.named()] = moved
        # Allows for the rounding of x and for different placements of ε, per element that moves.
        tolerance = g.size * {"f64": 1e-9, "f32": 1e-6}[self.precision]
        if not abs(total - x.sum()) <= tolerance:
            raise SystemExit(f"{system} {self}: sum {total} instead of {x.sum()}")


class Torch:
    """Steps a table with an optimizer of PyTorch."""

    def __init__(self, job, optimizer, sparse):
        self.table = torch.tensor(job.table(), requires_grad=True)
        rows, gradients = torch.tensor(job.named()), torch.tensor(job.gradients())
        if sparse:
            shape = self.table.shape
            self.table.grad = torch.sparse_coo_tensor(rows[None], gradients, shape).coalesce()
        else:
            self.table.grad = torch.zeros_like(self.table)
            self.table.grad[rows] = gradients
        self.optimizer = optimizer([self.table])

    def time(self, steps):
        start = time.perf_counter_ns()
        for _ in range(steps):
            self.optimizer.step()
        return time.perf_counter_ns() - start

    def total(self):
        return float(self.table.detach().double().sum())

    def close(self):
        pass


def peers():
    def sparse(parameters):
        return torch.optim.SparseAdam(parameters, lr=ALPHA, betas=(BETA1, BETA2), eps=EPSILON)

    def dense(parameters):
        return torch.optim.Adamax(parameters, lr=ALPHA, betas=(BETA1, BETA2), eps=EPSILON)

    return {
        SPARSE_ADAM: lambda job: Torch(job, sparse, sparse=True),
        "PyTorch, Adamax, all rows": lambda job: Torch(job, dense, sparse=False),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds

    systems = THIS_CRATE | peers()
    print(f"PyTorch {torch.__version__}, medians of {rounds} rounds")
    for precision in ["f64", "f32"]:
        jobs = [RowsJob(precision, *sizes) for sizes in TABLES]
        results = {job: measure(job, systems, rounds) for job in jobs}
        print(f"\n{precision}\n", *table(results, *THIS_CRATE), sep="\n")


if __name__ == "__main__":
    main()

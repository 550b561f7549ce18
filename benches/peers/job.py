"""The work that every system does: repeated steps of a number of tensors with one axis."""

from dataclasses import dataclass

import numpy as np

ALPHA, BETA1, BETA2, EPSILON = 0.002, 0.9, 0.999, 1e-8


DTYPES = {"f64": np.float64, "f32": np.float32}


def parameters(precision, rows, length):
    return _matrix(precision, rows, length, 271, 1009)


def gradients(precision, rows, length):
    return _matrix(precision, rows, length, 733, 1013)


def _matrix(precision, rows, length, step, modulus):
    # A simple formula gives the same numbers in every language. No gradient is 0, few are equal.
    residues = np.arange(rows * length, dtype=np.int64) * step % modulus
    return (residues / modulus - 0.5).astype(DTYPES[precision]).reshape(rows, length)


@dataclass(frozen=True)
class Job:
    precision: str  # f64 or f32
    length: int
    count: int = 1

    @property
    def name(self):
        return f"{self.count} × [{self.length}]" if self.count > 1 else str(self.length)

    @property
    def dtype(self):
        return DTYPES[self.precision]

    def parameters(self):
        return self._tensors(parameters)

    def gradients(self):
        return self._tensors(gradients)

    def _tensors(self, numbers):
        return [tensor.copy() for tensor in numbers(self.precision, self.count, self.length)]

    def check(self, system, steps, total):
        """Exits if the sum of the parameters differs from that of the formula."""
        x = np.concatenate(self.parameters()).astype(np.float64)
        g = np.concatenate(self.gradients()).astype(np.float64)
        m, u = np.zeros_like(x), np.zeros_like(x)
        for t in range(1, steps + 1):
            m = BETA1 * m + (1 - BETA1) * g
            u = np.maximum(BETA2 * u, np.abs(g))
            x -= ALPHA / (1 - BETA1**t) * m / (u + EPSILON)
        # Allows for the rounding of x and for different placements of ε, per element.
        tolerance = x.size * {"f64": 1e-9, "f32": 1e-6}[self.precision]
        if not abs(total - x.sum()) <= tolerance:
            raise SystemExit(f"{system} {self}: sum {total} instead of {x.sum()}")

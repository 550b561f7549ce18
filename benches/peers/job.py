"""The work that every system does: repeated steps of a number of tensors with one axis."""

from dataclasses import dataclass

import numpy as np

ALPHA, BETA1, BETA2, EPSILON = 0.002, 0.9, 0.999, 1e-8


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
        return {"f64": np.float64, "f32": np.float32}[self.precision]

    def parameters(self):
        return self._tensors(271, 1009)

    def gradients(self):
        return self._tensors(733, 1013)

    def _tensors(self, step, modulus):
        # A simple formula gives the same numbers in every language. No gradient is 0, few are equal.
        residues = np.arange(self.length * self.count, dtype=np.int64) * step % modulus
        numbers = (residues / modulus - 0.5).astype(self.dtype)
        return [tensor.copy() for tensor in numbers.reshape(self.count, self.length)]

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

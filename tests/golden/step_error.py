"""Writes `step_error.json` beside this script: the largest error of a step of each peer, in f64.

With a constant gradient of 1, learning rate 1 and no ε, every exact step is -1: the first moment is
1 − β₁ᵗ, which the bias correction cancels. The error is |step + 1| in units of 2.2e-16, over the first
20 steps. (Later on, the rounding errors that add up in the first moment are larger. They are the same in
each implementation.) `tests/suite/exact` measures this crate in the same way.

    pip install -r requirements.txt
    python step_error.py
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp
import keras
import optax
import torch

keras.backend.set_floatx("float64")

BETAS = (0.9, 0.95, 0.99, 0.999)
BETA2 = 0.9999
STEPS = 20
UNIT = 2.0**-52


def torch_steps(beta1: float) -> Iterator[float]:
    x = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adamax([x], lr=1.0, betas=(beta1, BETA2), eps=0.0)
    while True:
        with torch.no_grad():
            x.zero_()
        x.grad = torch.ones_like(x)
        optimizer.step()
        yield x.item()


def keras_steps(beta1: float) -> Iterator[float]:
    x = keras.Variable([0.0], dtype="float64")
    optimizer = keras.optimizers.Adamax(learning_rate=1.0, beta_1=beta1, beta_2=BETA2, epsilon=0.0)
    optimizer.build([x])
    gradient = jnp.ones(1, dtype=jnp.float64)
    while True:
        x.assign([0.0])
        optimizer.apply([gradient], [x])
        yield float(x.numpy()[0])


def optax_steps(beta1: float) -> Iterator[float]:
    optimizer = optax.adamax(1.0, b1=beta1, b2=BETA2, eps=0.0)
    gradient = jnp.ones(1, dtype=jnp.float64)
    state = optimizer.init(gradient)
    while True:
        updates, state = optimizer.update(gradient, state)
        yield float(updates[0])


PEERS: dict[str, Callable[[float], Iterator[float]]] = {
    "torch": torch_steps,
    "keras": keras_steps,
    "optax": optax_steps,
}


def largest_error(steps: Iterator[float]) -> float:
    return max(abs(step + 1.0) for _, step in zip(range(STEPS), steps)) / UNIT


def main() -> None:
    head = {
        "generated_by": "tests/golden/step_error.py",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in (*PEERS, "jax")},
        "beta1": BETAS,
    }
    errors = {name: [largest_error(steps(beta1)) for beta1 in BETAS] for name, steps in PEERS.items()}
    text = json.dumps(head | {"largest_error": errors}, indent=1)
    Path(__file__).with_name("step_error.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

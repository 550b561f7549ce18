"""Writes `average.json` beside this script: exponential moving averages, computed by `optax.ema(decay, debias=True)`, and the
equal average, computed by PyTorch's `AveragedModel` with its defaults.

The Rust test `tests/suite/average.rs` repeats every run and compares.

    python -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python average.py
"""

from __future__ import annotations

import json
import platform
from importlib.metadata import version
from pathlib import Path

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import optax  # noqa: E402
import torch  # noqa: E402
from torch.optim.swa_utils import AveragedModel  # noqa: E402

DECAYS = (0.0, 0.5, 0.9, 0.999)
UPDATES = 60
CHECKPOINTS = (1, 2, 3, 10, 60)
VALUES = "Value number i of update number k, both from 0, is ((37·i + 101·k) mod 256 − 128) / 16."


def values(update: int) -> np.ndarray:
    return ((37 * np.arange(5) + 101 * update) % 256 - 128) / 16


def run(decay: float) -> dict:
    average = optax.ema(decay, debias=True)
    state = average.init(jnp.zeros(5))
    checkpoints = []
    for update in range(UPDATES):
        mean, state = average.update(jnp.asarray(values(update)), state)
        if mean.dtype != jnp.float64:
            raise TypeError("the mean is not f64")
        if update + 1 in CHECKPOINTS:
            checkpoints.append({"updates": update + 1, "mean": np.asarray(mean).tolist()})
    return {"decay": decay, "checkpoints": checkpoints}


def run_equal() -> list[dict]:
    model = torch.nn.ParameterList([torch.zeros(5, dtype=torch.float64)])
    average = AveragedModel(model)
    checkpoints = []
    for update in range(UPDATES):
        with torch.no_grad():
            model[0].copy_(torch.from_numpy(values(update)))
        average.update_parameters(model)
        if update + 1 in CHECKPOINTS:
            (mean,) = average.module.parameters()
            checkpoints.append({"updates": update + 1, "mean": mean.tolist()})
    return checkpoints


def main() -> None:
    content = {
        "generated_by": "tests/golden/average.py",
        "versions": {"python": platform.python_version()} | {name: version(name) for name in ("numpy", "optax", "jax", "jaxlib", "torch")},
        "values": VALUES,
        "runs": [run(decay) for decay in DECAYS],
        "equal": run_equal(),
    }
    text = json.dumps(content, ensure_ascii=False, indent=1)
    Path(__file__).with_name("average.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

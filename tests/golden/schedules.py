"""Writes the golden learning-rate schedules `schedules.json` beside this script.

The file holds the learning rates of the schedulers of PyTorch, optax and Keras at each step from 0, for a base rate of 1, and
those of PyTorch's ReduceLROnPlateau for a few series of losses. It also holds a run of PyTorch's Adamax whose learning rate and
β₁ follow OneCycleLR. The Rust tests `tests/suite/schedule.rs` and `tests/suite/plateau.rs` compare.

    python -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python schedules.py

Each case names the constructor of `adamax::schedule::Schedule` that must give the same values, and its arguments. All values are
computed in 64 bits. On one machine the output is always the same; with another processor or other versions, the last bits may
differ.
"""

from __future__ import annotations

import json
import math
import os
import platform
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import jax

jax.config.update("jax_enable_x64", True)

import keras
import optax
import torch
from torch.optim import lr_scheduler

keras.config.set_floatx("float64")

STEPS = 64
Schedule = list[Any]
"""The name of a constructor and its arguments, some of which may be schedules themselves."""


# ---------------------------------------------------------------- running the peers


def optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)


def run_torch(make: Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler], steps: int) -> list[float]:
    """Returns the learning rates as they are set in training, by calling `step()` once per step."""
    peer = optimizer()
    scheduler = make(peer)
    rates = []
    for _ in range(steps):
        rates.append(float(peer.param_groups[0]["lr"]))
        peer.step()
        scheduler.step()
    return rates


def run_function(schedule: Callable[[int], Any], steps: int) -> list[float]:
    return [float(schedule(t)) for t in range(steps)]


def run_plateau(losses: Sequence[float], **settings: Any) -> list[float]:
    peer = optimizer()
    scheduler = lr_scheduler.ReduceLROnPlateau(peer, **settings)
    rates = []
    for loss in losses:
        scheduler.step(loss)
        rates.append(float(peer.param_groups[0]["lr"]))
    return rates


# ---------------------------------------------------------------- cases


def torch_cases() -> Iterator[dict[str, Any]]:
    def case(
        schedule: Schedule,
        call: str,
        make: Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler],
        steps: int = STEPS,
    ) -> dict[str, Any]:
        return {"peer": "torch", "call": call, "schedule": schedule, "scales": run_torch(make, steps)}

    of = lr_scheduler
    yield case(["step", 10, 0.3], "StepLR(step_size=10, gamma=0.3)", lambda o: of.StepLR(o, 10, 0.3))
    yield case(
        ["multi_step", [5, 6, 30], 0.3], "MultiStepLR([5, 6, 30], gamma=0.3)", lambda o: of.MultiStepLR(o, [5, 6, 30], 0.3)
    )
    yield case(["exponential", 1, 0.9], "ExponentialLR(gamma=0.9)", lambda o: of.ExponentialLR(o, 0.9))
    yield case(
        ["piecewise_constant", [[0, 0.3], [20, 1.0]]],
        "ConstantLR(factor=0.3, total_iters=20)",
        lambda o: of.ConstantLR(o, 0.3, 20),
    )
    yield case(
        ["linear", 40, 0.3, 0.9], "LinearLR(0.3, 0.9, total_iters=40)", lambda o: of.LinearLR(o, 0.3, 0.9, total_iters=40)
    )
    yield case(
        ["polynomial", 40, 2.5, 0.0], "PolynomialLR(total_iters=40, power=2.5)", lambda o: of.PolynomialLR(o, 40, 2.5)
    )
    # Only up to step 40, because PyTorch's cosine rises again afterwards.
    yield case(
        ["cosine", 40, 0.1], "CosineAnnealingLR(T_max=40, eta_min=0.1)", lambda o: of.CosineAnnealingLR(o, 40, 0.1), 41
    )
    for multiplier in (1, 3):
        yield case(
            ["cosine_warm_restarts", 7, multiplier, 0.1],
            f"CosineAnnealingWarmRestarts(T_0=7, T_mult={multiplier}, eta_min=0.1)",
            lambda o: of.CosineAnnealingWarmRestarts(o, 7, multiplier, 0.1),
        )
    # PyTorch allows no step after the end. With a rise of 0.33 and 60 steps, the peak is between two steps.
    for rise in (0.3, 0.33, 0.01):
        yield case(
            ["one_cycle", 60, rise, 1 / 25, 1 / 25e4],
            f"OneCycleLR(1, total_steps=60, pct_start={rise})",
            lambda o: of.OneCycleLR(o, 1.0, total_steps=60, pct_start=rise, cycle_momentum=False),
            60,
        )
    # With three linear phases, it equals a piecewise linear schedule.
    yield case(
        ["piecewise_linear", [[0, 0.04], [17, 1.0], [34, 0.04], [59, 4e-6]]],
        "OneCycleLR(1, total_steps=60, pct_start=0.3, anneal_strategy='linear', three_phase=True)",
        lambda o: of.OneCycleLR(
            o, 1.0, total_steps=60, pct_start=0.3, anneal_strategy="linear", three_phase=True, cycle_momentum=False
        ),
        60,
    )
    for mode, gamma, amplitude in (
        ("triangular", 1.0, "constant"),
        ("triangular2", 1.0, "halving"),
        ("exp_range", 0.97, ["decaying", 0.97]),
    ):
        yield case(
            ["cyclic", 5, 8, 0.1, amplitude],
            f"CyclicLR(0.1, 1, step_size_up=5, step_size_down=8, mode='{mode}', gamma={gamma})",
            lambda o: of.CyclicLR(o, 0.1, 1.0, 5, 8, mode, gamma, cycle_momentum=False),
        )
    yield case(
        ["warm_up", 10, 0.2, ["cosine", 40, 0.0]],
        "SequentialLR([LinearLR(0.2, total_iters=10), CosineAnnealingLR(T_max=40)], milestones=[10])",
        lambda o: of.SequentialLR(o, [of.LinearLR(o, 0.2, total_iters=10), of.CosineAnnealingLR(o, 40)], [10]),
        51,
    )
    yield case(
        ["sequence", [[10, ["exponential", 1, 0.9]], [20, ["step", 7, 0.5]]], ["linear", 30, 1.0, 0.1]],
        "SequentialLR([ExponentialLR(0.9), StepLR(7, 0.5), LinearLR(1, 0.1, total_iters=30)], milestones=[10, 30])",
        lambda o: of.SequentialLR(
            o, [of.ExponentialLR(o, 0.9), of.StepLR(o, 7, 0.5), of.LinearLR(o, 1.0, 0.1, total_iters=30)], [10, 30]
        ),
    )
    yield case(
        ["times", ["linear", 10, 0.2, 1.0], ["exponential", 1, 0.9]],
        "ChainedScheduler([LinearLR(0.2, total_iters=10), ExponentialLR(0.9)])",
        lambda o: of.ChainedScheduler([of.LinearLR(o, 0.2, total_iters=10), of.ExponentialLR(o, 0.9)], o),
    )


def optax_cases() -> Iterator[dict[str, Any]]:
    def case(schedule: Schedule, call: str, function: Callable[[int], Any]) -> dict[str, Any]:
        return {"peer": "optax", "call": call, "schedule": schedule, "scales": run_function(function, STEPS)}

    yield case(["constant", 0.3], "constant_schedule(0.3)", optax.constant_schedule(0.3))
    yield case(
        ["step", 10, 0.3],
        "exponential_decay(1, transition_steps=10, decay_rate=0.3, staircase=True)",
        optax.exponential_decay(1.0, 10, 0.3, staircase=True),
    )
    for rate in (0.3, 1.7):
        yield case(
            ["exponential", 10, rate],
            f"exponential_decay(1, transition_steps=10, decay_rate={rate})",
            optax.exponential_decay(1.0, 10, rate),
        )
    yield case(
        ["polynomial", 40, 2.5, 0.1],
        "polynomial_schedule(1, 0.1, power=2.5, transition_steps=40)",
        optax.polynomial_schedule(1.0, 0.1, 2.5, 40),
    )
    yield case(
        ["linear", 40, 0.3, 0.9],
        "linear_schedule(0.3, 0.9, transition_steps=40)",
        optax.linear_schedule(0.3, 0.9, 40),
    )
    yield case(
        ["cosine", 40, 0.1],
        "cosine_decay_schedule(1, decay_steps=40, alpha=0.1)",
        optax.cosine_decay_schedule(1.0, 40, 0.1),
    )
    yield case(
        ["piecewise_constant", [[0, 1.0], [10, 0.5], [11, 0.1], [40, 0.2]]],
        "piecewise_constant_schedule(1, {10: 0.5, 11: 0.2, 40: 2})",
        optax.piecewise_constant_schedule(1.0, {10: 0.5, 11: 0.2, 40: 2.0}),
    )
    yield case(
        ["piecewise_linear", [[0, 1.0], [10, 0.5], [11, 0.1], [40, 0.2]]],
        "piecewise_interpolate_schedule('linear', 1, {10: 0.5, 11: 0.2, 40: 2})",
        optax.piecewise_interpolate_schedule("linear", 1.0, {10: 0.5, 11: 0.2, 40: 2.0}),
    )
    # optax ends at step 60 and peaks at step 18; PyTorch ends at step 59 and peaks at step 17.
    yield case(
        ["one_cycle", 61, 19 / 61, 1 / 25, 1 / 25e4],
        "cosine_onecycle_schedule(60, 1, pct_start=0.3)",
        optax.cosine_onecycle_schedule(60, 1.0, 0.3),
    )
    cycles = [{"init_value": 1.0, "peak_value": 1.0, "warmup_steps": 0, "decay_steps": steps} for steps in (9, 18, 36, 72)]
    yield case(
        ["cosine_warm_restarts", 9, 2, 0.0],
        "sgdr_schedule, 9, 18, 36 and 72 steps without warm-up",
        optax.sgdr_schedule(cycles),
    )
    peaks = [cycle | {"init_value": 0.5**n, "peak_value": 0.5**n} for n, cycle in enumerate(cycles)]
    yield case(
        ["cosine_decay_restarts", 9, 2, 0.5, 0.0],
        "sgdr_schedule, 9, 18, 36 and 72 steps without warm-up, each peak half as high",
        optax.sgdr_schedule(peaks),
    )
    yield case(
        ["scaled", 0.3, ["cosine", 40, 0.1]],
        "cosine_decay_schedule(0.3, decay_steps=40, alpha=0.1)",
        optax.cosine_decay_schedule(0.3, 40, 0.1),
    )
    yield case(
        ["warm_up", 0, 0.2, ["cosine", 40, 0.1]],
        "warmup_cosine_decay_schedule(0.2, 1, warmup_steps=0, decay_steps=40, end_value=0.1)",
        optax.warmup_cosine_decay_schedule(0.2, 1.0, 0, 40, 0.1),
    )
    yield case(
        ["warm_up", 10, 0.2, ["constant", 1.0]],
        "warmup_constant_schedule(0.2, 1, warmup_steps=10)",
        optax.warmup_constant_schedule(0.2, 1.0, 10),
    )
    yield case(
        ["warm_up", 10, 0.2, ["cosine", 40, 0.1]],
        "warmup_cosine_decay_schedule(0.2, 1, warmup_steps=10, decay_steps=50, end_value=0.1)",
        optax.warmup_cosine_decay_schedule(0.2, 1.0, 10, 50, 0.1),
    )
    yield case(
        ["warm_up", 10, 0.2, ["exponential", 7, 0.3]],
        "warmup_exponential_decay_schedule(0.2, 1, warmup_steps=10, transition_steps=7, decay_rate=0.3)",
        optax.warmup_exponential_decay_schedule(0.2, 1.0, 10, 7, 0.3),
    )
    yield case(
        ["sequence", [[10, ["linear", 10, 0.0, 1.0]], [20, ["constant", 0.7]]], ["cosine", 20, 0.0]],
        "join_schedules([linear_schedule(0, 1, 10), constant_schedule(0.7), cosine_decay_schedule(1, 20)], [10, 30])",
        optax.join_schedules(
            [optax.linear_schedule(0.0, 1.0, 10), optax.constant_schedule(0.7), optax.cosine_decay_schedule(1.0, 20)],
            [10, 30],
        ),
    )


def keras_cases() -> Iterator[dict[str, Any]]:
    yield {
        "peer": "keras",
        "call": "InverseTimeDecay(1.0, decay_steps=10, decay_rate=0.7)",
        "schedule": ["inverse_time", 10, 0.7],
        "scales": run_function(keras.optimizers.schedules.InverseTimeDecay(1.0, 10, 0.7), STEPS),
    }


    for multiplier, factor in ((1, 0.7), (2, 0.5)):
        yield {
            "peer": "keras",
            "call": f"CosineDecayRestarts(1.0, 9, t_mul={multiplier}, m_mul={factor}, alpha=0.1)",
            "schedule": ["cosine_decay_restarts", 9, multiplier, factor, 0.1],
            "scales": run_function(
                keras.optimizers.schedules.CosineDecayRestarts(1.0, 9, float(multiplier), factor, 0.1), STEPS
            ),
        }


def one_cycle_run() -> Iterator[dict[str, Any]]:
    """A run with the defaults of OneCycleLR, which change β₁ too. Gradient i of step t is ((37·i + 101·t) mod 256 − 128) / 16."""
    steps, start = 60, [1.0, -2.0, 0.5]
    x = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    peer = torch.optim.Adamax([x], lr=0.1)
    scheduler = lr_scheduler.OneCycleLR(peer, 0.1, total_steps=steps)
    rates, betas, values = [], [], []
    for t in range(steps):
        rates.append(float(peer.param_groups[0]["lr"]))
        betas.append(float(peer.param_groups[0]["betas"][0]))
        x.grad = ((37 * torch.arange(3) + 101 * t) % 256 - 128).double() / 16
        peer.step()
        values.append(x.tolist())
        if t + 1 < steps:
            scheduler.step()
    yield {"call": "OneCycleLR(Adamax, 0.1, total_steps=60)", "start": start, "rates": rates, "beta1": betas, "x": values}


def plateau_cases() -> Iterator[dict[str, Any]]:
    nan = math.nan
    falling = [5.0, 4.0, 4.0, 3.9999, 4.0, 3.0, 3.0, nan, 3.0, 2.999, 3.5, 3.5, 3.5, 2.0, 2.5, 2.5, 2.5, 2.5, 1.0, 1.0, 1.0, 1.0]
    series = {
        "min": [nan, *falling, *[1.0] * 12],
        "max": [1.0 / loss for loss in falling] + [1.0] * 12,
    }
    settings: list[dict[str, Any]] = [
        {},
        {"factor": 0.5, "patience": 0},
        {"factor": 0.5, "patience": 2},
        {"factor": 0.5, "patience": 1, "cooldown": 3},
        {"factor": 0.5, "patience": 1, "threshold": 0.3},
        {"factor": 0.5, "patience": 1, "threshold": 0.9, "threshold_mode": "abs"},
        {"factor": 0.3, "patience": 1, "min_lr": 0.2},
        {"factor": 0.3, "patience": 1, "eps": 0.1},
        {"factor": 0.0, "patience": 3},
    ]
    for mode, losses in series.items():
        for setting in settings:
            yield {
                "settings": {"mode": mode, **setting},
                "losses": [None if math.isnan(loss) else loss for loss in losses],
                "scales": run_plateau(losses, mode=mode, **setting),
            }


# ---------------------------------------------------------------- writing


def compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def section(name: str, cases: Iterator[dict[str, Any]]) -> str:
    """Returns JSON with one line per field, so that a diff shows the changed case."""
    fields = (",\n   ".join(f'"{key}": {compact(value)}' for key, value in case.items()) for case in cases)
    return f' "{name}": [\n' + ",\n".join("  {\n   " + text + "\n  }" for text in fields) + "\n ]"


def main() -> None:
    warnings.simplefilter("error")
    versions = {"python": platform.python_version()} | {peer: version(peer) for peer in ("torch", "optax", "jax", "keras")}
    schedules = [*torch_cases(), *optax_cases(), *keras_cases()]
    plateaus = list(plateau_cases())
    text = (
        '{\n "generated_by": "tests/golden/schedules.py",\n'
        f' "versions": {compact(versions)},\n'
        + section("schedules", iter(schedules))
        + ",\n"
        + section("plateaus", iter(plateaus))
        + ",\n"
        + section("one_cycle_run", one_cycle_run())
        + "\n}\n"
    )
    path = Path(__file__).with_name("schedules.json")
    path.write_text(text, encoding="utf-8")
    print(f"{path.name}: {len(schedules)} schedules, {len(plateaus)} plateaus, {len(text)} bytes")


if __name__ == "__main__":
    main()

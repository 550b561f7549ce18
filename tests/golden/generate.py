"""Writes the golden trajectories `{torch,keras,optax,paddle,mlx}.json` beside this script.

Each file holds results of one other implementation of Adamax (a peer): parameter `x`, first moment `m` and infinity norm `u`
at a few steps, with the versions of the packages used. The Rust test `tests/suite/golden.rs` repeats every run and compares.

    python -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python generate.py              # all peers
    venv/bin/python generate.py torch mlx    # only these

Inputs are not stored, because they can be generated again exactly: see GENERATOR. Gradients do not depend on x, so an error in
x can neither be corrected nor grow in later steps.

Before a file is written, its runs are compared with a simple NumPy version of the rule, `reference`, in the same precision. The
script prints the largest deviations, and stops if a run does not follow its rule. On one machine the output is always the same;
with another processor or other versions, the last bits may differ.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

GENERATOR = """\
Every tensor has a seed: the initial state of one SplitMix64 stream (Steele, Lea & Flood 2014). Its numbers z are used in C order, \
first one per element for x at step 0, then one per element for the gradient of step 1, of step 2, and so on. \
k = (z >> 52) - 2048 is an integer in [-2048, 2048); e = (z >> 48) & 15. \
x = k * 2^-10. \
g = 0 if e = 0, else k * 2^(-11 - e mod 4) * phase(step) * gradient_scale, \
where phase is 2^-2 up to step 60, 2^-12 up to step 100, then 1. \
All are dyadic numbers, exact in f32 and f64."""

SHAPES: tuple[tuple[int, ...], ...] = ((), (5,), (3, 4), (2, 3, 2), (2, 2, 3, 2))
CHECKPOINTS = (1, 2, 3, 5, 10, 50, 100, 200)
NUMPY_DTYPE = {"f64": np.dtype(np.float64), "f32": np.dtype(np.float32)}
LARGEST_CREDIBLE_DEVIATION = 2000.0
"""In rounding units. A correct run deviates by at most a few ulp in each of its 200 steps, a wrong rule by millions in total."""

Array = NDArray[np.floating]
Precision = Literal["f64", "f32"]


class Moments(NamedTuple):
    """Parameter and moments of one tensor after one step."""

    x: Array
    m: Array
    u: Array


Trajectory = Iterator[list[Moments]]
"""The state of all tensors after each step."""


# ---------------------------------------------------------------- inputs


def splitmix64(seed: int) -> Iterator[int]:
    """Yields an infinite stream of 64-bit numbers."""
    mask = (1 << 64) - 1
    state = seed
    while True:
        state = (state + 0x9E3779B97F4A7C15) & mask
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        yield z ^ (z >> 31)


def phase(step: int) -> float:
    """Returns the scale of the gradients: medium at first, then small, so that u decays, then large."""
    return 2.0**-2 if step <= 60 else 2.0**-12 if step <= 100 else 1.0


def inputs(seed: int, shape: tuple[int, ...], gradient_scale: float, dtype: np.dtype) -> tuple[Array, list[Array]]:
    """Returns the initial parameter and the gradients of all steps, as GENERATOR describes them."""
    stream = splitmix64(seed)
    size = int(np.prod(shape))

    def integer(z: int) -> int:
        return (z >> 52) - 2048

    def gradient(z: int, scale: float) -> float:
        e = (z >> 48) & 15
        return 0.0 if e == 0 else integer(z) * 2.0 ** (-11 - e % 4) * scale

    def array(values: list[float]) -> Array:
        return np.array(values, dtype).reshape(shape)

    x = array([integer(next(stream)) * 2.0**-10 for _ in range(size)])
    steps = range(1, CHECKPOINTS[-1] + 1)
    return x, [array([gradient(next(stream), phase(t) * gradient_scale) for _ in range(size)]) for t in steps]


# ---------------------------------------------------------------- rules and cases


@dataclass(frozen=True)
class WeightDecay:
    kind: Literal["None", "L2", "Decoupled"] = "None"
    factor: float = 0.0


@dataclass(frozen=True)
class Rule:
    """The settings with which this crate computes the same as the peer."""

    learning_rate: float
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    epsilon_placement: Literal["Outside", "InsideMax", "Accumulated"] = "Outside"
    bias_correction: Literal["On", "Off"] = "On"
    weight_decay: WeightDecay = WeightDecay()
    objective: Literal["Minimize", "Maximize"] = "Minimize"


@dataclass(frozen=True)
class Case:
    """One run of a peer: `arguments` are the arguments of the peer, `rule` the equivalent settings of this crate."""

    name: str
    rule: Rule
    arguments: dict[str, Any] = field(default_factory=dict)
    dtypes: tuple[Precision, ...] = ("f64", "f32")
    function: str = "Adamax"
    gradient_scale: float = 1.0
    hyperparameters: Precision = "f64"
    """The precision in which the peer stores β₁, β₂ and ε."""


@dataclass(frozen=True)
class Peer:
    run: Callable[[Case, list[Array], Sequence[list[Array]]], Trajectory]
    packages: tuple[str, ...]
    notes: tuple[str, ...]
    cases: tuple[Case, ...]


# ---------------------------------------------------------------- the runs


def reference(rule: Rule, params: list[Array], gradients: Iterable[list[Array]]) -> Trajectory:
    """Computes the rule in NumPy. Coefficients are computed in f64 and cast once; arrays keep their precision."""
    decay = rule.weight_decay
    sign = -1.0 if rule.objective == "Maximize" else 1.0
    l2 = decay.factor if decay.kind == "L2" else 0.0
    keep = 1.0 - rule.learning_rate * decay.factor if decay.kind == "Decoupled" else 1.0
    inside, accumulated, outside = (
        rule.epsilon if rule.epsilon_placement == place else 0.0 for place in ("InsideMax", "Accumulated", "Outside")
    )
    state = [Moments(x, np.zeros_like(x), np.zeros_like(x)) for x in params]
    for t, grads in enumerate(gradients, start=1):
        eta = rule.learning_rate / (1.0 - rule.beta1**t if rule.bias_correction == "On" else 1.0)
        for i, ((x, m, u), g) in enumerate(zip(state, grads, strict=True)):
            g = sign * g + l2 * x
            m = rule.beta1 * m + (1.0 - rule.beta1) * g
            u = np.maximum(rule.beta2 * u + accumulated, np.abs(g) + inside)
            state[i] = Moments(keep * x - eta * m / (u + outside), m, u)
        yield list(state)


def run_torch(case: Case, params: list[Array], gradients: Iterable[list[Array]]) -> Trajectory:
    import torch

    tensors = [torch.nn.Parameter(torch.tensor(x)) for x in params]
    optimizer = getattr(torch.optim, case.function)(tensors, **case.arguments)
    for grads in gradients:
        for tensor, g in zip(tensors, grads, strict=True):
            tensor.grad = torch.tensor(g)
        optimizer.step()
        states = [optimizer.state[tensor] for tensor in tensors]
        yield [
            Moments(tensor.detach().numpy().copy(), s["exp_avg"].numpy().copy(), s["exp_inf"].numpy().copy())
            for tensor, s in zip(tensors, states, strict=True)
        ]


def run_keras(case: Case, params: list[Array], gradients: Iterable[list[Array]]) -> Trajectory:
    os.environ["KERAS_BACKEND"] = "jax"
    import jax
    import keras

    dtype = params[0].dtype.name
    with jax.enable_x64(dtype == "float64"):
        keras.config.set_floatx(dtype)
        variables = [keras.Variable(x, dtype=dtype) for x in params]
        optimizer = getattr(keras.optimizers, case.function)(**case.arguments)
        optimizer.build(variables)
        m = [v for v in optimizer.variables if v.path.endswith("_momentum")]
        u = [v for v in optimizer.variables if v.path.endswith("_norm")]
        for grads in gradients:
            optimizer.apply([keras.ops.convert_to_tensor(g) for g in grads])
            yield [Moments(*(np.array(v.value) for v in trio)) for trio in zip(variables, m, u, strict=True)]


def run_optax(case: Case, params: list[Array], gradients: Iterable[list[Array]]) -> Trajectory:
    import jax
    import optax

    with jax.enable_x64(params[0].dtype == np.float64):
        optimizer = getattr(optax, case.function)(**case.arguments)
        x = [jax.numpy.asarray(p) for p in params]
        state = optimizer.init(x)
        for grads in gradients:
            updates, state = optimizer.update([jax.numpy.asarray(g) for g in grads], state, x)
            x = optax.apply_updates(x, updates)
            moments = state[0]
            yield [Moments(*map(np.array, trio)) for trio in zip(x, moments.mu, moments.nu, strict=True)]


def run_paddle(case: Case, params: list[Array], gradients: Iterable[list[Array]]) -> Trajectory:
    import paddle

    tensors = [paddle.to_tensor(x, stop_gradient=False) for x in params]
    optimizer = getattr(paddle.optimizer, case.function)(parameters=tensors, **case.arguments)
    for grads in gradients:
        for tensor, g in zip(tensors, grads, strict=True):
            tensor.grad = paddle.to_tensor(g)
        optimizer.step()
        m, u = optimizer._accumulators["moment"], optimizer._accumulators["inf_norm"]
        yield [Moments(*(v.numpy().copy() for v in (tensor, m[tensor.name], u[tensor.name]))) for tensor in tensors]


def run_mlx(case: Case, params: list[Array], gradients: Iterable[list[Array]]) -> Trajectory:
    import mlx.core as mx
    import mlx.optimizers

    def tensors(arrays: list[Array]) -> dict[str, Any]:
        return {str(i): mx.array(a, dtype=getattr(mx, a.dtype.name)) for i, a in enumerate(arrays)}

    mx.set_default_device(mx.cpu)  # the only device with f64
    optimizer = getattr(mlx.optimizers, case.function)(**case.arguments)
    x = tensors(params)
    for grads in gradients:
        x = optimizer.apply_gradients(tensors(grads), x)
        mx.eval(x, optimizer.state)
        yield [Moments(*map(np.array, (x[i], optimizer.state[i]["m"], optimizer.state[i]["v"]))) for i in x]


# ---------------------------------------------------------------- cases

TINY = 2.0**-27  # makes the gradients about as large as the default ε of 1e-8
BETAS = {"beta1": 0.8, "beta2": 0.99}

TORCH = Rule(0.002, epsilon_placement="InsideMax")
KERAS = Rule(0.001, epsilon=1e-7)
OPTAX = Rule(0.002, epsilon_placement="InsideMax")
PADDLE = Rule(0.001, epsilon_placement="Accumulated")
MLX = Rule(2.0**-9, bias_correction="Off")

# Exact in f32, for a peer that stores hyperparameters in f32.
PADDLE_EXACT = replace(PADDLE, learning_rate=2.0**-10, beta1=0.875, beta2=1 - 2.0**-10, epsilon=2.0**-27)


def paddle_arguments(rule: Rule) -> dict[str, Any]:
    return {name: getattr(rule, name) for name in ("learning_rate", "beta1", "beta2", "epsilon")}


PEERS: dict[str, Peer] = {
    "torch": Peer(
        run_torch,
        ("torch",),
        ("torch.optim.Adamax on the CPU; `default` gives no argument at all.",),
        (
            Case("default", TORCH),
            Case("default_foreach", TORCH, {"foreach": True}, ("f64",)),
            Case("epsilon_1e-2", replace(TORCH, epsilon=1e-2), {"eps": 1e-2}),
            Case("betas", replace(TORCH, **BETAS), {"betas": (0.8, 0.99)}),
            Case("l2", replace(TORCH, weight_decay=WeightDecay("L2", 0.1)), {"weight_decay": 0.1}),
            Case("maximize", replace(TORCH, objective="Maximize"), {"maximize": True}, ("f64",)),
            Case(
                "maximize_l2",
                replace(TORCH, objective="Maximize", weight_decay=WeightDecay("L2", 0.1)),
                {"maximize": True, "weight_decay": 0.1},
                ("f64",),
            ),
            Case(
                "maximize_l2_foreach",
                replace(TORCH, objective="Maximize", weight_decay=WeightDecay("L2", 0.1)),
                {"maximize": True, "weight_decay": 0.1, "foreach": True},
                ("f64",),
            ),
            Case("tiny_gradients", TORCH, {}, ("f64",), gradient_scale=TINY),
        ),
    ),
    "keras": Peer(
        run_keras,
        ("keras", "jax", "jaxlib"),
        (
            "keras.optimizers.Adamax on the JAX backend; `default` gives no argument at all.",
            "Keras keeps the learning rate in floatx, whatever the dtype of the variables, and floatx is float32 unless set. "
            "floatx is set to the dtype of each case here; left alone, f64 variables would get a learning rate of f32(0.001).",
            "JAX makes f64 variables silently f32 unless jax_enable_x64 is set. It is set for f64 cases and not for f32 cases.",
        ),
        (
            Case("default", KERAS),
            Case("epsilon_1e-2", replace(KERAS, epsilon=1e-2), {"epsilon": 1e-2}),
            Case("betas", replace(KERAS, **BETAS), {"beta_1": 0.8, "beta_2": 0.99}),
            Case("decoupled", replace(KERAS, weight_decay=WeightDecay("Decoupled", 0.1)), {"weight_decay": 0.1}),
            Case("tiny_gradients", KERAS, {}, ("f64",), gradient_scale=TINY),
        ),
    ),
    "optax": Peer(
        run_optax,
        ("optax", "jax", "jaxlib"),
        (
            "optax.adamax and optax.adamaxw; `default` gives the learning rate, which has no default, and nothing else.",
            "JAX makes f64 arrays silently f32 unless jax_enable_x64 is set. It is set for f64 cases and not for f32 cases, "
            "where 1 - beta1^t is then computed in f32.",
        ),
        (
            Case("default", OPTAX, {"learning_rate": 0.002}, function="adamax"),
            Case("epsilon_1e-2", replace(OPTAX, epsilon=1e-2), {"learning_rate": 0.002, "eps": 1e-2}, function="adamax"),
            Case("betas", replace(OPTAX, **BETAS), {"learning_rate": 0.002, "b1": 0.8, "b2": 0.99}, function="adamax"),
            Case(
                "decoupled",
                replace(OPTAX, weight_decay=WeightDecay("Decoupled", 0.01)),
                {"learning_rate": 0.002, "weight_decay": 0.01},
                function="adamaxw",
            ),
            Case("tiny_gradients", OPTAX, {"learning_rate": 0.002}, ("f64",), function="adamax", gradient_scale=TINY),
        ),
    ),
    "paddle": Peer(
        run_paddle,
        ("paddlepaddle",),
        (
            "paddle.optimizer.Adamax on the CPU; `default` gives no argument at all.",
            "The kernel takes beta1, beta2 and epsilon as float32, even for f64 tensors, but beta1^t is a product of float64 beta1. "
            "No one rule does both, so f64 runs with the default values agree to f32 precision only; "
            "the `exact` cases have hyperparameters that f32 holds exactly and agree to f64 precision.",
        ),
        (
            Case("default", PADDLE, {}, ("f32",)),
            Case("default", PADDLE, {}, ("f64",), hyperparameters="f32"),
            Case("epsilon_1e-2", replace(PADDLE, epsilon=1e-2), {"epsilon": 1e-2}, ("f32",)),
            Case("betas", replace(PADDLE, **BETAS), BETAS, ("f32",)),
            Case("l2", replace(PADDLE, weight_decay=WeightDecay("L2", 0.1)), {"weight_decay": 0.1}, ("f32",)),
            Case("exact", PADDLE_EXACT, paddle_arguments(PADDLE_EXACT)),
            Case(
                "exact_epsilon_2^-7",
                replace(PADDLE_EXACT, epsilon=2.0**-7),
                paddle_arguments(replace(PADDLE_EXACT, epsilon=2.0**-7)),
                ("f64",),
            ),
            Case(
                "exact_l2",
                replace(PADDLE_EXACT, weight_decay=WeightDecay("L2", 0.125)),
                paddle_arguments(PADDLE_EXACT) | {"weight_decay": 0.125},
                ("f64",),
            ),
            Case("exact_tiny_gradients", PADDLE_EXACT, paddle_arguments(PADDLE_EXACT), ("f64",), gradient_scale=TINY),
        ),
    ),
    "mlx": Peer(
        run_mlx,
        ("mlx",),
        (
            "mlx.optimizers.Adamax on the CPU; `default` gives the learning rate, which has no default, and nothing else.",
            "MLX keeps the learning rate in float32, even for f64 arrays, so it is 2^-9 here, which f32 holds exactly.",
            "There is no bias correction: the first step moves x by (1 - beta1) times the learning rate.",
        ),
        (
            Case("default", MLX, {"learning_rate": 2.0**-9}),
            Case("epsilon_1e-2", replace(MLX, epsilon=1e-2), {"learning_rate": 2.0**-9, "eps": 1e-2}),
            Case("betas", replace(MLX, **BETAS), {"learning_rate": 2.0**-9, "betas": [0.8, 0.99]}),
            Case("tiny_gradients", MLX, {"learning_rate": 2.0**-9}, ("f64",), gradient_scale=TINY),
        ),
    ),
}


# ---------------------------------------------------------------- recording


def deviation(case: Case, dtype: np.dtype, found: Moments, expected: Moments) -> tuple[float, float, float]:
    """Returns the largest deviations of x, m and u, in rounding units of the scale of each.

    x changes by about α per step, so the scale of x is max(|x|, α). m is a mean of gradients, which may cancel each other. u is
    at least as large as the largest gradient that still contributes, so u is the scale of m and of itself. With an L2 penalty λ,
    g and λx may cancel too, and the scale is max(u, λ|x|).
    """
    l2 = case.rule.weight_decay.factor if case.rule.weight_decay.kind == "L2" else 0.0
    unit = max(np.finfo(NUMPY_DTYPE[case.hyperparameters]).eps, np.finfo(dtype).eps)
    (x, m, u), (x1, m1, u1) = (tuple(a.astype(np.float64) for a in moments) for moments in (expected, found))
    scale_x = np.maximum(np.abs(x), case.rule.learning_rate)
    scale_u = np.maximum.reduce([u, l2 * np.abs(x), np.full_like(u, np.finfo(dtype).tiny)])
    return tuple(float(np.max(np.abs(a - b) / (unit * s))) for a, b, s in ((x1, x, scale_x), (m1, m, scale_u), (u1, u, scale_u)))


def record(peer: Peer, case: Case, precision: Precision) -> dict[str, Any]:
    """Runs one case, checks it against `reference` and returns its JSON form."""
    dtype = NUMPY_DTYPE[precision]
    tensors = [
        {"shape": list(shape), "seed": seed, "gradient_scale": case.gradient_scale, "checkpoints": []}
        for seed, shape in enumerate(SHAPES, start=1)
    ]
    made = [inputs(tensor["seed"], shape, case.gradient_scale, dtype) for tensor, shape in zip(tensors, SHAPES, strict=True)]
    params = [x for x, _ in made]
    gradients = [list(grads) for grads in zip(*(grads for _, grads in made), strict=True)]

    worst = np.zeros(3)
    runs = zip(peer.run(case, params, gradients), reference(case.rule, params, gradients), strict=True)
    for step, (found, expected) in enumerate(runs, start=1):
        for tensor, shape, a, b in zip(tensors, SHAPES, found, expected, strict=True):
            if any(v.dtype != dtype or v.shape != shape for v in (*a, *b)):
                raise TypeError(f"{case.name} {precision}: a value does not have precision {precision} or shape {shape}")
            worst = np.maximum(worst, deviation(case, dtype, a, b))
            if step in CHECKPOINTS:
                values = {name: v.astype(np.float64).ravel().tolist() for name, v in a._asdict().items()}
                tensor["checkpoints"].append({"step": step, **values})
    print(f"  {case.name:22} {precision}   x {worst[0]:8.2f}   m {worst[1]:8.2f}   u {worst[2]:8.2f}")
    if not worst.max() <= LARGEST_CREDIBLE_DEVIATION:
        raise ArithmeticError(f"{case.name} {precision} does not follow its rule")
    return {
        "name": case.name,
        "dtype": precision,
        "call": f"{case.function}({', '.join(f'{name}={value!r}' for name, value in case.arguments.items())})",
        "hyperparameters": case.hyperparameters,
        "rule": asdict(case.rule),
        "tensors": tensors,
    }


def render(value: Any, indent: str = "") -> str:
    """Returns JSON with one line per item of a list of objects, so that each checkpoint has its own line."""

    def is_table(v: Any) -> bool:
        return isinstance(v, list) and len(v) > 0 and isinstance(v[0], dict)

    deeper = indent + " "
    if is_table(value):
        brackets, items = "[]", [render(v, deeper) for v in value]
    elif isinstance(value, dict) and any(is_table(v) for v in value.values()):
        brackets, items = "{}", [f"{json.dumps(key)}: {render(v, deeper)}" for key, v in value.items()]
    else:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return f"{brackets[0]}\n{deeper}" + f",\n{deeper}".join(items) + f"\n{indent}{brackets[1]}"


def main(names: list[str]) -> None:
    """Writes the files of the named peers, or of all peers if no name is given."""
    print("largest deviation from the NumPy reference, in rounding units of max(|x|, learning rate), u and u")
    for name in names or PEERS:
        peer = PEERS[name]
        print(name)
        content = {
            "generated_by": "tests/golden/generate.py",
            "peer": name,
            "versions": {"python": platform.python_version()} | {package: version(package) for package in ("numpy", *peer.packages)},
            "generator": GENERATOR,
            "notes": list(peer.notes),
            "cases": [record(peer, case, precision) for case in peer.cases for precision in case.dtypes],
        }
        Path(__file__).with_name(f"{name}.json").write_text(render(content) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])

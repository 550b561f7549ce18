"""Exchanges runs between torch.optim.Adamax and the Rust crate adamax.

    save(path, model, optimizer)    writes a state file, for Checkpoint::load
    load(path, model, optimizer)    reads what Checkpoint::save or this save wrote

Parameters have the names of model.named_parameters(). Needs torch and safetensors.
"""

from __future__ import annotations

import json
import math
import os
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors import torch as safetensors

# The version that save writes, and the newest that load reads.
VERSION, NEWEST = 1, 3
PARAMETER, FIRST_MOMENT, INF_NORM, CHECKSUM = "parameter/", "first_moment/", "inf_norm/", "checksum"
ROW_STEPS = "row_steps/"
PRECISIONS = (torch.float32, torch.float64)
# Learning rates are the same if only rounding lies between them: of a scheduler, or of an lr in float32.
ROUNDING = 1e-6


def save(path: str | os.PathLike[str], model: torch.nn.Module, optimizer: torch.optim.Adamax) -> None:
    """Writes the parameters of the model and the state of the optimizer.

    With a scheduler, the file has the rate before scheduling, and the factor of the scheduler as
    learning-rate scale. What PyTorch's optimizer does not have (norm bound, value clipping, policy for
    NaN, and without a scheduler the scale) is left open: `Optimizer::restore` keeps its own.
    Parameters that were never stepped, or are frozen, get a state of zeros. Buffers are not saved.

    Raises ValueError, which lists all faults, before anything is written. The file at `path` is then the
    old one. It is replaced at once, when the new one is complete.
    """
    check_kind(optimizer)
    faults: list[str] = []
    arrays = {}
    names = {parameter: name for name, parameter in model.named_parameters()}
    for parameter, name in names.items():
        if parameter.dtype in PRECISIONS:
            arrays[PARAMETER + name] = plain(parameter)
        else:
            faults.append(f"`{name}` is {short(parameter.dtype)}, but the crate has float32 and float64 only")

    tensors = {}
    first = None
    for index, group in enumerate(optimizer.param_groups):
        for position, parameter in enumerate(group["params"]):
            if parameter not in names:
                faults.append(
                    f"parameter {position} of group {index} is in the optimizer, but not in the model"
                )
                continue
            name = names[parameter]
            if parameter.dtype not in PRECISIONS:
                continue
            first = first or (name, parameter.dtype)
            if parameter.dtype != first[1]:
                faults.append(
                    f"`{name}` is {short(parameter.dtype)}, but `{first[0]}` is {short(first[1])}: "
                    "a file has moments of one precision"
                )
            state = optimizer.state.get(parameter) or fresh(parameter)
            for prefix, key in ((FIRST_MOMENT, "exp_avg"), (INF_NORM, "exp_inf")):
                moment = state[key]
                faults += misfits(f"{key} of `{name}`", moment, parameter)
                if not bool(torch.isfinite(moment).all()):
                    faults.append(f"{key} of `{name}` has NaN or an infinity")
                elif key == "exp_inf" and bool((moment < 0).any()):
                    faults.append(f"{key} of `{name}` is negative")
                arrays[prefix + name] = plain(moment)
            tensors[name] = {"group": index, "steps": int(state["step"])}

    rates, scale = scheduled(optimizer.param_groups, faults)
    groups = [to_rule(group, rate) for group, rate in zip(optimizer.param_groups, rates, strict=True)]
    for index, (group, rule) in enumerate(zip(optimizer.param_groups, groups, strict=True)):
        numbers = rule | {"lr": float(group["lr"]), "weight_decay": float(group["weight_decay"])}
        faults += [
            f"{key} of group {index} is {x}"
            for key, x in numbers.items()
            if isinstance(x, float) and not math.isfinite(x)
        ]
    refuse("cannot be saved", path, faults)

    record = {"version": VERSION, "groups": groups, "tensors": tensors}
    if scale is not None:
        record["lr_scale"] = scale
    arrays[CHECKSUM] = torch.zeros((), dtype=torch.uint32)
    content = bytearray(safetensors.save(arrays, {"adamax": json.dumps(record)}))
    content[-4:] = zlib.crc32(memoryview(content)[:-4]).to_bytes(4, "little")
    new = Path(f"{os.fspath(path)}.new")
    with new.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def load(
    path: str | os.PathLike[str],
    model: torch.nn.Module,
    optimizer: torch.optim.Adamax,
    *,
    by_hand: Collection[str] = (),
) -> None:
    """Puts the parameters of a state file into the model, and its states and rules into the optimizer.

    Everything is found by the names of parameters. Groups may have another order or be divided, but no
    group may have parameters of two groups of the file. Parameters and moments keep their memory format
    and device. Settings that the file leaves open do not change; nor do foreach, capturable and
    differentiable. To go on with a schedule, make the scheduler as for a new run, load, and set its
    `last_epoch` to the number of steps done. Optimizer and file must have the same rate before scheduling.
    A table whose rows count their own steps is read if all rows have made the same number of steps.

    `by_hand` names what the caller takes care of: "max_norm", "clip_value" (PyTorch clips outside of the
    optimizer), "averages" (PyTorch keeps them in a model of their own), and arrays of the file that the
    model does not have. The policy for gradients that are NaN is never carried over: PyTorch propagates
    NaN.

    Raises ValueError, which lists all faults. Nothing has changed then.
    """
    check_kind(optimizer)
    record, arrays = read(path)
    faults = [
        f"`{key}` is unknown"
        for key in sorted(
            record.keys() - {"version", "groups", "tensors", "lr_scale", "max_norm", "averages"}
        )
    ]
    if record.get("averages") and "averages" not in by_hand:
        of_names = ", ".join(f"`{name}`" for name in record["averages"])
        faults.append(f"torch.optim.Adamax has no averages: the file has those of {of_names}")
    if record.get("max_norm") is not None and "max_norm" not in by_hand:
        faults.append(f"torch.optim.Adamax has no bound on norms: max_norm is {record['max_norm']}")

    parameters = dict(model.named_parameters())
    saved = {entry.removeprefix(PARAMETER): x for entry, x in arrays.items() if entry.startswith(PARAMETER)}
    saved = {name: x for name, x in saved.items() if name in parameters or name not in by_hand}
    faults += [f"`{name}` is missing in the file" for name in parameters if name not in saved]
    for name, x in saved.items():
        faults += (
            misfits(f"`{name}`", x, parameters[name])
            if name in parameters
            else [f"`{name}` is not in the model"]
        )

    names = {parameter: name for name, parameter in parameters.items()}
    tensors, rules, used = record["tensors"], [], set()
    states: dict[torch.Tensor, dict[str, torch.Tensor] | None] = {}
    for index, group in enumerate(optimizer.param_groups):
        origin: dict[int, str] = {}
        for position, parameter in enumerate(group["params"]):
            if parameter not in names:
                faults.append(
                    f"parameter {position} of group {index} is in the optimizer, but not in the model"
                )
                continue
            name = names[parameter]
            if name in tensors:
                used.add(name)
                origin.setdefault(tensors[name]["group"], name)
                states[parameter] = to_state(name, parameter, tensors[name], arrays, group, faults)
            elif parameter.requires_grad:
                faults.append(f"`{name}` has no state in the file, but is trained by the optimizer")
            else:
                states[parameter] = None
        if len(origin) > 1:
            faults.append(
                f"group {index} is divided in the file: "
                + ", ".join(f"`{name}` is in group {g}" for g, name in origin.items())
            )
        for found in list(origin)[:1]:
            rule = record["groups"][found]
            changes = from_rule(rule, record.get("lr_scale"), index, group, by_hand, faults)
            rules.append((group, changes))
    faults += [
        f"`{name}` has a state in the file, but is not in the optimizer"
        for name in tensors
        if name not in used
    ]
    refuse("does not fit", path, faults)

    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(saved[name])
        for parameter, state in states.items():
            if state is None:
                optimizer.state.pop(parameter, None)
            else:
                optimizer.state[parameter] = state
        for group, changes in rules:
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(changes.pop("lr"))
            group.update(changes)


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Returns the record and the arrays of a file, after comparing the checksum."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        arrays = {entry: file.get_tensor(entry) for entry in file.keys()}  # noqa: SIM118
    if "adamax" not in metadata:
        raise ValueError(f"{path} is no state file of adamax: its metadata have no key `adamax`")
    if arrays.pop(CHECKSUM, None) is not None:
        content = memoryview(Path(path).read_bytes())
        if zlib.crc32(content[:-4]) != int.from_bytes(content[-4:], "little"):
            raise ValueError(f"{path} is damaged: its checksum is wrong")
    record: dict[str, Any] = json.loads(metadata["adamax"])
    if record["version"] not in range(1, NEWEST + 1):
        raise ValueError(f"{path} has version {record['version']}, but 1 to {NEWEST} can be read")
    return record, arrays


def scheduled(groups: list[dict[str, Any]], faults: list[str]) -> tuple[list[float], float | None]:
    """Returns the rates of the groups before scheduling, and the factor of the scheduler."""
    pairs = [(float(base_rate(group)), float(group["lr"])) for group in groups]
    if not any("initial_lr" in group for group in groups):
        return [rate for rate, _ in pairs], None
    factors = []
    for index, (rate, lr) in enumerate(pairs):
        if rate > 0:
            factors.append(lr / rate)
        elif lr > 0:
            faults.append(f"group {index} has lr {lr}, but 0 before scheduling")
    if any(not math.isclose(factor, factors[0], rel_tol=ROUNDING) for factor in factors):
        of_groups = ", ".join(f"{lr} / {rate}" for rate, lr in pairs)
        faults.append(
            f"the groups have different schedules (lr / lr before scheduling: {of_groups}), "
            "but the crate has one for all; without a scheduler, delete `initial_lr` from the groups"
        )
    return [rate for rate, _ in pairs], factors[0] if factors else 1.0


def base_rate(group: dict[str, Any]) -> Any:
    """Returns the rate that a schedule of the crate multiplies. For OneCycleLR this is the peak."""
    return group.get("max_lr", group.get("initial_lr", group["lr"]))


def to_rule(group: dict[str, Any], rate: float) -> dict[str, Any]:
    """Returns the settings of a group by the names of the crate."""
    decay = float(group["weight_decay"])
    return {
        "learning_rate": rate,
        "beta1": float(group["betas"][0]),
        "beta2": float(group["betas"][1]),
        "epsilon": float(group["eps"]),
        "epsilon_placement": "InsideMax",
        "bias_correction": "On",
        "weight_decay": {"L2": decay} if decay else "None",
        "objective": "Maximize" if group["maximize"] else "Minimize",
    }


def from_rule(
    rule: dict[str, Any],
    scale: float | None,
    index: int,
    group: dict[str, Any],
    by_hand: Collection[str],
    faults: list[str],
) -> dict[str, Any]:
    """Returns what changes in a group. Adds to the faults what PyTorch cannot express."""
    own = to_rule(group, float(base_rate(group)))
    new = own | rule
    decay = new["weight_decay"]
    kind, factor = ("L2", 0.0) if decay == "None" else next(iter(decay.items()))
    reasons = {
        "epsilon_placement": new["epsilon_placement"] != "InsideMax",
        "bias_correction": new["bias_correction"] != "On",
        "weight_decay": kind != "L2" and factor != 0,
        "clip_value": new.get("clip_value") is not None and "clip_value" not in by_hand,
    }
    reasons |= {
        key: x is not None for key, x in rule.items() if key not in own.keys() | {"clip_value", "non_finite"}
    }
    faults += [
        f"torch.optim.Adamax cannot express {key} {new[key]} (group {index})"
        for key, reason in reasons.items()
        if reason
    ]

    rate, own_rate, lr = new["learning_rate"], own["learning_rate"], float(group["lr"])
    if "initial_lr" in group and not math.isclose(rate, own_rate, rel_tol=ROUNDING):
        faults.append(
            f"the scheduler of group {index} was made for the learning rate {own_rate}, "
            f"but the file has {rate}"
        )
    own_scale = lr / own_rate if own_rate else 1.0
    changes = {
        "lr": rate * (own_scale if scale is None else scale),
        "betas": (new["beta1"], new["beta2"]),
        "eps": new["epsilon"],
        "weight_decay": factor,
        "maximize": new["objective"] == "Maximize",
    }
    return changes if scale is None or "initial_lr" in group else changes | {"initial_lr": rate}


def to_state(
    name: str,
    parameter: torch.Tensor,
    tensor: dict[str, Any],
    arrays: dict[str, torch.Tensor],
    group: dict[str, Any],
    faults: list[str],
) -> dict[str, torch.Tensor]:
    """Returns the state of a parameter, in its memory format and on its device."""
    faults += [f"`{key}` of `{name}` is unknown" for key in sorted(tensor.keys() - {"group", "steps"})]
    state = fresh(parameter, group["capturable"])
    steps = steps_of(name, tensor, arrays, faults)
    if int(state["step"].fill_(float(steps))) != steps:
        # PyTorch counts in float32, which ends at 2**24.
        state["step"] = state["step"].double().fill_(float(steps))
    if int(state["step"]) != steps:
        faults.append(f"`{name}` has made {steps} steps, but PyTorch cannot count above 2**53")
    for key, prefix in (("exp_avg", FIRST_MOMENT), ("exp_inf", INF_NORM)):
        moment = arrays.get(prefix + name)
        misfit = (
            [f"{key} of `{name}` is missing in the file"]
            if moment is None
            else misfits(f"{key} of `{name}`", moment, parameter)
        )
        faults += misfit
        if moment is not None and not misfit:
            state[key].copy_(moment)
    return state


def steps_of(
    name: str, tensor: dict[str, Any], arrays: dict[str, torch.Tensor], faults: list[str]
) -> int:
    """Returns the number of steps of a tensor. PyTorch has one number, so all rows must have the same."""
    counters = arrays.get(ROW_STEPS + name)
    steps: set[int] = set() if counters is None else set(counters.reshape(-1).tolist())
    rows = arrays[FIRST_MOMENT + name].shape[:1] if FIRST_MOMENT + name in arrays else None
    if ("steps" in tensor) == (counters is not None):
        fault = f"has {'neither steps nor' if counters is None else 'both steps and'} counters of its rows"
    elif counters is None:
        return int(tensor["steps"])
    elif counters.dtype != torch.uint64:
        fault = f"has counters of type {short(counters.dtype)}, but they must be uint64"
    elif rows is not None and counters.shape != rows:
        fault = f"has counters of shape {list(counters.shape)}, but rows of shape {list(rows)}"
    elif len(steps) > 1:
        fault = (
            f"counts the steps of each row, from {min(steps)} to {max(steps)}, "
            "but torch.optim.Adamax counts those of the whole"
        )
    else:
        return max(steps, default=0)
    faults.append(f"`{name}` {fault}")
    return 0


def fresh(parameter: torch.Tensor, capturable: bool = False) -> dict[str, torch.Tensor]:
    """Returns the state of a parameter that was never stepped."""
    return {
        "step": torch.zeros((), device=parameter.device if capturable else "cpu"),
        "exp_avg": torch.zeros_like(parameter, requires_grad=False),
        "exp_inf": torch.zeros_like(parameter, requires_grad=False),
    }


def misfits(what: str, found: torch.Tensor, expected: torch.Tensor) -> list[str]:
    """Compares precision and shape."""
    faults = []
    if found.dtype != expected.dtype:
        faults.append(f"{what} is {short(found.dtype)}, but the parameter is {short(expected.dtype)}")
    if found.shape != expected.shape:
        faults.append(f"{what} has shape {list(found.shape)}, but the parameter has {list(expected.shape)}")
    return faults


def plain(tensor: torch.Tensor) -> torch.Tensor:
    """Returns a row-major copy that shares no memory."""
    return tensor.detach().clone(memory_format=torch.contiguous_format).cpu()


def short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def check_kind(optimizer: torch.optim.Optimizer) -> None:
    if not isinstance(optimizer, torch.optim.Adamax):
        raise TypeError(f"the optimizer is a {type(optimizer).__name__}, but must be a torch.optim.Adamax")


def refuse(problem: str, path: str | os.PathLike[str], faults: list[str]) -> None:
    if faults:
        raise ValueError("\n- ".join([f"{os.fspath(path)} {problem}:", *faults]))

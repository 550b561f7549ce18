import json

import torch
from safetensors import safe_open
from safetensors.torch import save_file


def save(path, model, optimizer):
    """Writes model and optimizer for Checkpoint::load."""
    names = {p: name for name, p in model.named_parameters()}
    arrays, tensors = {}, {}
    for index, group in enumerate(optimizer.param_groups):
        for p in group["params"]:
            name, state = names[p], optimizer.state[p]
            arrays |= {f"parameter/{name}": p.detach(), f"first_moment/{name}": state["exp_avg"], f"inf_norm/{name}": state["exp_inf"]}
            tensors[name] = {"group": index, "steps": int(state["step"])}
    groups = [to_rule(group) for group in optimizer.param_groups]
    record = {"version": 1, "groups": groups, "tensors": tensors, "lr_scale": 1.0, "max_norm": None}
    save_file(arrays, path, {"adamax": json.dumps(record)})


def load(path, model, optimizer):
    """Takes over what Checkpoint::save wrote. The optimizer must have as many groups, of the same parameters."""
    parameters = dict(model.named_parameters())
    with safe_open(path, framework="pt") as file:
        record = json.loads(file.metadata()["adamax"])
        if record["max_norm"] is not None:
            raise ValueError("torch.optim.Adamax has no bound on norms")
        for group, rule in zip(optimizer.param_groups, record["groups"], strict=True):
            group.update(from_rule(rule, record["lr_scale"]))
        for name, tensor in record["tensors"].items():
            p, (x, m, u) = parameters[name], (file.get_tensor(f"{part}/{name}") for part in ("parameter", "first_moment", "inf_norm"))
            p.data.copy_(x)
            optimizer.state[p] = {"step": torch.tensor(float(tensor["steps"])), "exp_avg": m, "exp_inf": u}


def to_rule(group):
    decay = float(group["weight_decay"])
    return {
        "learning_rate": float(group["lr"]),
        "beta1": group["betas"][0],
        "beta2": group["betas"][1],
        "epsilon": group["eps"],
        "epsilon_placement": "InsideMax",
        "bias_correction": "On",
        "weight_decay": {"L2": decay} if decay else "None",
        "clip_value": None,
        "objective": "Maximize" if group["maximize"] else "Minimize",
        "non_finite": "Error",
    }


def from_rule(rule, lr_scale):
    decay = rule["weight_decay"]
    group = {
        "lr": rule["learning_rate"] * lr_scale,
        "betas": (rule["beta1"], rule["beta2"]),
        "eps": rule["epsilon"],
        "weight_decay": 0.0 if decay == "None" else decay["L2"],
        "maximize": rule["objective"] == "Maximize",
    }
    if to_rule(group) != rule | {"learning_rate": group["lr"], "non_finite": "Error"}:
        raise ValueError(f"torch.optim.Adamax has no such rule: {rule}")
    return group

"""Writes what tests/state_files/exchange.rs compares with, beside this script in exchange/.

    pip install -r ../golden/requirements.txt safetensors
    cargo test --features safetensors --test state_files -- --ignored write_for_pytorch
    python exchange.py

from_torch_*.safetensors: model and optimizer after STEPS steps of torch.optim.Adamax, for the crate to go on from.
torch_went_on_*: the same after STEPS more in PyTorch, for the crate to agree with.
from_crate_*: after STEPS steps of the crate; the Rust test wrote them and makes sure that it still would.
torch_took_over_*: the same after STEPS more in PyTorch, for the crate to agree with when it has gone on itself.
"""

from pathlib import Path

import torch
import torch_state

STEPS = 20
SHAPES = {"bias": (3,), "layer.weight": (3, 4)}
FOLDER = Path(__file__).with_name("exchange")


class Model(torch.nn.Module):
    def __init__(self, dtype):
        super().__init__()
        self.layer = torch.nn.Linear(4, 3, bias=False, dtype=dtype)
        self.bias = torch.nn.Parameter(torch.empty(3, dtype=dtype))


def number(name, index, step):
    """Anything will do that is exact in both precisions, the same in Rust, and not a function of x."""
    return ((37 * step + 101 * index + 7 * len(name)) % 64 - 32) / 128


def fill(name, like, step):
    return torch.tensor([number(name, index, step) for index in range(like.numel())], dtype=like.dtype).reshape(like.shape)


def make(dtype):
    """Two groups with settings that differ, ε of the size of the gradients."""
    model = Model(dtype)
    groups = [
        {"params": [model.layer.weight], "weight_decay": 0.1},
        {"params": [model.bias], "lr": 0.005, "betas": (0.8, 0.99), "maximize": True},
    ]
    optimizer = torch.optim.Adamax(groups, lr=0.01, eps=0.01)
    for name, p in model.named_parameters():
        p.data.copy_(4 * fill(name, p, 0))
    return model, optimizer


def advance(model, optimizer, steps):
    for step in steps:
        for name, p in model.named_parameters():
            p.grad = fill(name, p, step)
        optimizer.step()


def main():
    first, second = range(1, STEPS + 1), range(STEPS + 1, 2 * STEPS + 1)
    for precision, dtype in (("f64", torch.float64), ("f32", torch.float32)):
        model, optimizer = make(dtype)
        advance(model, optimizer, first)
        torch_state.save(FOLDER / f"from_torch_{precision}.safetensors", model, optimizer)
        advance(model, optimizer, second)
        torch_state.save(FOLDER / f"torch_went_on_{precision}.safetensors", model, optimizer)

        model, optimizer = make(dtype)
        torch_state.load(FOLDER / f"from_crate_{precision}.safetensors", model, optimizer)
        advance(model, optimizer, second)
        torch_state.save(FOLDER / f"torch_took_over_{precision}.safetensors", model, optimizer)


if __name__ == "__main__":
    main()

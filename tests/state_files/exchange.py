"""Writes what tests/state_files/exchange.rs compares with, beside this script in exchange/.

    pip install -r requirements.txt
    cargo test --features safetensors --test state_files -- --ignored write_for_pytorch
    python exchange.py

from_torch_*.safetensors: model and optimizer after STEPS steps of torch.optim.Adamax, for the crate to go on from.
torch_went_on_*: the same after STEPS more in PyTorch, for the crate to agree with.
from_crate_*: after STEPS steps of the crate; the Rust test wrote them and makes sure that it still would.
torch_took_over_*: the same after STEPS more in PyTorch, for the crate to agree with when it has gone on itself.
*_scheduled: a run with a cosine schedule and tensors of every kind, in two groups that the optimizer has in
another order than the model.
"""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "python"))

import adamax_torch  # noqa: E402

STEPS = 20
SHAPES = {"bias": (3,), "layer.weight": (3, 4)}
FOLDER = Path(__file__).with_name("exchange")


class Scheduled(torch.nn.Module):
    """Parameters that need care. `late` gets gradients in the second half, `frozen` never."""

    def __init__(self):
        super().__init__()

        def empty(*shape):
            return torch.empty(shape, dtype=torch.float64)

        self.scalar = torch.nn.Parameter(empty())
        self.transposed = torch.nn.Parameter(empty(4, 3).t())
        self.kernel = torch.nn.Parameter(empty(2, 3, 2, 2).to(memory_format=torch.channels_last))
        self.late = torch.nn.Parameter(empty(3))
        self.frozen = torch.nn.Parameter(empty(2), requires_grad=False)


class Model(torch.nn.Module):
    def __init__(self, dtype):
        super().__init__()
        self.layer = torch.nn.Linear(4, 3, bias=False, dtype=dtype)
        self.bias = torch.nn.Parameter(torch.empty(3, dtype=dtype))


def number(name, index, step):
    """Anything will do that is exact in both precisions, the same in Rust, and not a function of x."""
    return ((37 * step + 101 * index + 7 * len(name)) % 64 - 32) / 128


def fill(name, like, step):
    return torch.tensor(
        [number(name, index, step) for index in range(like.numel())], dtype=like.dtype
    ).reshape(like.shape)


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


def make_scheduled():
    """A new run, with its scheduler. The factor is 0 after the last step."""
    model = Scheduled()
    groups = [
        {"params": [model.frozen, model.late, model.kernel], "weight_decay": 0.1},
        {"params": [model.transposed, model.scalar], "lr": 0.005},
    ]
    optimizer = torch.optim.Adamax(groups, lr=0.01, eps=0.01)
    for name, p in model.named_parameters():
        p.data.copy_(4 * fill(name, p, 0))
    return model, optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 2 * STEPS)


def advance(model, optimizer, steps, scheduler=None):
    for step in steps:
        for name, p in model.named_parameters():
            if p.requires_grad and (name != "late" or step > STEPS):
                p.grad = fill(name, p, step)
        optimizer.step()
        if scheduler:
            scheduler.step()


def main():
    first, second = range(1, STEPS + 1), range(STEPS + 1, 2 * STEPS + 1)
    for precision, dtype in (("f64", torch.float64), ("f32", torch.float32)):
        model, optimizer = make(dtype)
        advance(model, optimizer, first)
        adamax_torch.save(FOLDER / f"from_torch_{precision}.safetensors", model, optimizer)
        advance(model, optimizer, second)
        adamax_torch.save(FOLDER / f"torch_went_on_{precision}.safetensors", model, optimizer)

        model, optimizer = make(dtype)
        adamax_torch.load(FOLDER / f"from_crate_{precision}.safetensors", model, optimizer)
        advance(model, optimizer, second)
        adamax_torch.save(FOLDER / f"torch_took_over_{precision}.safetensors", model, optimizer)

    model, optimizer, scheduler = make_scheduled()
    advance(model, optimizer, first, scheduler)
    adamax_torch.save(FOLDER / "from_torch_scheduled.safetensors", model, optimizer)
    advance(model, optimizer, second, scheduler)
    adamax_torch.save(FOLDER / "torch_went_on_scheduled.safetensors", model, optimizer)

    model, optimizer, scheduler = make_scheduled()
    adamax_torch.load(FOLDER / "from_crate_scheduled.safetensors", model, optimizer)
    scheduler.last_epoch = STEPS
    advance(model, optimizer, second, scheduler)
    adamax_torch.save(FOLDER / "torch_took_over_scheduled.safetensors", model, optimizer)


if __name__ == "__main__":
    main()

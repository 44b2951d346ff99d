#!/usr/bin/env python3
"""Writes src/optimizer/reference.json: weights after a few steps of PyTorch's own optimizers, which a unit test compares
ours with. Needs torch 2.9 or newer (for Muon):

    pip install torch --index-url https://download.pytorch.org/whl/cpu
    python3 scripts/reference-optimizers.py

Lion is not in torch; here it is the algorithm of its paper (arXiv 2302.06675, algorithm 2). SGD's decay is decoupled here, so it
is applied before torch's step. Muon of torch computes its products in bf16; they are put into f64 for this comparison.
"""
import json
import math
import pathlib

import torch

STEPS, RATE, DECAY, MOMENTUM = 5, 0.02, 0.1, 0.95


class Lion(torch.optim.Optimizer):
    def __init__(self, params, lr, betas, weight_decay):
        super().__init__(params, dict(lr=lr, betas=betas, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for weight in group["params"]:
                m = self.state[weight].setdefault("m", torch.zeros_like(weight))
                update = torch.sign(beta1 * m + (1 - beta1) * weight.grad)
                weight -= group["lr"] * (update + group["weight_decay"] * weight)
                m.mul_(beta2).add_(weight.grad, alpha=1 - beta2)


def numbers(rows, columns, value):
    return torch.tensor([value(at) for at in range(rows * columns)], dtype=torch.float64).reshape(rows, columns)


def exactly(tensor):
    return tensor


def trained(name, rows, columns):
    weight = torch.nn.Parameter(numbers(rows, columns, lambda at: math.cos(at * 0.9)))
    make = {
        "adamw": lambda: torch.optim.AdamW([weight], lr=RATE, betas=(0.9, 0.99), eps=1e-8, weight_decay=DECAY),
        "sgd": lambda: torch.optim.SGD([weight], lr=RATE, momentum=MOMENTUM),
        "lion": lambda: Lion([weight], lr=RATE, betas=(0.9, 0.99), weight_decay=DECAY),
        "muon": lambda: torch.optim.Muon(
            [weight], lr=RATE, weight_decay=DECAY, momentum=MOMENTUM, adjust_lr_fn="match_rms_adamw"
        ),
    }
    optimizer = make[name]()
    for step in range(1, STEPS + 1):
        weight.grad = numbers(rows, columns, lambda at: math.sin((7 * step + 3 * at) * 0.7) + 0.1)
        if name == "sgd":
            weight.data *= 1 - RATE * DECAY
        optimizer.step()
    return weight.detach().flatten().tolist()


def main():
    torch.Tensor.bfloat16 = exactly
    cases = [(name, 3, 4) for name in ["adamw", "sgd", "lion", "muon"]] + [("muon", 5, 2), ("muon", 3, 3)]
    rows = [
        dict(optimizer=name, shape=[rows, columns], steps=STEPS, values=trained(name, rows, columns))
        for name, rows, columns in cases
    ]
    text = "[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n"
    pathlib.Path(__file__).parent.parent.joinpath("src/optimizer/reference.json").write_text(text)


main()

"""A small GPT in PyTorch that `runner sweep` trains by `[train] command`, with the recipe of the built-in model. It stands for a
trainer of your own: everything above `main` is PyTorch as usual, and `main` is what docs/programs.md asks for.

usage: train.py CONFIG          the JSON file of one run. Needs: pip install torch numpy
"""

import json
import math
import os
import signal
import sys
import time

import numpy
import torch
from torch import nn
from torch.nn import functional

CHECKPOINT_SECONDS = 60


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.RMSNorm(width, eps=1e-6) for _ in range(2))
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.attention_out = nn.Linear(width, width, bias=False)
        self.mlp_in = nn.Linear(width, 4 * width, bias=False)
        self.mlp_out = nn.Linear(4 * width, width, bias=False)

    def forward(self, x, rotation):
        batch, context, width = x.shape
        packed = self.qkv(self.norms[0](x)).view(batch, context, 3, self.heads, width // self.heads)
        query, key, value = packed.permute(2, 0, 3, 1, 4)
        query, key = rotated(query, rotation), rotated(key, rotation)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.attention_out(mixed.transpose(1, 2).reshape(batch, context, width))
        return x + self.mlp_out(functional.gelu(self.mlp_in(self.norms[1](x))))


def rotated(x, rotation):
    """Rotary positions: the first half of the channels with the second."""
    cosine, sine = rotation
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), dim=-1)


class Model(nn.Module):
    def __init__(self, shape):
        super().__init__()
        width, depth, heads = shape["width"], shape["depth"], shape["heads"]
        self.embedding = nn.Embedding(shape["vocab"], width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.RMSNorm(width, eps=1e-6)
        self.unembedding = nn.Linear(width, shape["vocab"], bias=False)
        half = width // heads // 2
        angles = torch.outer(torch.arange(shape["context"]), 10000.0 ** (-torch.arange(half) / half))
        self.register_buffer("cosine", angles.cos(), persistent=False)
        self.register_buffer("sine", angles.sin(), persistent=False)
        nn.init.normal_(self.embedding.weight, std=0.02)
        for name, weight in self.named_parameters():
            if weight.dim() == 2 and name != "embedding.weight":
                # Fan-in; what adds to the residual stream is smaller the deeper the model.
                residual = name.endswith(("attention_out.weight", "mlp_out.weight"))
                nn.init.normal_(weight, std=weight.shape[1] ** -0.5 / (math.sqrt(2 * depth) if residual else 1.0))

    def forward(self, ids, targets):
        x = self.embedding(ids)
        for block in self.blocks:
            x = block(x, (self.cosine, self.sine))
        logits = self.unembedding(self.norm(x))
        return functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view(ids.shape)


def batch(tokens, starts, context, device):
    rows = torch.from_numpy(numpy.stack([tokens[start : start + context + 1] for start in starts]).astype(numpy.int64))
    return rows[:, :-1].to(device), rows[:, 1:].to(device)


def rate(step, schedule):
    """The share of the peak rate: linear warm-up, then a cosine to the floor."""
    warmup, steps, floor = schedule["warmup_steps"], schedule["steps"], schedule["floor"]
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, schedule["decay_steps"])
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def evaluate(model, tokens, context, asked, device):
    """Mean loss and its standard error over sequences that are spread evenly over the held-out text."""
    count = max(2, min(asked // context, (len(tokens) - 1) // context))
    starts = numpy.linspace(0, len(tokens) - context - 1, count).astype(numpy.int64)
    losses = []
    with torch.no_grad():
        for part in numpy.array_split(starts, math.ceil(count / 64)):
            losses.append(model(*batch(tokens, part, context, device)).mean(dim=1))
    losses = torch.cat(losses).double()
    return losses.mean().item(), (losses.std() / math.sqrt(count)).item()


def main():
    run = json.load(open(sys.argv[1]))
    shape, optimizer, schedule = (run["resolved"][key] for key in ("shape", "optimizer", "schedule"))
    context, sequences, steps = shape["context"], optimizer["batch_sequences"], schedule["steps"]
    device = run["device"]
    torch.set_num_threads(run["threads"])
    torch.manual_seed(run["seed"])
    train, validation = (numpy.memmap(os.path.join(run["corpus"], f"{split}.u16"), numpy.uint16, "r") for split in ("train", "validation"))
    order = numpy.random.default_rng(run["seed"]).permutation((len(train) - 1) // context)

    model = Model(shape).to(device)
    matrices = [weight for weight in model.parameters() if weight.dim() == 2]
    gains = [weight for weight in model.parameters() if weight.dim() == 1]
    groups = [{"params": matrices, "weight_decay": optimizer["weight_decay"]}, {"params": gains, "weight_decay": 0.0}]
    adam = torch.optim.AdamW(groups, betas=(optimizer["beta1"], optimizer["beta2"]), eps=optimizer["epsilon"])

    path, first = os.path.join(run["folder"], "checkpoint.pt"), 0
    if os.path.exists(path):
        state = torch.load(path)
        model.load_state_dict(state["model"])
        adam.load_state_dict(state["adam"])
        first = state["step"]

    def checkpoint(step):
        torch.save({"model": model.state_dict(), "adam": adam.state_dict(), "step": step}, path + ".tmp")
        os.replace(path + ".tmp", path)

    asked_to_stop = []
    signal.signal(signal.SIGTERM, lambda *_: asked_to_stop.append(True))
    saved, told, every = time.time(), [], max(1, steps // 100)
    for step in range(first, steps):
        starts = order[numpy.arange(step * sequences, (step + 1) * sequences) % len(order)] * context
        loss = model(*batch(train, starts, context, device)).mean()
        loss.backward()
        if optimizer["clip_norm"] > 0:
            nn.utils.clip_grad_norm_(model.parameters(), optimizer["clip_norm"])
        for group in adam.param_groups:
            group["lr"] = optimizer["learning_rate"] * rate(step, schedule)
        adam.step()
        adam.zero_grad(set_to_none=True)
        told.append(loss.detach())
        if (step + 1) % every == 0 or step + 1 == steps:
            print(json.dumps({"step": step + 1, "loss": torch.stack(told).mean().item()}), flush=True)
            told = []
        if asked_to_stop or time.time() - saved > CHECKPOINT_SECONDS:
            checkpoint(step + 1)
            saved = time.time()
        if asked_to_stop:
            sys.exit(75)
    loss, error = evaluate(model, validation, context, run["resolved"]["eval"]["tokens"], device)
    print(json.dumps({"val_loss": loss, "val_loss_stderr": error}), flush=True)


main()

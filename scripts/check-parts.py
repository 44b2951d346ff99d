"""The validation loss of a kept model, computed again with PyTorch's own layers from its weights, must be that of its result.

usage: check-parts.py NAME RUN_FOLDER CORPUS_FOLDER
"""

import json
import math
import struct
import sys

import numpy as np
import torch
from torch.nn import functional as F

EPSILON, ROTARY_BASE = 1e-6, 10000.0


def weights(path):
    with open(path, "rb") as file:
        length = struct.unpack("<Q", file.read(8))[0]
        header, data = json.loads(file.read(length)), file.read()
    found = {}
    for name, info in header.items():
        if name.startswith("model."):
            begin, end = info["data_offsets"]
            values = np.frombuffer(data[begin:end], "<f4").reshape(info["shape"])
            found[name.removeprefix("model.")] = torch.from_numpy(values.astype(np.float64))
    return found


class Model:
    def __init__(self, run, values):
        self.run, self.values, shape = run, values, run["shape"]
        self.parts = shape.get("parts", {})
        self.width, self.heads, self.depth = shape["width"], shape["heads"], shape["depth"]
        self.head_dim = self.width // self.heads
        standard = run["parameterization"] == "standard"
        self.logits = 1.0 if standard else run["base_width"] / self.width
        self.branch = run["base_depth"] / self.depth if run["parameterization"] == "completep" else 1.0
        self.scale = math.sqrt(self.head_dim if standard else run["base_head_dim"]) / self.head_dim

    def norm(self, x, gain):
        gain = gain[0]
        if self.parts.get("norm") == "layer":
            layer = torch.nn.LayerNorm(len(gain), eps=EPSILON, dtype=x.dtype)
            layer.weight.data, layer.bias.data = gain, torch.zeros_like(gain)
            return layer(x)
        return rms_norm(x, gain)

    def attention(self, x, part):
        batch, n, d = x.shape
        kv = d // self.parts.get("kv_sharing", 1)
        q, k, v = (x @ part["qkv"]).split([d, kv, kv], -1)
        q, k, v = (y.reshape(batch, n, -1, self.head_dim) for y in (q, k, v))
        if self.parts.get("qk_norm"):
            q, k = rms_norm(q, part["norm_query"][0]), rms_norm(k, part["norm_key"][0])
        q, k, v = (y.transpose(1, 2) for y in (q, k, v))
        if "positions" not in self.parts:
            q, k = rotate(q), rotate(k)
        k, v = (y.repeat_interleave(self.heads // y.shape[1], 1) for y in (k, v))
        logits = (q @ k.transpose(2, 3)) * self.scale
        logits = logits.masked_fill(~torch.ones(n, n, dtype=torch.bool).tril(), -math.inf)
        mixed = (F.softmax(logits, -1) @ v).transpose(1, 2).reshape(batch, n, d)
        return mixed @ part["attention_out"]

    def lstm(self, x, part):
        layer = torch.nn.LSTM(self.width, self.width, bias=False, batch_first=True, dtype=x.dtype)
        layer.weight_ih_l0.data, layer.weight_hh_l0.data = part["lstm_in"].T.contiguous(), part["lstm_state"].T.contiguous()
        return layer(x)[0] @ part["lstm_out"]

    def mingru(self, x, part):
        gate, new = (x @ part["gru_in"]).chunk(2, -1)
        gate, memory, outputs = gate.sigmoid(), torch.zeros_like(new[:, 0]), []
        for at in range(x.shape[1]):
            memory = (1 - gate[:, at]) * memory + gate[:, at] * new[:, at]
            outputs.append(memory)
        return torch.stack(outputs, 1) @ part["gru_out"]

    def mlp(self, x, part):
        x, kind = x @ part["mlp_in"], self.parts.get("mlp", "gelu")
        gates = {"swiglu": F.silu, "geglu": F.gelu, "bilinear": torch.nn.Identity()}
        if kind in gates:
            gate, up = x.chunk(2, -1)
            x = gates[kind](gate) * up
        else:
            x = F.gelu(x) if kind == "gelu" else F.relu(x).square()
        return x @ part["mlp_out"]

    def experts(self, x, part, count, active, shared=0, **_):
        def expert(name):
            return self.mlp(x, {key.rsplit(".", 1)[1]: value for key, value in part.items() if key.startswith(name + ".")})

        likely, chosen = F.softmax(x @ part["router"] * self.logits, -1).topk(active, -1)
        gates = torch.zeros(*x.shape[:-1], count, dtype=x.dtype).scatter(-1, chosen, likely / likely.sum(-1, keepdim=True))
        routed = sum(gates[..., i : i + 1] * expert(f"experts.{i}") for i in range(count))
        return routed + sum(expert(f"shared.{i}") for i in range(shared))

    def __call__(self, ids):
        values, after = self.values, self.parts.get("norm_place") == "after"
        x = F.embedding(ids, values["embedding"])
        if "positions" in values:
            x = x + values["positions"]
        mixer = getattr(self, self.parts.get("mixer", "attention"))
        experts = self.parts.get("experts")
        mlp = (lambda x, part: self.experts(x, part, **experts)) if experts else self.mlp
        for block in range(self.depth):
            begin = f"blocks.{block}."
            part = {key.removeprefix(begin): value for key, value in values.items() if key.startswith(begin)}
            for branch, gain in ((mixer, part["norm_attention"]), (mlp, part["norm_mlp"])):
                if after:
                    x = self.norm(x + branch(x, part) * self.branch, gain)
                else:
                    x = x + branch(self.norm(x, gain), part) * self.branch
        x = x if after else self.norm(x, values["norm"])
        head = values["unembedding"] if "unembedding" in values else values["embedding"].T
        return x @ head * self.logits


def rms_norm(x, gain):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPSILON) * gain


def rotate(x):
    half = x.shape[-1] // 2
    angle = torch.arange(x.shape[-2])[:, None] * ROTARY_BASE ** (-torch.arange(half, dtype=x.dtype) / half)
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], -1)


def main():
    name, folder, corpus = sys.argv[1:]
    planned = json.load(open(f"{folder}/config.json", encoding="utf-8"))
    run, context = planned["run"], planned["run"]["shape"]["context"]
    model = Model(run, weights(f"{folder}/model.safetensors"))
    tokens = np.fromfile(f"{corpus}/validation.u16", "<u2").astype(np.int64)
    windows = (len(tokens) - 1) // context
    count = min(-(-run["eval"]["tokens"] // context), windows)
    losses = []
    with torch.no_grad():
        for first in range(0, count, 64):
            rows = [tokens[i * windows // count * context :][: context + 1] for i in range(first, min(first + 64, count))]
            rows = torch.tensor(np.stack(rows))
            logits = model(rows[:, :-1])
            losses.append(F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten(), reduction="none"))
    loss = torch.cat(losses).mean().item()
    expected = json.load(open(f"{folder}/result.json", encoding="utf-8"))["val_loss"]
    print(f"{name:16s} loss {expected:.7f}, with PyTorch's layers {loss:.7f}, apart by {abs(loss - expected):.1e}")
    if not abs(loss - expected) < 1e-5:
        sys.exit(f"{name}: apart by more than 1e-5")


main()

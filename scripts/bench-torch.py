"""One of the benchmark's models in PyTorch, for comparison with `runner bench`: the same matrices, attention by
PyTorch's own fused operation, AdamW. Prints one line of JSON. Needs: pip install torch numpy.

usage: bench-torch.py MODEL(a|b|c|d|e) THREADS SECONDS [DEVICE [f32|tf32|bf16 [eager|graph]]] [--part NAME] [--busy]
DEVICE is cpu, unless said otherwise, or cuda. tf32 lets a GPU round the factors of f32 products, bf16 is autocast; graph
compiles the model and replays each step as one CUDA graph. --part: swiglu or experts instead of the MLP, lstm instead of
attention, or muon instead of AdamW for the matrices of blocks. --busy counts seconds of processor time, which others on the
machine do not take away. With BENCH_GATE=FILE it measures once that file is there: compiling takes long, and may be done
while others measure.
"""

import argparse
import json
import os
import resource
import sys
import time

# Width, blocks, heads, context, vocabulary, sequences of a batch: those of configs/bench-*.toml.
MODELS = {
    "a": (64, 2, 2, 128, 512, 32),
    "b": (128, 4, 4, 256, 2048, 16),
    "c": (256, 6, 8, 256, 4096, 16),
    "d": (512, 8, 8, 512, 8192, 64),
    "e": (768, 12, 12, 1024, 50304, 32),
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("threads", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("device", nargs="?", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("precision", nargs="?", default="f32", choices=("f32", "tf32", "bf16"))
    parser.add_argument("how", nargs="?", default="eager", choices=("eager", "graph"))
    parser.add_argument("--part", choices=("swiglu", "experts", "lstm", "muon"))
    parser.add_argument("--busy", action="store_true")
    chosen = parser.parse_args()
    if chosen.how == "graph" and chosen.device != "cuda":
        parser.error("graph: only cuda has graphs")
    return chosen


# Wrong arguments are told before PyTorch is loaded, which takes seconds.
ARGUMENTS = arguments()
BEGUN = time.perf_counter()

try:
    import torch
    from torch import nn
    from torch.nn import functional
except ImportError:
    sys.exit("PyTorch is missing; install it with: pip install torch numpy")


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x):
        batch, context, width = x.shape
        packed = self.qkv(x).view(batch, context, 3, self.heads, width // self.heads)
        query, key, value = packed.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.out(mixed.transpose(1, 2).reshape(batch, context, width))


class Lstm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.memory = nn.LSTM(width, width, bias=False, batch_first=True)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x):
        return self.out(self.memory(x)[0])


def gelu_mlp(width):
    return nn.Sequential(nn.Linear(width, 4 * width, bias=False), nn.GELU(), nn.Linear(4 * width, width, bias=False))


class SwiGlu(nn.Module):
    """Of two thirds of the width, as the nearest multiple of 8."""

    def __init__(self, width):
        super().__init__()
        hidden = (8 * width + 12) // 24 * 8
        self.into = nn.Linear(width, 2 * hidden, bias=False)
        self.out = nn.Linear(hidden, width, bias=False)

    def forward(self, x):
        gate, up = self.into(x).chunk(2, -1)
        return self.out(functional.silu(gate) * up)


class Experts(nn.Module):
    """Each token goes through the two likeliest of eight MLPs; none is dropped. Rows are sorted by expert, so that each
    expert has one product for all of its tokens."""

    COUNT, ACTIVE, BALANCE = 8, 2, 0.01

    def __init__(self, width):
        super().__init__()
        self.router = nn.Linear(width, self.COUNT, bias=False)
        self.experts = nn.ModuleList(gelu_mlp(width) for _ in range(self.COUNT))
        self.penalty = None

    def forward(self, x):
        rows = x.flatten(0, 1)
        likely = functional.softmax(self.router(rows), -1)
        gates, chosen = likely.topk(self.ACTIVE, -1)
        gates = (gates / gates.sum(-1, keepdim=True)).flatten()
        expert, order = chosen.flatten().sort(stable=True)
        loads = torch.bincount(expert, minlength=self.COUNT)
        self.penalty = self.BALANCE * self.COUNT * (loads / len(expert) * likely.mean(0)).sum()
        tokens = order // self.ACTIVE
        parts = zip(self.experts, rows[tokens].split(loads.tolist()))
        mixed = torch.cat([expert(part) for expert, part in parts]) * gates[order, None]
        return torch.zeros_like(rows).index_add(0, tokens, mixed).view_as(x)


class Block(nn.Module):
    def __init__(self, width, heads, part):
        super().__init__()
        self.before_mixer = nn.LayerNorm(width)
        self.mixer = Lstm(width) if part == "lstm" else Attention(width, heads)
        self.before_mlp = nn.LayerNorm(width)
        self.mlp = {"swiglu": SwiGlu, "experts": Experts}.get(part, gelu_mlp)(width)

    def forward(self, x):
        x = x + self.mixer(self.before_mixer(x))
        return x + self.mlp(self.before_mlp(x))


class Model(nn.Module):
    def __init__(self, width, depth, heads, context, vocab, part=None):
        super().__init__()
        self.tokens = nn.Embedding(vocab, width)
        # A memory knows positions by itself.
        self.positions = None if part == "lstm" else nn.Parameter(0.02 * torch.randn(context, width))
        self.blocks = nn.Sequential(*(Block(width, heads, part) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.unembedding = nn.Linear(width, vocab, bias=False)

    def forward(self, ids, targets):
        x = self.tokens(ids)
        x = x if self.positions is None else x + self.positions
        logits = self.unembedding(self.norm(self.blocks(x)))
        loss = functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        penalties = [block.mlp.penalty for block in self.blocks if isinstance(block.mlp, Experts)]
        return loss + sum(penalties) if penalties else loss


class Both:
    """Two optimizers as one."""

    def __init__(self, *optimizers):
        self.optimizers = optimizers

    def zero_grad(self, set_to_none):
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=set_to_none)

    def step(self):
        for optimizer in self.optimizers:
            optimizer.step()


def optimizer_of(model, part, **how):
    def adamw(weights):
        return torch.optim.AdamW(weights, lr=1e-3, weight_decay=0.1, **how)

    if part != "muon":
        return adamw(model.parameters())
    matrices = [weight for weight in model.blocks.parameters() if weight.ndim == 2]
    others = [weight for weight in model.parameters() if not any(weight is matrix for matrix in matrices)]
    return Both(torch.optim.Muon(matrices, lr=1e-3, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"), adamw(others))


def captured(step):
    """A step as one CUDA graph, after the warm-up on another stream that capturing asks for."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = step()

    def replay():
        graph.replay()
        return loss

    return replay


def main():
    name, seconds, device, precision, how, part = (
        getattr(ARGUMENTS, key) for key in ("model", "seconds", "device", "precision", "how", "part")
    )
    on_card = device == "cuda"
    if on_card and not torch.cuda.is_available():
        sys.exit("PyTorch sees no card")
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    width, depth, heads, context, vocab, batch = MODELS[name]
    torch.set_num_threads(ARGUMENTS.threads)
    torch.manual_seed(1)
    model = Model(width, depth, heads, context, vocab, part).to(device)
    optimizer = optimizer_of(model, part, fused=True if on_card else None, capturable=how == "graph")
    forward = torch.compile(model, dynamic=False) if how == "graph" else model
    stream = torch.randint(0, vocab, (batch, context + 1), device=device)

    def step():
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
            loss = forward(stream[:, :-1].contiguous(), stream[:, 1:].contiguous())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if on_card:
            # As ours does; on the CPU the published comparison was made without.
            nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=True)
        optimizer.step()
        return loss

    run = captured(step) if how == "graph" else step
    run().item()
    ready = time.perf_counter() - BEGUN
    while "BENCH_GATE" in os.environ and not os.path.exists(os.environ["BENCH_GATE"]):
        time.sleep(0.01)
    # A card is asked for many steps before one is waited for, as in training.
    together = 20 if on_card else 1
    clock = time.process_time if ARGUMENTS.busy else time.perf_counter
    times = []
    begun = clock()
    # Three rounds of warm-up, then until the time is over.
    while len(times) < 6 or clock() - begun < seconds:
        fresh = torch.randint(0, vocab, (together, batch, context + 1), device=device)
        if on_card:
            torch.cuda.synchronize()
        before = clock()
        for tokens in fresh:
            stream.copy_(tokens)
            loss = run()
        loss.item()
        times.append((clock() - before) / together)
    steady = sorted(times[3:])
    result = {
        "program": "torch",
        "name": name,
        "device": device,
        "precision": precision,
        "how": how,
        "part": part,
        "tokens_per_second": batch * context / steady[len(steady) // 2],
        "first_step": ready,
        "peak_memory": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "card_memory": torch.cuda.max_memory_allocated() if on_card else None,
        "torch": torch.__version__,
    }
    print(json.dumps(result))


main()

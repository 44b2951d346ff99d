"""One of the benchmark's models in PyTorch, for comparison with `runner bench`: the same matrices, attention by
PyTorch's own fused operation, AdamW. Prints one line of JSON. Needs: pip install torch numpy.

usage: bench-torch.py MODEL(a|b|c|d|e) THREADS SECONDS [DEVICE [f32|tf32|bf16 [eager|graph]]]
DEVICE is cpu, unless said otherwise, or cuda. tf32 lets a GPU round the factors of f32 products, bf16 is autocast; graph
compiles the model and replays each step as one CUDA graph. With BENCH_GATE=FILE it measures once that file is there: compiling
takes long, and may be done while others measure.
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


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.before_attention = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.before_mlp = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width, bias=False), nn.GELU(), nn.Linear(4 * width, width, bias=False)
        )

    def forward(self, x):
        batch, context, width = x.shape
        packed = self.qkv(self.before_attention(x)).view(batch, context, 3, self.heads, width // self.heads)
        query, key, value = packed.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, context, width))
        return x + self.mlp(self.before_mlp(x))


class Model(nn.Module):
    def __init__(self, width, depth, heads, context, vocab):
        super().__init__()
        self.tokens = nn.Embedding(vocab, width)
        self.positions = nn.Parameter(0.02 * torch.randn(context, width))
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.unembedding = nn.Linear(width, vocab, bias=False)

    def forward(self, ids, targets):
        logits = self.unembedding(self.norm(self.blocks(self.tokens(ids) + self.positions)))
        return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


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
    name, seconds, device, precision, how = (
        getattr(ARGUMENTS, key) for key in ("model", "seconds", "device", "precision", "how")
    )
    on_card = device == "cuda"
    if on_card and not torch.cuda.is_available():
        sys.exit("PyTorch sees no card")
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    width, depth, heads, context, vocab, batch = MODELS[name]
    torch.set_num_threads(ARGUMENTS.threads)
    torch.manual_seed(1)
    model = Model(width, depth, heads, context, vocab).to(device)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=1e-3, weight_decay=0.1, fused=True if on_card else None, capturable=how == "graph"
    )
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
    times = []
    begun = time.perf_counter()
    # Three rounds of warm-up, then until the time is over.
    while len(times) < 6 or time.perf_counter() - begun < seconds:
        fresh = torch.randint(0, vocab, (together, batch, context + 1), device=device)
        if on_card:
            torch.cuda.synchronize()
        before = time.perf_counter()
        for tokens in fresh:
            stream.copy_(tokens)
            loss = run()
        loss.item()
        times.append((time.perf_counter() - before) / together)
    steady = sorted(times[3:])
    result = {
        "program": "torch",
        "name": name,
        "device": device,
        "precision": precision,
        "how": how,
        "tokens_per_second": batch * context / steady[len(steady) // 2],
        "first_step": ready,
        "peak_memory": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "card_memory": torch.cuda.max_memory_allocated() if on_card else None,
        "torch": torch.__version__,
    }
    print(json.dumps(result))


main()

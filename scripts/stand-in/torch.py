"""Stands in for PyTorch where scripts/check-driver.sh rehearses scripts/bench-torch.py without a card: it computes nothing and
takes no time, but refuses to give batches to measure before the gate is open (BENCH_GATE), or a step outside of a graph."""

import os
import sys


class Thing:
    """What every call gives: a tensor, a module, a stream, a context."""

    def __init__(self, size=()):
        self.size = size

    def __getattr__(self, name):
        return self

    def __call__(self, *_, **__):
        return self

    def __getitem__(self, _):
        return self

    def __rmul__(self, _):
        return self

    def __iter__(self):
        return iter([self] * self.size[0])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def item(self):
        return 1.0


class Module:
    def to(self, _):
        return self

    def parameters(self):
        return []


class Nn(Thing):
    Module = Module


class Graph(Thing):
    """A recorded step, which must be recorded before it is done."""

    recorded = False

    def replay(self):
        assert self.recorded, "a graph is done before it is recorded"


class Cuda(Thing):
    def CUDAGraph(self):
        return Graph()

    def graph(self, graph):
        graph.recorded = True
        return Thing()

    def max_memory_allocated(self):
        return 64 << 20


def randint(_low, _high, size, device):
    assert device == "cuda"
    # Many batches at once are those that are measured.
    assert len(size) == 2 or os.path.exists(os.environ["BENCH_GATE"]), "measured before the gate was open"
    return Thing(size)


def compile(model, dynamic):
    assert isinstance(model, Module) and not dynamic
    return Thing()


nn = Nn()
cuda = Cuda()
optim = autocast = set_float32_matmul_precision = set_num_threads = manual_seed = randn = Thing()
bfloat16 = "bfloat16"
__version__ = "stand-in"
sys.modules["torch.nn"] = nn

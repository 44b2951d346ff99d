// Where a head's part of a packed sequence lies, and how large all of it is. Grid (blocks of all heads, sequences).
#pragma once
#include "common.cuh"

// The block among those of its head.
__device__ inline int block_of_head(int heads) { return blockIdx.x % (gridDim.x / heads); }

struct Head {
    int context, heads, d, k, head, pitch;
    long long first; // row of the batch

    __device__ Head(int context, int heads, int k)
        : context(context), heads(heads), d(heads * k), k(k), head(blockIdx.x / (gridDim.x / heads)), pitch(k + 1),
          first((long long)blockIdx.y * context) {}
    // Channel c of query (0), key (1) or value (2) at a position.
    __device__ long long packed(int part, int position, int c) const {
        return (first + position) * 3 * d + part * d + head * k + c;
    }
    __device__ long long out(int position, int c) const { return (first + position) * d + head * k + c; }
    __device__ long long row(int position) const {
        return ((long long)blockIdx.y * heads + head) * context + position;
    }
};

__device__ inline float quad_sum(float x) {
    x += __shfl_xor_sync(0xffffffffu, x, 1);
    return x + __shfl_xor_sync(0xffffffffu, x, 2);
}

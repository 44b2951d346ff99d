// Where a head's part of a packed sequence lies, and how large all of it is. Grid (tiles, heads, sequences).
#pragma once
#include "common.cuh"

struct Head {
    int context, d, k, head, pitch;
    long long first; // row of the batch

    __device__ Head(int context, int heads, int k)
        : context(context), d(heads * k), k(k), head(blockIdx.y), pitch(k + 1), first((long long)blockIdx.z * context) {}
    // Channel c of query (0), key (1) or value (2) at a position.
    __device__ long long packed(int part, int position, int c) const {
        return (first + position) * 3 * d + part * d + head * k + c;
    }
    __device__ long long out(int position, int c) const { return (first + position) * d + head * k + c; }
    __device__ long long row(int position) const {
        return ((long long)blockIdx.z * gridDim.y + head) * context + position;
    }
};

__device__ inline float quad_sum(float x) {
    x += __shfl_xor_sync(0xffffffffu, x, 1);
    return x + __shfl_xor_sync(0xffffffffu, x, 2);
}

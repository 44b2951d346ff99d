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

// What the softmax's gradient subtracts, out_i . grad_i, of 32 queries from `begin` on, by 128 threads, N channels at a time.
template <int N, class T, class Deltas>
__device__ inline void load_deltas(Deltas& deltas, const T* out, const T* grad, const Head& h, int begin) {
    int row = threadIdx.x / 4, position = begin + row;
    float sum = 0.0f;
    for (int c = threadIdx.x % 4 * N; position < h.context && c < h.k; c += 4 * N) {
        auto o = Pack<T, N>::at(out + h.out(position, c)), g = Pack<T, N>::at(grad + h.out(position, c));
#pragma unroll
        for (int i = 0; i < N; i++) sum += o[i] * g[i];
    }
    sum = quad_sum(sum);
    if (threadIdx.x % 4 == 0) deltas[row] = sum;
}

// Sizes of activations, for the coordinate check: never part of a step.
#include "common.cuh"

// sums [gridDim.x] = sums of |x| over as many pieces of x [n], of one length. Blocks of at most 1024 threads, a power of two.
template <class T> __device__ void watch(const T* x, long long n, double* sums) {
    long long piece = (n + gridDim.x - 1) / gridDim.x, begin = blockIdx.x * piece;
    double sum = 0.0;
    for (long long i = begin + threadIdx.x; i < begin + piece && i < n; i += blockDim.x) sum += fabsf(to_f32(x[i]));
    sum = block_sum_f64(sum);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}
#define WATCH(T, name)                                                                                                 \
    extern "C" __global__ void name(const T* x, long long n, double* sums, long long apart) {                          \
        to_own_run(apart, x, sums);                                                                                    \
        watch<T>(x, n, sums);                                                                                          \
    }                                                                                                                  \
    LISTED(name)
WATCH(float, watch_f32)
WATCH(bf16, watch_bf16)

// sums [rows] = sum over heads and keys j <= i of |scale q_i . k_j|, queries and keys as turned (rotary.cu). One block
// a row, of at most 1024 threads, a power of two.
template <class T>
__device__ void watch_logits(const T* qkv, float* sums, int context, int heads, int head_dim, float scale) {
    int d = heads * head_dim, i = blockIdx.x % context;
    const T *row = qkv + (long long)blockIdx.x * 3 * d, *first = row - (long long)i * 3 * d;
    double sum = 0.0;
    for (int pair = threadIdx.x; pair < (i + 1) * heads; pair += blockDim.x) {
        int j = pair / heads;
        const T *q = row + pair % heads * head_dim, *key = first + (long long)j * 3 * d + d + pair % heads * head_dim;
        float product = 0.0f;
        for (int c = 0; c < head_dim; c++) product += to_f32(q[c]) * to_f32(key[c]);
        sum += fabsf(scale * product);
    }
    sum = block_sum_f64(sum);
    if (threadIdx.x == 0) sums[blockIdx.x] = (float)sum;
}
#define WATCH_LOGITS(T, name)                                                                                          \
    extern "C" __global__ void name(const T* qkv, float* sums, int context, int heads, int head_dim, float scale,      \
                                    long long apart) {                                                                 \
        to_own_run(apart, qkv, sums);                                                                                  \
        watch_logits<T>(qkv, sums, context, heads, head_dim, scale);                                                   \
    }                                                                                                                  \
    LISTED(name)
WATCH_LOGITS(float, watch_logits_f32)
WATCH_LOGITS(bf16, watch_logits_bf16)

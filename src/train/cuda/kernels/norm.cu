// The residual stream and its normalization by the root mean square (Zhang and Sennrich 2019, arXiv 1910.07467).
#include "common.cuh"

#define NORM_EPSILON 1e-6f
// Rows of one block of the backward pass, and of one piece of the gradient of the gain.
#define NORM_ROWS 64
// Rows whose numbers a thread asks for before it needs the first.
#define NORM_TOGETHER 8

// stream = x + multiplier branch; inverse = 1 / rms(stream); out = stream x inverse x gain. [rows, d], one block a row.
// `branch` may be null; `stream` may be `x`.
template <class T>
__device__ void add_norm(const float* x, const T* branch, float multiplier, const float* gain, float* stream, T* out,
                         float* inverse, int d) {
    long long at = (long long)blockIdx.x * d;
    float squares = 0.0f;
    for (int i = threadIdx.x; i < d; i += blockDim.x) {
        float v = x[at + i];
        if (branch) v += multiplier * to_f32(branch[at + i]);
        stream[at + i] = v;
        squares += v * v;
    }
    float r = 1.0f / sqrtf(block_sum(squares) / d + NORM_EPSILON);
    // Each thread reads again what it has written itself.
    for (int i = threadIdx.x; i < d; i += blockDim.x) out[at + i] = to<T>(stream[at + i] * r * gain[i]);
    if (threadIdx.x == 0) inverse[blockIdx.x] = r;
}
#define ADD_NORM(T, name)                                                                                              \
    extern "C" __global__ void name(const float* x, const T* branch, float multiplier, const float* gain,              \
                                    float* stream, T* out, float* inverse, int d) {                                    \
        add_norm<T>(x, branch, multiplier, gain, stream, out, inverse, d);                                             \
    }                                                                                                                  \
    LISTED(name)
ADD_NORM(float, add_norm_f32)
ADD_NORM(bf16, add_norm_bf16)

// The gradient of the stream, and a piece of that of the gain. With h = x inverse and g the gradient of the output:
//
//   dx = before + (g gain - h mean(g gain h)) inverse;   partials[piece] = sum of g h over the rows of the piece
//   branch = multiplier dx, what the branch that was added before gets
//
// One block for NORM_ROWS rows, of at most 32 warps: first each warp takes the means of its rows, then each thread goes down
// its channels, with all rows' loads in flight and one barrier in all. `before` may be null (zero) or `dx` itself; `branch`
// may be null.
template <class T>
__device__ void norm_backward(const T* grad, const float* x, const float* inverse, const float* gain, const float* before,
                              float* dx, T* branch, float multiplier, float* partials, int rows, int d) {
    SHARED(float, means, NORM_ROWS);
    SHARED(float, inverses, NORM_ROWS);
    long long begin = (long long)blockIdx.x * NORM_ROWS;
    int count = rows - begin < NORM_ROWS ? (int)(rows - begin) : NORM_ROWS;
    for (int row = threadIdx.x / 32; row < count; row += blockDim.x / 32) {
        float r = inverse[begin + row], products = 0.0f;
        for (int i = threadIdx.x % 32; i < d; i += 32) {
            long long at = (begin + row) * d + i;
            products += to_f32(grad[at]) * gain[i] * (x[at] * r);
        }
        products = warp_sum(products);
        if (threadIdx.x % 32 == 0) means[row] = products / d, inverses[row] = r;
    }
    __syncthreads();
    for (int i = threadIdx.x; i < d; i += blockDim.x) {
        float sum = 0.0f, gained = gain[i];
#pragma unroll 1
        for (int row0 = 0; row0 < count; row0 += NORM_TOGETHER) {
            float g[NORM_TOGETHER], h[NORM_TOGETHER], had[NORM_TOGETHER];
#pragma unroll
            for (int u = 0; u < NORM_TOGETHER; u++) {
                long long at = (begin + row0 + u) * d + i;
                bool there = row0 + u < count;
                g[u] = there ? to_f32(grad[at]) : 0.0f;
                h[u] = there ? x[at] * (float)inverses[row0 + u] : 0.0f;
                had[u] = there && before ? before[at] : 0.0f;
            }
#pragma unroll
            for (int u = 0; u < NORM_TOGETHER; u++) {
                if (row0 + u >= count) break;
                long long at = (begin + row0 + u) * d + i;
                float v = (g[u] * gained - h[u] * (float)means[row0 + u]) * (float)inverses[row0 + u] + had[u];
                sum += g[u] * h[u];
                dx[at] = v;
                if (branch) branch[at] = to<T>(multiplier * v);
            }
        }
        partials[(long long)blockIdx.x * d + i] = sum;
    }
}
#define NORM_BACKWARD(T, name)                                                                                         \
    extern "C" __global__ void name(const T* grad, const float* x, const float* inverse, const float* gain,            \
                                    const float* before, float* dx, T* branch, float multiplier, float* partials,      \
                                    int rows, int d) {                                                                 \
        norm_backward<T>(grad, x, inverse, gain, before, dx, branch, multiplier, partials, rows, d);                   \
    }                                                                                                                  \
    LISTED(name)
NORM_BACKWARD(float, norm_backward_f32)
NORM_BACKWARD(bf16, norm_backward_bf16)

// grad [d] (+)= sum of partials [pieces, d], in their order. One thread a channel.
extern "C" __global__ void gain_reduce(const float* partials, int pieces, float* grad, int d, int accumulate) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= d) return;
    float sum = accumulate ? grad[i] : 0.0f;
#pragma unroll 16
    for (int piece = 0; piece < pieces; piece++) sum += partials[(long long)piece * d + i];
    grad[i] = sum;
}
LISTED(gain_reduce)

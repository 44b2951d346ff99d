// The residual stream and its normalization by the root mean square (Zhang and Sennrich 2019, arXiv 1910.07467).
#include "common.cuh"

#define NORM_EPSILON 1e-6f
// Rows of one block of the backward pass, and of one piece of the gradient of the gain.
#define NORM_ROWS 64

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
// One block for NORM_ROWS rows. `before` may be null (zero) or `dx` itself; `branch` may be null. Dynamic shared memory: d
// floats.
template <class T>
__device__ void norm_backward(const T* grad, const float* x, const float* inverse, const float* gain, const float* before,
                              float* dx, T* branch, float multiplier, float* partials, int rows, int d) {
    SHARED_DYNAMIC(float, memory);
    auto sums = memory;
    // Each channel belongs to one thread.
    for (int i = threadIdx.x; i < d; i += blockDim.x) sums[i] = 0.0f;
    int first = blockIdx.x * NORM_ROWS;
    for (int row = first; row < first + NORM_ROWS && row < rows; row++) {
        long long at = (long long)row * d;
        float r = inverse[row], products = 0.0f;
        for (int i = threadIdx.x; i < d; i += blockDim.x) {
            float g = to_f32(grad[at + i]), h = x[at + i] * r;
            sums[i] = (float)sums[i] + g * h;
            products += g * gain[i] * h;
        }
        float mean = block_sum(products) / d;
        for (int i = threadIdx.x; i < d; i += blockDim.x) {
            float g = to_f32(grad[at + i]), h = x[at + i] * r;
            float v = (g * gain[i] - h * mean) * r + (before ? before[at + i] : 0.0f);
            dx[at + i] = v;
            if (branch) branch[at + i] = to<T>(multiplier * v);
        }
    }
    for (int i = threadIdx.x; i < d; i += blockDim.x) partials[(long long)blockIdx.x * d + i] = sums[i];
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
    for (int piece = 0; piece < pieces; piece++) sum += partials[(long long)piece * d + i];
    grad[i] = sum;
}
LISTED(gain_reduce)

// What is done with each number by itself, and with a gate and what it multiplies (Shazeer 2020, arXiv 2002.05202).
#include "common.cuh"

// Numbers of one thread.
#define ACTIVATED 8

// GELU with the exact normal distribution function (Hendrycks and Gimpel 2016, arXiv 1606.08415).
struct Gelu {
    __device__ static float cdf(float x) { return 0.5f * (1.0f + erff(x * 0.70710678f)); }
    __device__ static float of(float x) { return x * cdf(x); }
    __device__ static float slope(float x) { return cdf(x) + x * 0.3989423f * expf(-0.5f * x * x); }
};
// The square of what is above 0 (So et al. 2021, arXiv 2109.08668). What is no number stays none.
struct SquaredRelu {
    __device__ static float positive(float x) { return x <= 0.0f ? 0.0f : x; }
    __device__ static float of(float x) { return positive(x) * positive(x); }
    __device__ static float slope(float x) { return 2.0f * positive(x); }
};
// x sigmoid(x).
struct Silu {
    __device__ static float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }
    __device__ static float of(float x) { return x * sigmoid(x); }
    __device__ static float slope(float x) { return sigmoid(x) * (1.0f + x * (1.0f - sigmoid(x))); }
};
struct Identity {
    __device__ static float of(float x) { return x; }
    __device__ static float slope(float) { return 1.0f; }
};

// y = f(x), n numbers.
template <class T, class F, int N> __device__ inline void activate_at(const T* x, T* y) {
    auto numbers = Pack<T, N>::at(x);
    float v[N];
#pragma unroll
    for (int c = 0; c < N; c++) v[c] = F::of(numbers[c]);
    Pack<T, N>::of(v).put(y);
}

// Turns the gradient of y into that of x: times f'(x).
template <class T, class F, int N> __device__ inline void activate_backward_at(const T* x, T* grad) {
    auto numbers = Pack<T, N>::at(x), grads = Pack<T, N>::at(grad);
    float v[N];
#pragma unroll
    for (int c = 0; c < N; c++) v[c] = grads[c] * F::slope(numbers[c]);
    Pack<T, N>::of(v).put(grad);
}

// A thread has ACTIVATED numbers; those of the last one are taken singly where they are fewer.
#define ACTIVATE(T, F, name, at, X, Y)                                                                                 \
    extern "C" __global__ void name(X x, Y y, long long n, long long apart) {                                          \
        to_own_run(apart, x, y);                                                                                       \
        long long i = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * ACTIVATED;                                  \
        if (i + ACTIVATED <= n) return at<T, F, ACTIVATED>(x + i, y + i);                                              \
        for (; i < n; i++) at<T, F, 1>(x + i, y + i);                                                                  \
    }                                                                                                                  \
    LISTED(name)
#define ACTIVATION(F, name)                                                                                            \
    ACTIVATE(float, F, name##_f32, activate_at, const float*, float*)                                                  \
    ACTIVATE(bf16, F, name##_bf16, activate_at, const bf16*, bf16*)                                                    \
    ACTIVATE(float, F, name##_backward_f32, activate_backward_at, const float*, float*)                                \
    ACTIVATE(bf16, F, name##_backward_bf16, activate_backward_at, const bf16*, bf16*)
ACTIVATION(Gelu, gelu)
ACTIVATION(SquaredRelu, squared_relu)

// y [rows, half] = f(x[, c]) x[, half + c] of x [rows, 2 half], half a multiple of ACTIVATED: a thread has ACTIVATED numbers
// of y, n in all.
template <class T, class F> __device__ inline void gate(const T* x, T* y, long long n, int half) {
    long long i = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * ACTIVATED;
    if (i >= n) return;
    const T* row = x + i / half * 2 * half + i % half;
    auto gates = Pack<T, ACTIVATED>::at(row), rest = Pack<T, ACTIVATED>::at(row + half);
    float v[ACTIVATED];
#pragma unroll
    for (int c = 0; c < ACTIVATED; c++) v[c] = F::of(gates[c]) * rest[c];
    Pack<T, ACTIVATED>::of(v).put(y + i);
}

// From the gradient of y that of x: for the gate g f'(x[, c]) x[, half + c], for the rest g f(x[, c]).
template <class T, class F> __device__ inline void gate_backward(const T* x, const T* grad_y, T* grad_x, long long n, int half) {
    long long i = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * ACTIVATED;
    if (i >= n) return;
    long long at = i / half * 2 * half + i % half;
    auto gates = Pack<T, ACTIVATED>::at(x + at), rest = Pack<T, ACTIVATED>::at(x + at + half);
    auto grads = Pack<T, ACTIVATED>::at(grad_y + i);
    float of_gate[ACTIVATED], of_rest[ACTIVATED];
#pragma unroll
    for (int c = 0; c < ACTIVATED; c++) {
        of_gate[c] = grads[c] * rest[c] * F::slope(gates[c]);
        of_rest[c] = grads[c] * F::of(gates[c]);
    }
    Pack<T, ACTIVATED>::of(of_gate).put(grad_x + at);
    Pack<T, ACTIVATED>::of(of_rest).put(grad_x + at + half);
}
#define GATE(T, F, forward, backward)                                                                                  \
    extern "C" __global__ void forward(const T* x, T* y, long long n, int half, long long apart) {                     \
        to_own_run(apart, x, y);                                                                                       \
        gate<T, F>(x, y, n, half);                                                                                     \
    }                                                                                                                  \
    LISTED(forward)                                                                                                    \
    extern "C" __global__ void backward(const T* x, const T* grad_y, T* grad_x, long long n, int half,                 \
                                        long long apart) {                                                             \
        to_own_run(apart, x, grad_y, grad_x);                                                                          \
        gate_backward<T, F>(x, grad_y, grad_x, n, half);                                                               \
    }                                                                                                                  \
    LISTED(backward)
#define GATES(F, name)                                                                                                 \
    GATE(float, F, name##_f32, name##_backward_f32)                                                                    \
    GATE(bf16, F, name##_bf16, name##_backward_bf16)
GATES(Silu, gated_silu)
GATES(Gelu, gated_gelu)
GATES(Identity, gated)

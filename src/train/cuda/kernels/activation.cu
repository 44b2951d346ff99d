// GELU with the exact normal distribution function (Hendrycks and Gimpel 2016, arXiv 1606.08415).
#include "common.cuh"

// Numbers of one thread.
#define GELU_NUMBERS 8

__device__ inline float normal_cdf(float x) { return 0.5f * (1.0f + erff(x * 0.70710678f)); }
__device__ inline float gelu_of(float x) { return x * normal_cdf(x); }
__device__ inline float gelu_slope(float x) { return normal_cdf(x) + x * 0.3989423f * expf(-0.5f * x * x); }

// y = x Phi(x), n numbers.
template <class T, int N> __device__ inline void gelu_at(const T* x, T* y) {
    auto numbers = Pack<T, N>::at(x);
    float v[N];
#pragma unroll
    for (int c = 0; c < N; c++) v[c] = gelu_of(numbers[c]);
    Pack<T, N>::of(v).put(y);
}

// Turns the gradient of y into that of x: times Phi(x) + x phi(x).
template <class T, int N> __device__ inline void gelu_backward_at(const T* x, T* grad) {
    auto numbers = Pack<T, N>::at(x), grads = Pack<T, N>::at(grad);
    float v[N];
#pragma unroll
    for (int c = 0; c < N; c++) v[c] = grads[c] * gelu_slope(numbers[c]);
    Pack<T, N>::of(v).put(grad);
}

// A thread has GELU_NUMBERS numbers; those of the last one are taken singly where they are fewer.
#define GELU(T, name, at, X, Y)                                                                                        \
    extern "C" __global__ void name(X x, Y y, long long n) {                                                           \
        long long i = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * GELU_NUMBERS;                               \
        if (i + GELU_NUMBERS <= n) return at<T, GELU_NUMBERS>(x + i, y + i);                                           \
        for (; i < n; i++) at<T, 1>(x + i, y + i);                                                                     \
    }                                                                                                                  \
    LISTED(name)
GELU(float, gelu_f32, gelu_at, const float*, float*)
GELU(bf16, gelu_bf16, gelu_at, const bf16*, bf16*)
GELU(float, gelu_backward_f32, gelu_backward_at, const float*, float*)
GELU(bf16, gelu_backward_bf16, gelu_backward_at, const bf16*, bf16*)

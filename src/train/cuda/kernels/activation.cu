// GELU with the exact normal distribution function (Hendrycks and Gimpel 2016, arXiv 1606.08415).
#include "common.cuh"

__device__ inline float normal_cdf(float x) { return 0.5f * (1.0f + erff(x * 0.70710678f)); }

// y = x Phi(x), n numbers, one thread each.
template <class T> __device__ void gelu(const T* x, T* y, long long n) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float v = to_f32(x[i]);
    y[i] = to<T>(v * normal_cdf(v));
}

// Turns the gradient of y into that of x: times Phi(x) + x phi(x).
template <class T> __device__ void gelu_backward(const T* x, T* grad, long long n) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float v = to_f32(x[i]);
    grad[i] = to<T>(to_f32(grad[i]) * (normal_cdf(v) + v * 0.3989423f * expf(-0.5f * v * v)));
}
#define GELU(T, forward, backward)                                                                                     \
    extern "C" __global__ void forward(const T* x, T* y, long long n) { gelu<T>(x, y, n); }                            \
    LISTED(forward)                                                                                                    \
    extern "C" __global__ void backward(const T* x, T* grad, long long n) { gelu_backward<T>(x, grad, n); }            \
    LISTED(backward)
GELU(float, gelu_f32, gelu_backward_f32)
GELU(bf16, gelu_bf16, gelu_backward_bf16)

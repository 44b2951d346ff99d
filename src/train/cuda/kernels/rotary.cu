// Queries and keys turned by the angles of their positions (Su et al. 2021, arXiv 2104.09864), before attention reads them.
#include "common.cuh"

// `qkv` [rows, 3 d] has queries, keys and values of all heads beside each other; a head has k = d / heads channels, a multiple
// of 8. In place, for queries and keys, with a = x[c], b = x[c + k / 2] and the tables cos, sin [context, k / 2]:
//
//   x[c] = a cos - b sin;   x[c + k / 2] = a sin + b cos
//
// A thread takes four channels c, and those that belong to them.
#define ROTATED 4
template <class T>
__device__ void rotate(T* qkv, const float* cos, const float* sin, int rows, int context, int heads, int head_dim) {
    int half = head_dim / 2, quads = half / ROTATED, each = heads * quads;
    long long e = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (e >= (long long)rows * 2 * each) return;
    int row = (int)(e / (2 * each)), rest = (int)(e % (2 * each)), part = rest / each, head = rest % each / quads;
    int c = rest % quads * ROTATED, d = heads * head_dim;
    T* x = qkv + (long long)row * 3 * d + part * d + head * head_dim + c;
    auto a = Pack<T, ROTATED>::at(x), b = Pack<T, ROTATED>::at(x + half);
    auto co = Pack<float, ROTATED>::at(cos + row % context * half + c), si = Pack<float, ROTATED>::at(sin + row % context * half + c);
    float first[ROTATED], second[ROTATED];
#pragma unroll
    for (int i = 0; i < ROTATED; i++) {
        first[i] = a[i] * co[i] - b[i] * si[i];
        second[i] = a[i] * si[i] + b[i] * co[i];
    }
    Pack<T, ROTATED>::of(first).put(x);
    Pack<T, ROTATED>::of(second).put(x + half);
}
#define ROTATE(T, name)                                                                                                \
    extern "C" __global__ void name(T* qkv, const float* cos, const float* sin, int rows, int context, int heads,      \
                                    int head_dim, long long apart) {                                                   \
        to_own_run(apart, qkv, cos, sin);                                                                              \
        rotate<T>(qkv, cos, sin, rows, context, heads, head_dim);                                                      \
    }                                                                                                                  \
    LISTED(name)
ROTATE(float, rotate_f32)
ROTATE(bf16, rotate_bf16)

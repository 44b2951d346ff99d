// Queries, keys and values as attention reads them: each head of queries and keys over its root mean square and times a gain
// (Henry et al. 2020, arXiv 2010.04245), keys and values once for each head of queries that shares them (Ainslie et al.
// 2023, arXiv 2305.13245).
//
// `packed` [rows, heads + 2 kv_heads, k] has the heads of queries, of keys and of values; `qkv` [rows, 3 heads, k] has as many
// of each. k is a multiple of 8, at most 128. With h = x / rms(x) of the k channels of a head:
//
//   query:  qkv[i] = gain_query h          key, value of head j:  qkv[i] = gain_key h, x for each i with i / sharing = j
//
// Without gains, which are null together, nothing is normalized. A warp has a head of a row, a lane four channels.
#include "norm.cuh"

#define HEADS_WARPS 8
#define OF_LANE 4
// Channels of a head, at most.
#define MOST_CHANNELS 128

// A head of `packed`: which of queries (0), keys (1) and values (2) it is, and its number among them.
struct PackedHead {
    int part, number;

    __device__ PackedHead(int head, int heads, int kv_heads) {
        part = head < heads ? 0 : head < heads + kv_heads ? 1 : 2;
        number = part == 0 ? head : head - heads - (part - 1) * kv_heads;
    }
};

template <class T>
__device__ void heads_of(const T* packed, const float* gain_query, const float* gain_key, T* qkv, float* inverses, int rows,
                         int heads, int kv_heads, int k) {
    int each = heads + 2 * kv_heads, c = threadIdx.x % 32 * OF_LANE;
    long long item = (long long)blockIdx.x * HEADS_WARPS + threadIdx.x / 32;
    if (item >= (long long)rows * each) return;
    long long row = item / each;
    PackedHead head((int)(item % each), heads, kv_heads);
    bool mine = c < k;
    float v[OF_LANE] = {};
    if (mine) {
        auto numbers = Pack<T, OF_LANE>::at(packed + item * k + c);
#pragma unroll
        for (int i = 0; i < OF_LANE; i++) v[i] = numbers[i];
    }
    if (gain_query && head.part < 2) {
        float squares = 0.0f;
#pragma unroll
        for (int i = 0; i < OF_LANE; i++) squares += v[i] * v[i];
        float inverse = 1.0f / sqrtf(warp_sum(squares) / k + NORM_EPSILON);
        if (c == 0) inverses[row * (heads + kv_heads) + item % each] = inverse;
        if (mine) {
            auto gains = Pack<float, OF_LANE>::at((head.part == 0 ? gain_query : gain_key) + c);
#pragma unroll
            for (int i = 0; i < OF_LANE; i++) v[i] = v[i] * inverse * gains[i];
        }
    }
    if (!mine) return;
    int sharing = head.part == 0 ? 1 : heads / kv_heads;
    T* out = qkv + ((row * 3 + head.part) * heads + head.number * sharing) * k + c;
    for (int s = 0; s < sharing; s++) Pack<T, OF_LANE>::of(v).put(out + (long long)s * k);
}

// From the gradient of `qkv` that of `packed`, and pieces of those of the gains. With g the sum of the gradients of a head's
// copies:
//
//   query, key:  dx = (g gain - h mean(g gain h)) / rms(x);   sums_query, sums_key [piece] = sum of g h over heads and rows
//   value, or without gains:  dx = g
//
// One block of HEADS_WARPS warps for `piece` rows: a warp takes every eighth head of its rows one after another, and the sums
// of the warps are added in their order.
template <class T>
__device__ void heads_backward(const T* grad_qkv, const T* packed, const float* inverses, const float* gain_query,
                               const float* gain_key, T* grad_packed, float* sums_query, float* sums_key, int piece, int rows,
                               int heads, int kv_heads, int k) {
    SHARED(float, sums, 2 * HEADS_WARPS * MOST_CHANNELS);
    int each = heads + 2 * kv_heads, warp = threadIdx.x / 32, c = threadIdx.x % 32 * OF_LANE;
    bool mine = c < k;
    long long begin = (long long)blockIdx.x * piece, end = begin + piece < rows ? begin + piece : rows;
    float of_query[OF_LANE] = {}, of_key[OF_LANE] = {};
    for (long long item = begin * each + warp; item < end * each; item += HEADS_WARPS) {
        long long row = item / each;
        PackedHead head((int)(item % each), heads, kv_heads);
        int sharing = head.part == 0 ? 1 : heads / kv_heads;
        float g[OF_LANE] = {};
        if (mine) {
            const T* from = grad_qkv + ((row * 3 + head.part) * heads + head.number * sharing) * k + c;
            for (int s = 0; s < sharing; s++) {
                auto copy = Pack<T, OF_LANE>::at(from + (long long)s * k);
#pragma unroll
                for (int i = 0; i < OF_LANE; i++) g[i] += copy[i];
            }
        }
        if (gain_query && head.part < 2) {
            float inverse = inverses[row * (heads + kv_heads) + item % each], h[OF_LANE] = {}, of_h[OF_LANE] = {}, products = 0.0f;
            if (mine) {
                auto numbers = Pack<T, OF_LANE>::at(packed + item * k + c);
                auto gains = Pack<float, OF_LANE>::at((head.part == 0 ? gain_query : gain_key) + c);
#pragma unroll
                for (int i = 0; i < OF_LANE; i++) {
                    h[i] = numbers[i] * inverse, of_h[i] = g[i] * gains[i];
                    products += of_h[i] * h[i];
                    if (head.part == 0) of_query[i] += g[i] * h[i];
                    else of_key[i] += g[i] * h[i];
                }
            }
            float mean = warp_sum(products) / k;
#pragma unroll
            for (int i = 0; i < OF_LANE; i++) g[i] = (of_h[i] - h[i] * mean) * inverse;
        }
        if (mine) Pack<T, OF_LANE>::of(g).put(grad_packed + item * k + c);
    }
    if (!gain_query) return;
    if (mine)
#pragma unroll
        for (int i = 0; i < OF_LANE; i++) {
            sums[warp * MOST_CHANNELS + c + i] = of_query[i];
            sums[(HEADS_WARPS + warp) * MOST_CHANNELS + c + i] = of_key[i];
        }
    __syncthreads();
    for (int i = threadIdx.x; i < 2 * k; i += blockDim.x) {
        float sum = 0.0f;
        for (int w = 0; w < HEADS_WARPS; w++) sum += sums[(i / k * HEADS_WARPS + w) * MOST_CHANNELS + i % k];
        (i < k ? sums_query : sums_key)[(long long)blockIdx.x * k + i % k] = sum;
    }
}
#define HEADS(T, forward, backward)                                                                                    \
    extern "C" __global__ void forward(const T* packed, const float* gain_query, const float* gain_key, T* qkv,        \
                                       float* inverses, int rows, int heads, int kv_heads, int k, long long apart) {   \
        to_own_run(apart, packed, gain_query, gain_key, qkv, inverses);                                                \
        heads_of<T>(packed, gain_query, gain_key, qkv, inverses, rows, heads, kv_heads, k);                            \
    }                                                                                                                  \
    LISTED(forward)                                                                                                    \
    extern "C" __global__ void backward(const T* grad_qkv, const T* packed, const float* inverses,                     \
                                        const float* gain_query, const float* gain_key, T* grad_packed,                \
                                        float* sums_query, float* sums_key, int piece, int rows, int heads,            \
                                        int kv_heads, int k, long long apart) {                                        \
        to_own_run(apart, grad_qkv, packed, inverses, gain_query, gain_key, grad_packed, sums_query, sums_key);        \
        heads_backward<T>(grad_qkv, packed, inverses, gain_query, gain_key, grad_packed, sums_query, sums_key, piece,  \
                          rows, heads, kv_heads, k);                                                                   \
    }                                                                                                                  \
    LISTED(backward)
HEADS(float, heads_f32, heads_backward_f32)
HEADS(bf16, heads_bf16, heads_backward_bf16)

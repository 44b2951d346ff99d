// Causal attention in tiles, so that no matrix of context x context is kept (Dao et al. 2022, arXiv 2205.14135).
//
// `qkv` [rows, 3 d] has queries, keys and values of all heads beside each other, queries and keys as turned (rotary.cu); a
// head has k = d / heads channels, at most 128 and a multiple of 8.
//
//   p[i, j] = softmax over j <= i of scale q_i . k_j;   out_i = sum of p[i, j] v_j
//   denominators[i] = logarithm of the softmax's denominator
//
// A warp has one row: its lanes take one of 32 keys (or queries) each for the products, and a quarter of the channels for the
// sums. Every sum is taken in a fixed order by one thread. Grid (tiles, heads, sequences), 128 threads; a tile has 32 rows, or
// 64 on tensor cores.
#include "attention_mma.cuh"
#include "heads.cuh"

#define ROWS 32
#define WARPS 4
// Channels of a head, at most, and of one lane.
#define CHANNELS 128
#define PER_LANE 4

// 32 rows from `begin` on, [32, k + 1], zero behind the context: queries, keys, values, or rows of [rows, d].
#define LOAD(tile, expression)                                                                                         \
    _Pragma("unroll 1")                                                                                                \
    for (int e = threadIdx.x; e < ROWS * h.k; e += blockDim.x) {                                                       \
        int position = begin + e / h.k, c = e % h.k;                                                                   \
        tile[e / h.k * h.pitch + c] = position < h.context ? (expression) : 0.0f;                                       \
    }

// Product of two rows of tiles.
template <class A, class B> __device__ inline float dot(A& a, int row_a, B& b, int row_b, const Head& h) {
    float sum = 0.0f;
#pragma unroll 2
    for (int c = 0; c < h.k; c++) sum += (float)a[row_a * h.pitch + c] * (float)b[row_b * h.pitch + c];
    return sum;
}

// Dynamic shared memory: 3 x 32 x (k + 1) floats.
template <class T>
__device__ void attention(const T* qkv, T* out, float* denominators, int context, int heads, int head_dim, float scale) {
    SHARED_DYNAMIC(float, memory);
    Head h(context, heads, head_dim);
    auto queries = memory, keys = memory + ROWS * h.pitch, values = memory + 2 * ROWS * h.pitch;
    int first = block_of_head(heads) * ROWS, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    {
        int begin = first;
        LOAD(queries, to_f32(qkv[h.packed(0, position, c)]))
    }
    float highest[ROWS / WARPS], sum[ROWS / WARPS], result[ROWS / WARPS][PER_LANE];
#pragma unroll
    for (int r = 0; r < ROWS / WARPS; r++) {
        highest[r] = -__int_as_float(0x7f800000), sum[r] = 0.0f;
#pragma unroll
        for (int t = 0; t < PER_LANE; t++) result[r][t] = 0.0f;
    }
    // The last key that a row of the tile sees is its own.
    for (int begin = 0; begin < first + ROWS && begin < context; begin += ROWS) {
        __syncthreads();
        LOAD(keys, to_f32(qkv[h.packed(1, position, c)]))
        LOAD(values, to_f32(qkv[h.packed(2, position, c)]))
        __syncthreads();
#pragma unroll
        for (int r = 0; r < ROWS / WARPS; r++) {
            int local = warp + r * WARPS, query = first + local, key = begin + lane;
            bool seen = key <= query && query < context;
            float s = seen ? scale * dot(queries, local, keys, lane, h) : -__int_as_float(0x7f800000);
            float next = warp_max(s);
            next = highest[r] > next ? highest[r] : next;
            // A tile of which a row sees nothing leaves it alone.
            float p = seen ? expf(s - next) : 0.0f;
            float keep = sum[r] > 0.0f || sum[r] != sum[r] ? expf(highest[r] - next) : 0.0f;
            highest[r] = next;
            sum[r] = sum[r] * keep + warp_sum(p);
#pragma unroll
            for (int t = 0; t < PER_LANE; t++) result[r][t] *= keep;
#pragma unroll 4
            for (int j = 0; j < 32; j++) {
                float weight = __shfl_sync(0xffffffffu, p, j);
#pragma unroll
                for (int t = 0; t < PER_LANE; t++)
                    if (lane + 32 * t < h.k) result[r][t] += weight * (float)values[j * h.pitch + lane + 32 * t];
            }
        }
    }
#pragma unroll
    for (int r = 0; r < ROWS / WARPS; r++) {
        int query = first + warp + r * WARPS;
        if (query >= context) continue;
#pragma unroll
        for (int t = 0; t < PER_LANE; t++)
            if (lane + 32 * t < h.k) out[h.out(query, lane + 32 * t)] = to<T>(result[r][t] / sum[r]);
        if (lane == 0) denominators[h.row(query)] = highest[r] + logf(sum[r]);
    }
}

// The gradient of one row of turned queries or keys, turned back and written: the transpose of turning. `row` is a row of a
// tile that this warp alone uses, and once.
template <class T, class Row>
__device__ inline void write_turned_back(T* grad_qkv, const Head& h, int part, int position, const float* gradient, Row row,
                                         const float* cos, const float* sin) {
    int lane = threadIdx.x % 32, half = h.k / 2;
#pragma unroll
    for (int t = 0; t < PER_LANE; t++)
        if (lane + 32 * t < h.k) row[lane + 32 * t] = gradient[t];
    __syncwarp();
    for (int c = lane; position < h.context && c < h.k; c += 32) {
        int pair = c % half;
        float a = row[pair], b = row[pair + half];
        float co = cos[position * half + pair], si = sin[position * half + pair];
        grad_qkv[h.packed(part, position, c)] = to<T>(c < half ? a * co + b * si : b * co - a * si);
    }
}

// What the softmax's gradient subtracts, for each row and head: deltas_i = out_i . grad_i, in the order of the denominators. A
// thread each.
template <class T>
__device__ void attention_deltas(const T* out, const T* grad, float* deltas, int rows, int context, int heads, int head_dim) {
    long long e = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (e >= (long long)rows * heads) return;
    int row = (int)(e / heads), head = (int)(e % heads);
    long long at = (long long)row * heads * head_dim + head * head_dim;
    float sum = 0.0f;
    for (int c = 0; c < head_dim; c += 8) {
        auto o = Pack<T, 8>::at(out + at + c), g = Pack<T, 8>::at(grad + at + c);
#pragma unroll
        for (int i = 0; i < 8; i++) sum += o[i] * g[i];
    }
    deltas[((long long)(row / context) * heads + head) * context + row % context] = sum;
}

// Gradient of the queries of one tile. With dp[i, j] = grad_i . v_j:
//
//   ds[i, j] = p[i, j] (dp[i, j] - deltas_i) scale;   dq_i = sum of ds[i, j] k_j
//
// Dynamic shared memory: 4 x 32 x (k + 1) floats.
template <class T>
__device__ void attention_dq(const T* qkv, const float* cos, const float* sin, const float* denominators,
                             const float* deltas, const T* grad, T* grad_qkv, int number, int context, int heads,
                             int head_dim, float scale) {
    SHARED_DYNAMIC(float, memory);
    Head h(context, heads, head_dim);
    auto queries = memory, grads = memory + ROWS * h.pitch, keys = memory + 2 * ROWS * h.pitch;
    auto values = memory + 3 * ROWS * h.pitch;
    int first = number * ROWS, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    {
        int begin = first;
        LOAD(queries, to_f32(qkv[h.packed(0, position, c)]))
        LOAD(grads, to_f32(grad[h.out(position, c)]))
    }
    float result[ROWS / WARPS][PER_LANE];
#pragma unroll
    for (int r = 0; r < ROWS / WARPS; r++)
#pragma unroll
        for (int t = 0; t < PER_LANE; t++) result[r][t] = 0.0f;
    for (int begin = 0; begin < first + ROWS && begin < context; begin += ROWS) {
        __syncthreads();
        LOAD(keys, to_f32(qkv[h.packed(1, position, c)]))
        LOAD(values, to_f32(qkv[h.packed(2, position, c)]))
        __syncthreads();
#pragma unroll
        for (int r = 0; r < ROWS / WARPS; r++) {
            int local = warp + r * WARPS, query = first + local, key = begin + lane;
            float ds = 0.0f;
            if (key <= query && query < context) {
                float p = expf(scale * dot(queries, local, keys, lane, h) - denominators[h.row(query)]);
                ds = p * (dot(grads, local, values, lane, h) - deltas[h.row(query)]) * scale;
            }
#pragma unroll 4
            for (int j = 0; j < 32; j++) {
                float weight = __shfl_sync(0xffffffffu, ds, j);
#pragma unroll
                for (int t = 0; t < PER_LANE; t++)
                    if (lane + 32 * t < h.k) result[r][t] += weight * (float)keys[j * h.pitch + lane + 32 * t];
            }
        }
    }
    __syncthreads();
#pragma unroll
    for (int r = 0; r < ROWS / WARPS; r++) {
        int local = warp + r * WARPS;
        write_turned_back(grad_qkv, h, 0, first + local, result[r], keys + local * h.pitch, cos, sin);
    }
}

// Gradients of the keys and values of one tile:
//
//   dk_j = sum over i >= j of ds[i, j] q_i;   dv_j = sum over i >= j of p[i, j] grad_i
//
// Dynamic shared memory: 4 x 32 x (k + 1) floats.
template <class T>
__device__ void attention_dkv(const T* qkv, const float* cos, const float* sin, const float* denominators,
                              const float* deltas, const T* grad, T* grad_qkv, int number, int context, int heads,
                              int head_dim, float scale) {
    SHARED_DYNAMIC(float, memory);
    Head h(context, heads, head_dim);
    auto queries = memory, grads = memory + ROWS * h.pitch, keys = memory + 2 * ROWS * h.pitch;
    auto values = memory + 3 * ROWS * h.pitch;
    int first = number * ROWS, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    {
        int begin = first;
        LOAD(keys, to_f32(qkv[h.packed(1, position, c)]))
        LOAD(values, to_f32(qkv[h.packed(2, position, c)]))
    }
    float grad_k[ROWS / WARPS][PER_LANE], grad_v[ROWS / WARPS][PER_LANE];
#pragma unroll
    for (int r = 0; r < ROWS / WARPS; r++)
#pragma unroll
        for (int t = 0; t < PER_LANE; t++) grad_k[r][t] = grad_v[r][t] = 0.0f;
    for (int begin = first; begin < context; begin += ROWS) {
        __syncthreads();
        LOAD(queries, to_f32(qkv[h.packed(0, position, c)]))
        LOAD(grads, to_f32(grad[h.out(position, c)]))
        __syncthreads();
#pragma unroll
        for (int r = 0; r < ROWS / WARPS; r++) {
            int local = warp + r * WARPS, key = first + local, query = begin + lane;
            float p = 0.0f, ds = 0.0f;
            if (key <= query && query < context) {
                p = expf(scale * dot(queries, lane, keys, local, h) - denominators[h.row(query)]);
                ds = p * (dot(grads, lane, values, local, h) - deltas[h.row(query)]) * scale;
            }
#pragma unroll 4
            for (int j = 0; j < 32; j++) {
                float weight_k = __shfl_sync(0xffffffffu, ds, j), weight_v = __shfl_sync(0xffffffffu, p, j);
#pragma unroll
                for (int t = 0; t < PER_LANE; t++) {
                    if (lane + 32 * t >= h.k) continue;
                    grad_k[r][t] += weight_k * (float)queries[j * h.pitch + lane + 32 * t];
                    grad_v[r][t] += weight_v * (float)grads[j * h.pitch + lane + 32 * t];
                }
            }
        }
    }
    __syncthreads();
#pragma unroll
    for (int r = 0; r < ROWS / WARPS; r++) {
        int local = warp + r * WARPS, key = first + local;
        write_turned_back(grad_qkv, h, 1, key, grad_k[r], queries + local * h.pitch, cos, sin);
#pragma unroll
        for (int t = 0; t < PER_LANE; t++)
            if (key < context && lane + 32 * t < h.k)
                grad_qkv[h.packed(2, key, lane + 32 * t)] = to<T>(grad_v[r][t]);
    }
}
// Both gradients in one launch, in grids twice as wide: blocks of even number have queries, those of odd number keys.
//
// Four blocks a multiprocessor, or three: registers below 128 or 168 a thread.
#define ATTENTION(T, forward, deltas_of, backward, FORWARD_MMA, BACKWARD_Q_MMA, BACKWARD_KV_MMA)                        \
    extern "C" __global__ void __launch_bounds__(128, 4)                                                               \
        forward(const T* qkv, T* out, float* denominators, int context, int heads, int head_dim, float scale,          \
                long long apart) {                                                                                     \
        to_own_run(apart, qkv, out, denominators);                                                                     \
        FORWARD_MMA                                                                                                    \
        attention<T>(qkv, out, denominators, context, heads, head_dim, scale);                                         \
    }                                                                                                                  \
    LISTED(forward)                                                                                                    \
    extern "C" __global__ void deltas_of(const T* out, const T* grad, float* deltas, int rows, int context, int heads, \
                                         int head_dim, long long apart) {                                              \
        to_own_run(apart, out, grad, deltas);                                                                          \
        attention_deltas<T>(out, grad, deltas, rows, context, heads, head_dim);                                        \
    }                                                                                                                  \
    LISTED(deltas_of)                                                                                                  \
    extern "C" __global__ void __launch_bounds__(128, 3)                                                               \
        backward(const T* qkv, const float* cos, const float* sin, const float* denominators, const float* deltas,     \
                 const T* grad, T* grad_qkv, int context, int heads, int head_dim, float scale, long long apart) {     \
        to_own_run(apart, qkv, cos, sin, denominators, deltas, grad, grad_qkv);                                        \
        int block = block_of_head(heads), number = block / 2;                                                          \
        if (block % 2 == 0) {                                                                                          \
            BACKWARD_Q_MMA                                                                                             \
            attention_dq<T>(qkv, cos, sin, denominators, deltas, grad, grad_qkv, number, context, heads, head_dim, scale); \
        } else {                                                                                                       \
            BACKWARD_KV_MMA                                                                                            \
            attention_dkv<T>(qkv, cos, sin, denominators, deltas, grad, grad_qkv, number, context, heads, head_dim, scale); \
        }                                                                                                              \
    }                                                                                                                  \
    LISTED(backward)
ATTENTION(float, attention_f32, attention_deltas_f32, attention_backward_f32, , , )
// In bf16, heads that the tensor cores take go to them.
ATTENTION(bf16, attention_bf16, attention_deltas_bf16, attention_backward_bf16,
          BY_MMA(mma_attention, qkv, out, denominators, context, heads, scale),
          BY_MMA(mma_attention_dq, qkv, cos, sin, denominators, deltas, grad, grad_qkv, number, context, heads, scale),
          BY_MMA(mma_attention_dkv, qkv, cos, sin, denominators, deltas, grad, grad_qkv, number, context, heads, scale))

// Causal attention of attention.cu in bf16 on tensor cores (mma.sync, from sm_80 on), for heads of 16, 32 or 64 channels.
//
// A block has 64 rows of one head, 16 for each of its four warps, which stay in registers; the rows they meet come by 32 into
// shared memory, the next of them while the warps work on these. Probabilities and their gradients are rounded to bf16 as
// factors of products; sums, softmax and denominators are f32. A lane of a warp, with g = lane / 4 and t = lane % 4, has of a
// result [16, 8] the rows g and g + 8 and the columns 2 t and 2 t + 1, and so has of the factors what `mma` wants (mma.cuh): a
// result is the left factor of the next product as it lies.
#pragma once
#include "heads.cuh"
#include "mma.cuh"

#define MMA_ROWS 64
#define MMA_OTHERS 32
// Words of a row of a tile in shared memory: pairs of channels, and four more so that the rows that the lanes of a warp read
// together lie in different banks.
#define MMA_PITCH (K / 2 + 4)
// Words of two tiles and of two numbers a row.
#define MMA_STAGE(K) (MMA_OTHERS * (2 * ((K) / 2 + 4) + 2))
#define LOG2_E 1.44269504f

// Two neighbouring channels as they lie, from a place that is even.
__device__ inline unsigned pair_at(const bf16* x, long long i) { return words_at<unsigned>(x + i); }
__device__ inline void put_pair(bf16* x, long long i, float low, float high) { put_words(x + i, pair_of(low, high)); }

// The rows of a head: the first of its sequence, and from one to the next.
struct HeadRows {
    const bf16* first;
    int stride;

    __device__ const bf16* at(int position) const { return first + (long long)position * stride; }
};
__device__ inline HeadRows packed_rows(const bf16* qkv, const Head& h, int part) { return {qkv + h.packed(part, 0, 0), 3 * h.d}; }
__device__ inline HeadRows plain_rows(const bf16* x, const Head& h) { return {x + h.out(0, 0), h.d}; }

// The 16 rows of a warp from `first` on as left factor, zero behind the context.
template <int K>
__device__ inline void take_rows_of_warp(unsigned (&rows)[K / 16][4], const HeadRows& from, int context, int first) {
    int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
    for (int s = 0; s < K / 16; s++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            int position = first + g + i % 2 * 8;
            rows[s][i] = position < context ? pair_at(from.at(position), 16 * s + 2 * t + i / 2 * 8) : 0;
        }
}

// What one of 128 threads copies of tiles of 32 rows: 16 bytes of a row, and for large heads also of one further down.
template <int K> struct Feed {
    static constexpr int CHUNKS = K / 8, ROWS = 128 / CHUNKS < MMA_OTHERS ? 128 / CHUNKS : MMA_OTHERS;
    const bf16* from;
    int stride;

    __device__ static int row() { return threadIdx.x / CHUNKS; }
    __device__ Feed(const HeadRows& rows) : from(rows.at(row()) + threadIdx.x % CHUNKS * 8), stride(rows.stride) {}
    // Begins to copy the rows from `begin` on into a tile, zero behind the context.
    __device__ void begin_rows(Words tile, int context, int begin) const {
        if (row() >= ROWS) return;
        Words to = tile + (row() * MMA_PITCH + threadIdx.x % CHUNKS * 4);
#pragma unroll
        for (int r = 0; r < MMA_OTHERS; r += ROWS)
            begin_copy<16>(to + r * MMA_PITCH, from + (long long)(begin + r) * stride, begin + row() + r < context);
    }
};

// s [16, 32] = rows of the warp times the transpose of the tile.
template <int K>
__device__ inline void times_rows(float (&s)[4][4], const unsigned (&rows)[K / 16][4], Words tile) {
    int lane = threadIdx.x % 32;
    // Two times eight rows, the halves of a step's words of each.
    int place = (lane / 16 * 8 + lane % 8) * MMA_PITCH + lane / 8 % 2 * 4;
#pragma unroll
    for (int n = 0; n < 4; n += 2) {
#pragma unroll
        for (int i = 0; i < 4; i++) s[n][i] = s[n + 1][i] = 0.0f;
#pragma unroll
        for (int step = 0; step < K / 16; step++) {
            unsigned m[4];
            take_matrices(m, tile + (place + n * 8 * MMA_PITCH + step * 8));
            mma(s[n], rows[step], m[0], m[1]);
            mma(s[n + 1], rows[step], m[2], m[3]);
        }
    }
}
// sum [16, K] += p [16, 32] times the tile.
template <int K>
__device__ inline void add_weighted(float (&sum)[K / 8][4], const float (&p)[4][4], Words tile) {
    int lane = threadIdx.x % 32;
    // Sixteen rows, eight channels and the next eight.
    int place = lane % 16 * MMA_PITCH + lane / 16 * 4;
#pragma unroll
    for (int step = 0; step < 2; step++) {
        unsigned left[4];
#pragma unroll
        for (int i = 0; i < 4; i++) left[i] = pair_of(p[2 * step + i / 2][i % 2 * 2], p[2 * step + i / 2][i % 2 * 2 + 1]);
#pragma unroll
        for (int n = 0; n < K / 8; n += 2) {
            unsigned m[4];
            take_transposed(m, tile + (place + step * 16 * MMA_PITCH + n * 4));
            mma(sum[n], left, m[0], m[1]);
            mma(sum[n + 1], left, m[2], m[3]);
        }
    }
}

__device__ inline float quad_max(float x) {
    x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
    return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}

// Goes over tiles of 32 rows from `begin` to `end`: `fetch(stage, row)` begins the copies of one, `work(stage, row)` is done
// once they are there, while those of the next are on their way. A stage is one of two places in shared memory.
template <int K, class Fetch, class Work>
__device__ inline void over_tiles(Words memory, int begin, int end, Fetch fetch, Work work) {
    int stage = 0;
    fetch(memory, begin);
    end_group();
    for (int row = begin; row < end; row += MMA_OTHERS, stage = MMA_STAGE(K) - stage) {
        wait_for_copies<0>();
        // The copies of all threads are there, and nobody works on the other stage any more.
        __syncthreads();
        if (row + MMA_OTHERS < end) fetch(memory + (MMA_STAGE(K) - stage), row + MMA_OTHERS);
        end_group();
        work(memory + stage, row);
    }
}

// Goes over the keys and values that the rows from `tile` on see.
template <int K, class Work>
__device__ inline void over_keys(Words memory, const bf16* qkv, const Head& h, int tile, Work work) {
    Feed<K> keys(packed_rows(qkv, h, 1)), values(packed_rows(qkv, h, 2));
    auto fetch = [&](Words stage, int begin) {
        keys.begin_rows(stage, h.context, begin);
        values.begin_rows(stage + MMA_OTHERS * MMA_PITCH, h.context, begin);
    };
    over_tiles<K>(memory, 0, tile + MMA_ROWS < h.context ? tile + MMA_ROWS : h.context, fetch, work);
}

// A number that is none makes its own row none: `fmaxf` passes over it, and its exponential does not.
template <int K>
__device__ void mma_attention(const bf16* qkv, bf16* out, float* denominators, int context, int heads, float scale) {
    SHARED_WORDS(memory);
    Head h(context, heads, K);
    int warp = threadIdx.x / 32, g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    const float none = -__int_as_float(0x7f800000), in_powers = scale * LOG2_E;
    int tile = block_of_head(heads) * MMA_ROWS, first = tile + warp * 16;
    unsigned queries[K / 16][4];
    take_rows_of_warp<K>(queries, packed_rows(qkv, h, 0), context, first);
    // A lane's own part of a row's sum: those of a row are added at the end.
    float highest[2] = {none, none}, sum[2] = {0.0f, 0.0f}, result[K / 8][4] = {};
    auto work = [&](Words stage, int begin) {
        // Keys behind all rows of the warp.
        if (begin > first + 15) return;
        float p[4][4];
        times_rows<K>(p, queries, stage);
        if (begin + MMA_OTHERS > first) {
#pragma unroll
            for (int e = 0; e < 16; e++)
                if (begin + e / 4 * 8 + 2 * t + e % 2 > first + g + e % 4 / 2 * 8) p[e / 4][e % 4] = none;
        }
        float keep[2], below[2];
#pragma unroll
        for (int r = 0; r < 2; r++) {
            float next = p[0][2 * r];
#pragma unroll
            for (int e = 1; e < 8; e++) next = fmaxf(next, p[e / 2][2 * r + e % 2]);
            next = fmaxf(highest[r], quad_max(next));
            keep[r] = power_of_two((highest[r] - next) * in_powers);
            highest[r] = next, below[r] = next * in_powers;
        }
        // Mostly the highest was met before.
        if (__any_sync(0xffffffffu, keep[0] != 1.0f || keep[1] != 1.0f)) {
#pragma unroll
            for (int r = 0; r < 2; r++) sum[r] *= keep[r];
#pragma unroll
            for (int n = 0; n < K / 8; n++)
#pragma unroll
                for (int i = 0; i < 4; i++) result[n][i] *= keep[i / 2];
        }
#pragma unroll
        for (int e = 0; e < 16; e++) {
            float& s = p[e / 4][e % 4];
            s = power_of_two(s * in_powers - below[e % 4 / 2]);
            sum[e % 4 / 2] += s;
        }
        add_weighted<K>(result, p, stage + MMA_OTHERS * MMA_PITCH);
    };
    over_keys<K>(memory, qkv, h, tile, work);
#pragma unroll
    for (int r = 0; r < 2; r++) {
        int query = first + g + r * 8;
        float all = quad_sum(sum[r]), inverse = 1.0f / all;
        if (query >= context) continue;
#pragma unroll
        for (int n = 0; n < K / 8; n++)
            put_pair(out, h.out(query, n * 8 + 2 * t), result[n][2 * r] * inverse, result[n][2 * r + 1] * inverse);
        if (t == 0) denominators[h.row(query)] = highest[r] * scale + logf(all);
    }
}

// The gradient of the warp's turned queries or keys, times a factor, turned back and written: the transpose of turning.
template <int K>
__device__ inline void put_turned_back(bf16* grad_qkv, const Head& h, int part, int first, const float (&sum)[K / 8][4],
                                       float factor, const float* cos, const float* sin) {
    int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
    for (int e = 0; e < K / 8; e++) {
        int n = e / 2, r = e % 2, position = first + g + r * 8, c = n * 8 + 2 * t;
        if (position >= h.context) continue;
        const float *co = cos + position * (K / 2) + c, *si = sin + position * (K / 2) + c;
        float a0 = factor * sum[n][2 * r], a1 = factor * sum[n][2 * r + 1];
        float b0 = factor * sum[n + K / 16][2 * r], b1 = factor * sum[n + K / 16][2 * r + 1];
        put_pair(grad_qkv, h.packed(part, position, c), a0 * co[0] + b0 * si[0], a1 * co[1] + b1 * si[1]);
        put_pair(grad_qkv, h.packed(part, position, c + K / 2), b0 * co[0] - a0 * si[0], b1 * co[1] - a1 * si[1]);
    }
}

// The factor `scale` of the gradients is taken at the end.
template <int K>
__device__ void mma_attention_dq(const bf16* qkv, const float* cos, const float* sin, const float* denominators,
                                 const float* deltas, const bf16* grad, bf16* grad_qkv, int number, int context, int heads,
                                 float scale) {
    SHARED_WORDS(memory);
    Head h(context, heads, K);
    int warp = threadIdx.x / 32, g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    const float in_powers = scale * LOG2_E;
    int tile = number * MMA_ROWS, first = tile + warp * 16;
    unsigned queries[K / 16][4], grads[K / 16][4];
    take_rows_of_warp<K>(queries, packed_rows(qkv, h, 0), context, first);
    take_rows_of_warp<K>(grads, plain_rows(grad, h), context, first);
    float below[2], delta[2], sum[K / 8][4] = {};
#pragma unroll
    for (int r = 0; r < 2; r++) {
        int query = first + g + r * 8;
        below[r] = query < context ? denominators[h.row(query)] * LOG2_E : 0.0f;
        delta[r] = query < context ? deltas[h.row(query)] : 0.0f;
    }
    auto work = [&](Words stage, int begin) {
        if (begin > first + 15) return;
        float s[4][4], dp[4][4];
        times_rows<K>(s, queries, stage);
        times_rows<K>(dp, grads, stage + MMA_OTHERS * MMA_PITCH);
#pragma unroll
        for (int e = 0; e < 16; e++) {
            int i = e % 4;
            s[e / 4][i] = power_of_two(s[e / 4][i] * in_powers - below[i / 2]) * (dp[e / 4][i] - delta[i / 2]);
        }
        if (begin + MMA_OTHERS > first) {
#pragma unroll
            for (int e = 0; e < 16; e++)
                if (begin + e / 4 * 8 + 2 * t + e % 2 > first + g + e % 4 / 2 * 8) s[e / 4][e % 4] = 0.0f;
        }
        add_weighted<K>(sum, s, stage);
    };
    over_keys<K>(memory, qkv, h, tile, work);
    put_turned_back<K>(grad_qkv, h, 0, first, sum, scale, cos, sin);
}

// Here the rows of a warp are keys, and the products are the transposes of those above. Queries behind the context weigh
// nothing, since their gradient is zero.
template <int K>
__device__ void mma_attention_dkv(const bf16* qkv, const float* cos, const float* sin, const float* denominators,
                                  const float* deltas, const bf16* grad, bf16* grad_qkv, int number, int context, int heads,
                                  float scale) {
    SHARED_WORDS(memory);
    Head h(context, heads, K);
    int warp = threadIdx.x / 32, g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    const float in_powers = scale * LOG2_E;
    int tile = number * MMA_ROWS, first = tile + warp * 16;
    unsigned keys[K / 16][4], values[K / 16][4];
    take_rows_of_warp<K>(keys, packed_rows(qkv, h, 1), context, first);
    take_rows_of_warp<K>(values, packed_rows(qkv, h, 2), context, first);
    float grad_k[K / 8][4] = {}, grad_v[K / 8][4] = {};
    Feed<K> queries(packed_rows(qkv, h, 0)), grads(plain_rows(grad, h));
    const float* of_row = (threadIdx.x % 2 ? deltas : denominators) + h.row(threadIdx.x / 2);
    auto fetch = [&](Words stage, int begin) {
        queries.begin_rows(stage, context, begin);
        grads.begin_rows(stage + MMA_OTHERS * MMA_PITCH, context, begin);
        // Denominators and deltas by turns, so that a lane finds those of a query beside each other.
        if (threadIdx.x < 2 * MMA_OTHERS)
            begin_copy<4>(stage + (2 * MMA_OTHERS * MMA_PITCH + threadIdx.x), of_row + begin, begin + threadIdx.x / 2 < context);
    };
    auto work = [&](Words stage, int begin) {
        // Queries before all keys of the warp.
        if (begin + MMA_OTHERS <= first) return;
        float p[4][4], ds[4][4];
        times_rows<K>(p, keys, stage);
        times_rows<K>(ds, values, stage + MMA_OTHERS * MMA_PITCH);
#pragma unroll
        for (int e = 0; e < 8; e++) {
            int query = e / 2 * 8 + 2 * t + e % 2;
            uint2 both = two_words(stage + (2 * MMA_OTHERS * MMA_PITCH + 2 * query));
            float below = __uint_as_float(both.x) * LOG2_E, delta = __uint_as_float(both.y);
#pragma unroll
            for (int r = 0; r < 2; r++) {
                float &weight = p[e / 2][2 * r + e % 2], &slope = ds[e / 2][2 * r + e % 2];
                weight = power_of_two(weight * in_powers - below);
                slope = weight * (slope - delta);
            }
        }
        if (begin < first + 15) {
#pragma unroll
            for (int e = 0; e < 16; e++)
                if (first + g + e % 4 / 2 * 8 > begin + e / 4 * 8 + 2 * t + e % 2) p[e / 4][e % 4] = ds[e / 4][e % 4] = 0.0f;
        }
        add_weighted<K>(grad_v, p, stage + MMA_OTHERS * MMA_PITCH);
        add_weighted<K>(grad_k, ds, stage);
    };
    over_tiles<K>(memory, tile, context, fetch, work);
    put_turned_back<K>(grad_qkv, h, 1, first, grad_k, scale, cos, sin);
#pragma unroll
    for (int e = 0; e < K / 4; e++) {
        int key = first + g + e % 2 * 8;
        if (key < context)
            put_pair(grad_qkv, h.packed(2, key, e / 2 * 8 + 2 * t), grad_v[e / 2][e % 2 * 2], grad_v[e / 2][e % 2 * 2 + 1]);
    }
}

// Calls f<K> for a head that the tensor cores take.
#define ON_TENSOR_CORES(k) ((k) == 16 || (k) == 32 || (k) == 64)
#define BY_MMA(f, ...)                                                                                                 \
    switch (head_dim) {                                                                                                \
    case 16: return f<16>(__VA_ARGS__);                                                                                \
    case 32: return f<32>(__VA_ARGS__);                                                                                \
    case 64: return f<64>(__VA_ARGS__);                                                                                \
    }

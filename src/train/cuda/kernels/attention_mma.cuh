// Causal attention of attention.cu in bf16 on tensor cores (mma.sync, from sm_80 on), for heads of 16, 32 or 64 channels.
//
// A block has 64 rows of one head, 16 for each of its four warps, which stay in registers; the rows they meet come by 32 into
// shared memory. Turned queries and keys, probabilities and their gradients are rounded to bf16 as factors of products;
// sums, softmax and denominators are f32. A lane of a warp, with g = lane / 4 and t = lane % 4, has of a result [16, 8] the
// rows g and g + 8 and the columns 2 t and 2 t + 1, and so has of the factors what `mma` wants (mma.cuh): a result is the
// left factor of the next product as it lies.
#pragma once
#include "heads.cuh"
#include "mma.cuh"

#define MMA_ROWS 64
#define MMA_OTHERS 32
// Words of a row of a tile in shared memory: pairs of channels, and four more so that the rows that the lanes of a warp read
// together lie in different banks.
#define MMA_PITCH (K / 2 + 4)

// Two neighbouring channels as they lie, from a place that is even.
__device__ inline unsigned pair_at(const bf16* x, long long i) { return words_at<unsigned>(x + i); }
__device__ inline void put_pair(bf16* x, long long i, float low, float high) { put_words(x + i, pair_of(low, high)); }

// Channels c, c + 1 and c + K / 2, c + K / 2 + 1 of a query or key, turned; c is even and below K / 2.
template <int K>
__device__ inline void turned_pairs(const bf16* qkv, const Head& h, int part, int position, int c, const float* cos,
                                    const float* sin, unsigned& first, unsigned& second) {
    unsigned a = pair_at(qkv, h.packed(part, position, c)), b = pair_at(qkv, h.packed(part, position, c + K / 2));
    const float *co = cos + position * (K / 2) + c, *si = sin + position * (K / 2) + c;
    float a0 = low_of(a), a1 = high_of(a), b0 = low_of(b), b1 = high_of(b);
    first = pair_of(a0 * co[0] - b0 * si[0], a1 * co[1] - b1 * si[1]);
    second = pair_of(a0 * si[0] + b0 * co[0], a1 * si[1] + b1 * co[1]);
}

// The 16 rows of a warp from `first` on as left factor, zero behind the context: turned queries or keys, or rows as
// they are, where `place` finds them.
template <int K>
__device__ inline void take_turned(unsigned (&rows)[K / 16][4], const bf16* qkv, const Head& h, int part, int first,
                                   const float* cos, const float* sin) {
    int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
    for (int e = 0; e < K / 8; e++) {
        // Words of the lower half of the channels, 8 channels apart; each brings one of the upper half.
        int word = e / 2 * 4 + t, position = first + g + e % 2 * 8;
        unsigned a = 0, b = 0;
        if (position < h.context) turned_pairs<K>(qkv, h, part, position, 2 * word, cos, sin, a, b);
        rows[e / 2 / 2][e % 2 + e / 2 % 2 * 2] = a;
        rows[(e / 2 + K / 16) / 2][e % 2 + (e / 2 + K / 16) % 2 * 2] = b;
    }
}
template <int K, class Place>
__device__ inline void take_plain(unsigned (&rows)[K / 16][4], const bf16* x, const Head& h, int first, Place place) {
    int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
    for (int s = 0; s < K / 16; s++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            int position = first + g + i % 2 * 8;
            rows[s][i] = position < h.context ? pair_at(x, place(position, 16 * s + 2 * t + i / 2 * 8)) : 0;
        }
}

// 32 rows from `begin` on into shared memory, by all threads of the block.
template <int K, class Tile>
__device__ inline void load_turned(Tile tile, const bf16* qkv, const Head& h, int part, int begin, const float* cos,
                                   const float* sin) {
    for (int e = threadIdx.x; e < MMA_OTHERS * (K / 4); e += blockDim.x) {
        int row = e / (K / 4), word = e % (K / 4);
        unsigned a = 0, b = 0;
        if (begin + row < h.context) turned_pairs<K>(qkv, h, part, begin + row, 2 * word, cos, sin, a, b);
        tile[row * MMA_PITCH + word] = a;
        tile[row * MMA_PITCH + word + K / 4] = b;
    }
}
template <int K, class Tile, class Place>
__device__ inline void load_plain(Tile tile, const bf16* x, const Head& h, int begin, Place place) {
    for (int e = threadIdx.x; e < MMA_OTHERS * (K / 2); e += blockDim.x) {
        int row = e / (K / 2), word = e % (K / 2);
        tile[row * MMA_PITCH + word] = begin + row < h.context ? pair_at(x, place(begin + row, 2 * word)) : 0;
    }
}

// s [16, 32] = rows of the warp times the transpose of the tile.
template <int K, class Tile>
__device__ inline void times_rows(float (&s)[4][4], const unsigned (&rows)[K / 16][4], Tile tile) {
#pragma unroll
    for (int n = 0; n < 4; n++) {
#pragma unroll
        for (int i = 0; i < 4; i++) s[n][i] = 0.0f;
#pragma unroll
        for (int step = 0; step < K / 16; step++) add_times_rows<bf16>(s[n], rows[step], tile, MMA_PITCH, n * 8, step * 8);
    }
}
// sum [16, K] += p [16, 32] times the tile.
template <int K, class Tile>
__device__ inline void add_weighted(float (&sum)[K / 8][4], const float (&p)[4][4], Tile tile) {
    int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    // The lower or the upper halves of two words.
    unsigned halves = g % 2 ? 0x7632 : 0x5410;
#pragma unroll
    for (int step = 0; step < 2; step++) {
        unsigned left[4];
#pragma unroll
        for (int i = 0; i < 4; i++) left[i] = pair_of(p[2 * step + i / 2][i % 2 * 2], p[2 * step + i / 2][i % 2 * 2 + 1]);
#pragma unroll
        for (int n = 0; n < K / 8; n++) {
            int at = (step * 16 + 2 * t) * MMA_PITCH + n * 4 + g / 2;
            unsigned b0 = __byte_perm(tile[at], tile[at + MMA_PITCH], halves);
            unsigned b1 = __byte_perm(tile[at + 8 * MMA_PITCH], tile[at + 9 * MMA_PITCH], halves);
            mma(sum[n], left, b0, b1);
        }
    }
}

__device__ inline float quad_max(float x) {
    for (int o = 1; o < 4; o *= 2) {
        float other = __shfl_xor_sync(0xffffffffu, x, o);
        // A NaN on either side stays.
        x = x >= other || x != x ? x : other;
    }
    return x;
}

template <int K>
__device__ void mma_attention(const bf16* qkv, const float* cos, const float* sin, bf16* out, float* denominators,
                              int context, int heads, float scale) {
    SHARED_DYNAMIC(unsigned, memory);
    Head h(context, heads, K);
    auto keys = memory, values = memory + MMA_OTHERS * MMA_PITCH;
    int warp = threadIdx.x / 32, g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    const float none = -__int_as_float(0x7f800000);
    int tile = blockIdx.x * MMA_ROWS;
    int first = tile + warp * 16;
    unsigned queries[K / 16][4];
    take_turned<K>(queries, qkv, h, 0, first, cos, sin);
    float highest[2] = {none, none}, sum[2] = {0.0f, 0.0f}, result[K / 8][4] = {};
    for (int begin = 0; begin < tile + MMA_ROWS && begin < context; begin += MMA_OTHERS) {
        __syncthreads();
        load_turned<K>(keys, qkv, h, 1, begin, cos, sin);
        load_plain<K>(values, qkv, h, begin, [&](int position, int c) { return h.packed(2, position, c); });
        __syncthreads();
        // Keys behind all rows of the warp.
        if (begin > first + 15) continue;
        float p[4][4], next[2] = {none, none};
        times_rows<K>(p, queries, keys);
#pragma unroll
        for (int e = 0; e < 16; e++) {
            int i = e % 4, query = first + g + i / 2 * 8, key = begin + e / 4 * 8 + 2 * t + i % 2;
            float& s = p[e / 4][i];
            s = key <= query && query < context ? scale * s : none;
            next[i / 2] = next[i / 2] >= s || next[i / 2] != next[i / 2] ? next[i / 2] : s;
        }
        float keep[2], added[2] = {0.0f, 0.0f};
#pragma unroll
        for (int r = 0; r < 2; r++) {
            next[r] = quad_max(next[r]);
            next[r] = highest[r] > next[r] ? highest[r] : next[r];
            keep[r] = sum[r] > 0.0f || sum[r] != sum[r] ? expf(highest[r] - next[r]) : 0.0f;
            highest[r] = next[r];
        }
#pragma unroll
        for (int e = 0; e < 16; e++) {
            float& s = p[e / 4][e % 4];
            // A tile of which a row sees nothing leaves it alone.
            s = s == none ? 0.0f : expf(s - next[e % 4 / 2]);
            added[e % 4 / 2] += s;
        }
#pragma unroll
        for (int r = 0; r < 2; r++) sum[r] = sum[r] * keep[r] + quad_sum(added[r]);
#pragma unroll
        for (int n = 0; n < K / 8; n++)
#pragma unroll
            for (int i = 0; i < 4; i++) result[n][i] *= keep[i / 2];
        add_weighted<K>(result, p, values);
    }
#pragma unroll
    for (int r = 0; r < 2; r++) {
        int query = first + g + r * 8;
        if (query >= context) continue;
#pragma unroll
        for (int n = 0; n < K / 8; n++)
            put_pair(out, h.out(query, n * 8 + 2 * t), result[n][2 * r] / sum[r], result[n][2 * r + 1] / sum[r]);
        if (t == 0) denominators[h.row(query)] = highest[r] + logf(sum[r]);
    }
}

// The gradient of the warp's turned queries or keys, turned back and written: the transpose of turning.
template <int K>
__device__ inline void put_turned_back(bf16* grad_qkv, const Head& h, int part, int first, const float (&sum)[K / 8][4],
                                       const float* cos, const float* sin) {
    int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
    for (int e = 0; e < K / 8; e++) {
        int n = e / 2, r = e % 2, position = first + g + r * 8, c = n * 8 + 2 * t;
        if (position >= h.context) continue;
        const float *co = cos + position * (K / 2) + c, *si = sin + position * (K / 2) + c;
        float a0 = sum[n][2 * r], a1 = sum[n][2 * r + 1], b0 = sum[n + K / 16][2 * r], b1 = sum[n + K / 16][2 * r + 1];
        put_pair(grad_qkv, h.packed(part, position, c), a0 * co[0] + b0 * si[0], a1 * co[1] + b1 * si[1]);
        put_pair(grad_qkv, h.packed(part, position, c + K / 2), b0 * co[0] - a0 * si[0], b1 * co[1] - a1 * si[1]);
    }
}

template <int K>
__device__ void mma_attention_dq(const bf16* qkv, const float* cos, const float* sin, const bf16* out,
                                 const float* denominators, const bf16* grad, bf16* grad_qkv, int number, int context,
                                 int heads, float scale) {
    SHARED_DYNAMIC(unsigned, memory);
    Head h(context, heads, K);
    auto keys = memory, values = memory + MMA_OTHERS * MMA_PITCH;
    int warp = threadIdx.x / 32, g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    int tile = number * MMA_ROWS;
    int first = tile + warp * 16;
    unsigned queries[K / 16][4], grads[K / 16][4];
    take_turned<K>(queries, qkv, h, 0, first, cos, sin);
    take_plain<K>(grads, grad, h, first, [&](int position, int c) { return h.out(position, c); });
    float deltas[2] = {0.0f, 0.0f}, denominator[2], sum[K / 8][4] = {};
#pragma unroll
    for (int e = 0; e < K / 4; e++) {
        int i = e % 4, query = first + g + i % 2 * 8;
        unsigned o = query < context ? pair_at(out, h.out(query, e / 4 * 16 + 2 * t + i / 2 * 8)) : 0;
        deltas[i % 2] += low_of(o) * low_of(grads[e / 4][i]) + high_of(o) * high_of(grads[e / 4][i]);
    }
#pragma unroll
    for (int r = 0; r < 2; r++) {
        int query = first + g + r * 8;
        deltas[r] = quad_sum(deltas[r]);
        denominator[r] = query < context ? denominators[h.row(query)] : 0.0f;
    }
    for (int begin = 0; begin < tile + MMA_ROWS && begin < context; begin += MMA_OTHERS) {
        __syncthreads();
        load_turned<K>(keys, qkv, h, 1, begin, cos, sin);
        load_plain<K>(values, qkv, h, begin, [&](int position, int c) { return h.packed(2, position, c); });
        __syncthreads();
        if (begin > first + 15) continue;
        float s[4][4], dp[4][4];
        times_rows<K>(s, queries, keys);
        times_rows<K>(dp, grads, values);
#pragma unroll
        for (int e = 0; e < 16; e++) {
            int i = e % 4, query = first + g + i / 2 * 8, key = begin + e / 4 * 8 + 2 * t + i % 2;
            float p = expf(scale * s[e / 4][i] - denominator[i / 2]);
            bool seen = key <= query && query < context;
            s[e / 4][i] = seen ? p * (dp[e / 4][i] - deltas[i / 2]) * scale : 0.0f;
        }
        add_weighted<K>(sum, s, keys);
    }
    put_turned_back<K>(grad_qkv, h, 0, first, sum, cos, sin);
}

// Here the rows of a warp are keys, and the products are the transposes of those above.
template <int K>
__device__ void mma_attention_dkv(const bf16* qkv, const float* cos, const float* sin, const bf16* out,
                                  const float* denominators, const bf16* grad, bf16* grad_qkv, int number, int context, int heads,
                                  float scale) {
    SHARED_DYNAMIC(unsigned, memory);
    Head h(context, heads, K);
    SHARED(float, deltas, MMA_OTHERS);
    auto queries = memory, grads = memory + MMA_OTHERS * MMA_PITCH;
    int warp = threadIdx.x / 32, g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    int tile = number * MMA_ROWS;
    int first = tile + warp * 16;
    unsigned keys[K / 16][4], values[K / 16][4];
    take_turned<K>(keys, qkv, h, 1, first, cos, sin);
    take_plain<K>(values, qkv, h, first, [&](int position, int c) { return h.packed(2, position, c); });
    float grad_k[K / 8][4] = {}, grad_v[K / 8][4] = {};
    for (int begin = tile; begin < context; begin += MMA_OTHERS) {
        __syncthreads();
        load_turned<K>(queries, qkv, h, 0, begin, cos, sin);
        load_plain<K>(grads, grad, h, begin, [&](int position, int c) { return h.out(position, c); });
        load_deltas<4>(deltas, out, grad, h, begin);
        __syncthreads();
        // Queries before all keys of the warp.
        if (begin + MMA_OTHERS <= first) continue;
        float p[4][4], ds[4][4];
        times_rows<K>(p, keys, queries);
        times_rows<K>(ds, values, grads);
#pragma unroll
        for (int e = 0; e < 16; e++) {
            int i = e % 4, key = first + g + i / 2 * 8, query = begin + e / 4 * 8 + 2 * t + i % 2;
            bool seen = key <= query && query < context;
            long long row = h.row(seen ? query : 0);
            float weight = seen ? expf(scale * p[e / 4][i] - denominators[row]) : 0.0f;
            p[e / 4][i] = weight;
            ds[e / 4][i] = seen ? weight * (ds[e / 4][i] - (float)deltas[query - begin]) * scale : 0.0f;
        }
        add_weighted<K>(grad_v, p, grads);
        add_weighted<K>(grad_k, ds, queries);
    }
    put_turned_back<K>(grad_qkv, h, 1, first, grad_k, cos, sin);
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

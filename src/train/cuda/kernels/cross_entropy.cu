// Softmax cross entropy of rows of logits, whose gradient takes their place, and the most likely token of each.
#include "common.cuh"

// Packs of a row that a thread keeps in registers between the softmax and its gradient: with 1024 threads a row of 57,344 bf16
// or 28,672 f32 is read once. What is longer is read a second time.
#define LOSS_KEPT 7

// A row of logits, as packs from the first multiple of 16 bytes on, and single numbers before and behind them.
template <class T> struct LogitRow {
    static constexpr int N = 16 / sizeof(T);
    T* row;
    int vocab, begin, packs;

    __device__ LogitRow(T* row, int vocab) : row(row), vocab(vocab) {
        int past = (int)((unsigned long long)row % 16 / sizeof(T));
        begin = past ? N - past : 0;
        begin = begin < vocab ? begin : vocab;
        packs = (vocab - begin) / N;
    }
    __device__ int pack(int p) const { return begin + p * N; }
    __device__ int singles() const { return vocab - packs * N; }
    __device__ int single(int s) const { return s < begin ? s : s + packs * N; }
};

// The largest logit so far, and the sum of exponentials of those so far below it.
struct Softmax {
    float highest, sum;
};

template <int N> __device__ inline void meet(Softmax& softmax, const float (&z)[N]) {
    float next = softmax.highest;
#pragma unroll
    for (int c = 0; c < N; c++) next = z[c] > next || z[c] != z[c] ? z[c] : next;
    // All of them are minus infinity so far.
    if (next == -__int_as_float(0x7f800000)) return;
    softmax.sum *= expf(softmax.highest - next);
#pragma unroll
    for (int c = 0; c < N; c++) softmax.sum += expf(z[c] - next);
    softmax.highest = next;
}

// Of a warp, the same in each lane.
__device__ inline Softmax joined(Softmax mine) {
    float highest = warp_max(mine.highest);
    bool nothing = mine.highest == -__int_as_float(0x7f800000);
    return {highest, warp_sum(nothing ? 0.0f : mine.sum * expf(mine.highest - highest))};
}

// loss = ln(sum of exp(multiplier z)) - multiplier z[target], in nats, for each of the rows first .. first + gridDim.x of the
// batch, whose products z lie in `logits` [gridDim.x, vocab]. One block a row, of whole warps; losses [rows of the batch].
// With GRADIENT, z becomes the gradient of weight x loss by it: weight x multiplier x (softmax - [target]).
template <class T, bool GRADIENT>
__device__ void cross_entropy(T* logits, const Tokens& tokens, int first, int vocab, float multiplier, float weight,
                              float* losses) {
    constexpr int N = LogitRow<T>::N;
    SHARED(float, highests, 32);
    SHARED(float, sums, 32);
    LogitRow<T> row(logits + (long long)blockIdx.x * vocab, vocab);
    int target = tokens.target(first + blockIdx.x);
    float at_target = to_f32(row.row[target]) * multiplier;
    Softmax softmax{-__int_as_float(0x7f800000), 0.0f};
    Pack<T, N> kept[LOSS_KEPT];
    auto take = [&](const Pack<T, N>& pack) {
        float z[N];
#pragma unroll
        for (int c = 0; c < N; c++) z[c] = pack[c] * multiplier;
        meet(softmax, z);
    };
#pragma unroll
    for (int u = 0; u < LOSS_KEPT; u++) {
        int p = u * blockDim.x + threadIdx.x;
        if (p < row.packs) kept[u] = Pack<T, N>::at(row.row + row.pack(p));
    }
#pragma unroll
    for (int u = 0; u < LOSS_KEPT; u++)
        if (u * blockDim.x + threadIdx.x < row.packs) take(kept[u]);
    for (int p = LOSS_KEPT * blockDim.x + threadIdx.x; p < row.packs; p += blockDim.x)
        take(Pack<T, N>::at(row.row + row.pack(p)));
    for (int s = threadIdx.x; s < row.singles(); s += blockDim.x) {
        float z[1] = {to_f32(row.row[row.single(s)]) * multiplier};
        meet(softmax, z);
    }
    softmax = joined(softmax);
    if (threadIdx.x % 32 == 0) highests[threadIdx.x / 32] = softmax.highest, sums[threadIdx.x / 32] = softmax.sum;
    // From here on everybody has read the target's logit.
    __syncthreads();
    unsigned lane = threadIdx.x % 32;
    bool there = lane < blockDim.x / 32;
    softmax = joined({there ? (float)highests[lane] : -__int_as_float(0x7f800000), there ? (float)sums[lane] : 0.0f});
    if (threadIdx.x == 0) losses[first + blockIdx.x] = softmax.highest + logf(softmax.sum) - at_target;
    if constexpr (GRADIENT) {
        float factor = weight * multiplier, share = factor / softmax.sum;
        auto slope = [&](float z, int i) {
            return share * expf(z * multiplier - softmax.highest) - (i == target ? factor : 0.0f);
        };
        auto put = [&](const Pack<T, N>& pack, int p) {
            float g[N];
#pragma unroll
            for (int c = 0; c < N; c++) g[c] = slope(pack[c], row.pack(p) + c);
            Pack<T, N>::of(g).put(row.row + row.pack(p));
        };
#pragma unroll
        for (int u = 0; u < LOSS_KEPT; u++) {
            int p = u * blockDim.x + threadIdx.x;
            if (p < row.packs) put(kept[u], p);
        }
        for (int p = LOSS_KEPT * blockDim.x + threadIdx.x; p < row.packs; p += blockDim.x)
            put(Pack<T, N>::at(row.row + row.pack(p)), p);
        for (int s = threadIdx.x; s < row.singles(); s += blockDim.x) {
            T* z = row.row + row.single(s);
            *z = to<T>(slope(to_f32(*z), row.single(s)));
        }
    }
}
#define CROSS_ENTROPY(T, forward, both)                                                                                \
    extern "C" __global__ void __launch_bounds__(1024)                                                                 \
        forward(const T* logits, const u16* ring, long long stride, int slots, const StepState* state, int context,    \
                int first, int vocab, float multiplier, float* losses, long long apart) {                              \
        to_own_run(apart, logits, ring, state, losses);                                                                \
        Tokens tokens(ring, stride, slots, state, context);                                                            \
        cross_entropy<T, false>((T*)logits, tokens, first, vocab, multiplier, 0.0f, losses);                           \
    }                                                                                                                  \
    LISTED(forward)                                                                                                    \
    extern "C" __global__ void __launch_bounds__(1024)                                                                 \
        both(T* logits, const u16* ring, long long stride, int slots, const StepState* state, int context, int first,  \
             int vocab, float multiplier, float weight, float* losses, long long apart) {                              \
        to_own_run(apart, logits, ring, state, losses);                                                                \
        Tokens tokens(ring, stride, slots, state, context);                                                            \
        cross_entropy<T, true>(logits, tokens, first, vocab, multiplier, weight, losses);                              \
    }                                                                                                                  \
    LISTED(both)
CROSS_ENTROPY(float, token_losses_f32, cross_entropy_f32)
CROSS_ENTROPY(bf16, token_losses_bf16, cross_entropy_bf16)

// The token of the largest of each of `rows` rows of logits [rows, vocab], the first of equals: best [rows]. One warp a row.
template <class T> __device__ void best_tokens(const T* logits, int rows, int vocab, int* best) {
    int row = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (row >= rows) return;
    logits += (long long)row * vocab;
    // Where no logit is a number, the first token.
    float highest = -__int_as_float(0x7f800000);
    int token = 0;
    for (int i = lane; i < vocab; i += 32) {
        float z = to_f32(logits[i]);
        if (z > highest) highest = z, token = i;
    }
    for (int o = 16; o > 0; o /= 2) {
        float other = __shfl_xor_sync(0xffffffffu, highest, o);
        int its = __shfl_xor_sync(0xffffffffu, token, o);
        if (other > highest || (other == highest && its < token)) highest = other, token = its;
    }
    if (lane == 0) best[row] = token;
}
#define BEST_TOKENS(T, name)                                                                                           \
    extern "C" __global__ void name(const T* logits, int rows, int vocab, int* best, long long apart) {                \
        to_own_run(apart, logits, best);                                                                               \
        best_tokens<T>(logits, rows, vocab, best);                                                                     \
    }                                                                                                                  \
    LISTED(name)
BEST_TOKENS(float, best_tokens_f32)
BEST_TOKENS(bf16, best_tokens_bf16)

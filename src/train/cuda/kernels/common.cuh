// What all kernels share: number formats, sums over warps and blocks, the state of a step, the batch.
//
// The same files are compiled for cards by NVRTC and, with ON_CPU, by a C++ compiler for tests (emulator/). Therefore
// shared memory is declared by SHARED and SHARED_DYNAMIC, and every kernel that the host starts is listed by LISTED.
#pragma once
#ifdef ON_CPU
#include "emulator/cuda_on_cpu.h"
#else
#define SHARED(type, name, size) __shared__ type name[size]
extern __shared__ __align__(16) float shared_by_the_launch[];
#define SHARED_DYNAMIC(type, name) type* name = (type*)shared_by_the_launch
#define LISTED(name)
#endif

typedef unsigned short u16;

// One launch may be for several runs of one shape: its third direction has one of them each. Their memory is alike, `apart` bytes
// from one run to the next. Moves pointers from the first run to this block's; what is null stays null.
template <class... Pointers> __device__ inline void to_own_run(long long apart, Pointers&... pointers) {
    long long ahead = blockIdx.z * apart;
    ((pointers = pointers ? (Pointers)((unsigned long long)pointers + ahead) : pointers), ...);
}

// The upper half of an f32.
struct bf16 {
    u16 bits;
};

__device__ inline float to_f32(float x) { return x; }
__device__ inline float to_f32(bf16 x) { return __uint_as_float((unsigned)x.bits << 16); }

// The nearest number of a format; of two, the even one. What is no number stays none.
template <class T> __device__ inline T to(float x);
template <> __device__ inline float to<float>(float x) { return x; }
template <> __device__ inline bf16 to<bf16>(float x) {
    unsigned b = __float_as_uint(x);
    if ((b & 0x7fffffffu) > 0x7f800000u) return bf16{(u16)(b >> 16 | 0x40)};
    return bf16{(u16)((b + 0x7fff + (b >> 16 & 1)) >> 16)};
}

// Two numbers as bf16 in one word, the first in the lower half, and back.
__device__ inline float low_of(unsigned pair) { return __uint_as_float(pair << 16); }
__device__ inline float high_of(unsigned pair) { return __uint_as_float(pair & 0xffff0000u); }
#ifdef ON_CPU
inline unsigned pair_of(float low, float high) { return to<bf16>(low).bits | (unsigned)to<bf16>(high).bits << 16; }
#else
__device__ inline unsigned pair_of(float low, float high) {
    unsigned pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
}
// One access of 4, 8 or 16 bytes, at a multiple of its size.
template <class W> __device__ inline W words_at(const void* from) { return *(const W*)from; }
template <class W> __device__ inline void put_words(void* to, W words) { *(W*)to = words; }
#endif

// N neighbours of an array, N one of 1, 4 and 8, taken and put in accesses of up to 16 bytes. N numbers must begin at a
// multiple of their size, or of 16 bytes.
template <class T, int N> struct Pack {
    static constexpr int WORDS = N * (int)sizeof(T) / 4;
    unsigned words[WORDS];

    __device__ static Pack at(const T* from) {
        Pack pack;
        if constexpr (WORDS == 2) {
            uint2 both = words_at<uint2>(from);
            pack.words[0] = both.x, pack.words[1] = both.y;
        } else {
#pragma unroll
            for (int w = 0; w < WORDS; w += 4) {
                uint4 four = words_at<uint4>(from + w * N / WORDS);
                pack.words[w] = four.x, pack.words[w + 1] = four.y, pack.words[w + 2] = four.z, pack.words[w + 3] = four.w;
            }
        }
        return pack;
    }
    __device__ void put(T* to) const {
        if constexpr (WORDS == 2) {
            put_words(to, uint2{words[0], words[1]});
        } else {
#pragma unroll
            for (int w = 0; w < WORDS; w += 4)
                put_words(to + w * N / WORDS, uint4{words[w], words[w + 1], words[w + 2], words[w + 3]});
        }
    }
    // Where `i` is known when compiling, nothing but a register.
    __device__ float operator[](int i) const {
        if constexpr (sizeof(T) == 4) return __uint_as_float(words[i]);
        else return i % 2 ? high_of(words[i / 2]) : low_of(words[i / 2]);
    }
    __device__ static Pack of(const float (&x)[N]) {
        Pack pack;
#pragma unroll
        for (int w = 0; w < WORDS; w++)
            if constexpr (sizeof(T) == 4) pack.words[w] = __float_as_uint(x[w]);
            else pack.words[w] = pair_of(x[2 * w], x[2 * w + 1]);
        return pack;
    }
};
template <class T> struct Pack<T, 1> {
    T number;

    __device__ static Pack at(const T* from) { return {*from}; }
    __device__ void put(T* where) const { *where = number; }
    __device__ float operator[](int) const { return to_f32(number); }
    __device__ static Pack of(const float (&x)[1]) { return {to<T>(x[0])}; }
};

// The state of a run between and within steps. It lies on the card, so that one graph serves all steps.
struct StepState {
    unsigned next;           // the step under way, or that comes next, from 0
    unsigned current;        // the one whose gradient was taken last
    float clip;              // factor on every gradient
    float rate_share;        // of the peak learning rate
    float correction1;       // 1 - beta1^t
    float second_correction; // 1 / (1 - beta2^t)
    float norm;              // of the gradient as a whole, before clipping
    float loss_sum;          // of the mean losses since the host began it anew
    unsigned arrived;        // blocks of `settle` that are done
    unsigned waits;          // not 0: the run takes no part in the step, which leaves all that is kept of it as it is
    unsigned unused[6];
};

// Tokens of a batch: `slots` batches lie one after another, each `stride` tokens long, and a step reads the one of its
// number. A sequence is context + 1 tokens: inputs are all but the last, targets all but the first. Row r of the batch is
// position r % context of sequence r / context.
struct Tokens {
    const u16* ids;
    int context;

    __device__ Tokens(const u16* ring, long long stride, int slots, const StepState* state, int context)
        : ids(ring + state->next % slots * stride), context(context) {}
    __device__ int input(int row) const { return ids[(long long)(row / context) * (context + 1) + row % context]; }
    __device__ int target(int row) const { return ids[(long long)(row / context) * (context + 1) + row % context + 1]; }
};

__device__ inline float warp_sum(float x) {
    for (int o = 16; o > 0; o /= 2) x += __shfl_xor_sync(0xffffffffu, x, o);
    return x;
}

__device__ inline float warp_max(float x) {
    for (int o = 16; o > 0; o /= 2) {
        float other = __shfl_xor_sync(0xffffffffu, x, o);
        // A NaN on either side stays.
        x = x >= other || x != x ? x : other;
    }
    return x;
}

// Sum over a block of whole warps, the same in every thread and in the same order each time.
__device__ inline float block_sum(float x) {
    SHARED(float, parts, 32);
    x = warp_sum(x);
    // Whoever is still reading the parts of a sum before.
    __syncthreads();
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = x;
    __syncthreads();
    float part = threadIdx.x % 32 < blockDim.x / 32 ? (float)parts[threadIdx.x % 32] : 0.0f;
    return warp_sum(part);
}

__device__ inline float block_max(float x) {
    SHARED(float, parts, 32);
    x = warp_max(x);
    __syncthreads();
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = x;
    __syncthreads();
    float part = threadIdx.x % 32 < blockDim.x / 32 ? (float)parts[threadIdx.x % 32] : -__int_as_float(0x7f800000);
    return warp_max(part);
}

// As above in f64, for sums of many numbers.
__device__ inline double block_sum_f64(double x) {
    SHARED(double, parts, 1024);
    __syncthreads();
    parts[threadIdx.x] = x;
    for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) parts[threadIdx.x] = (double)parts[threadIdx.x] + (double)parts[threadIdx.x + half];
    }
    __syncthreads();
    return parts[0];
}

// Products of fragments on the tensor cores (mma.sync, from sm_80 on). With g = lane / 4 and t = lane % 4 a lane of a warp has
// of a result [16, 8] the numbers (g, 2 t), (g, 2 t + 1), (g + 8, 2 t), (g + 8, 2 t + 1).
#pragma once
#include "common.cuh"

// An f32 of which the tensor cores keep ten bits behind the point, rounded to the nearest, ties away from zero.
__device__ inline float to_tf32(float x) { return __uint_as_float((__float_as_uint(x) + 0x1000u) & 0xffffe000u); }

#ifndef ON_CPU
// sum [16, 8] += a [16, 16] b [16, 8] of a warp, in bf16: pairs of neighbours along the dimension that is summed over.
//   a: (g, 2 t), (g + 8, 2 t), (g, 2 t + 8), (g + 8, 2 t + 8);   b: (2 t, g), (2 t + 8, g)
__device__ inline void mma(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Words of shared memory by their address in it: 32 bits, where a pointer has 64.
struct Words {
    unsigned at;

    __device__ Words operator+(int by) const { return {at + 4 * by}; }
};
#define SHARED_WORDS(name) Words name{(unsigned)__cvta_generic_to_shared(shared_by_the_launch)}
// Two words beside each other, from a place that is even.
__device__ inline uint2 two_words(Words from) {
    uint2 words;
    asm volatile("ld.shared.v2.u32 {%0, %1}, [%2];" : "=r"(words.x), "=r"(words.y) : "r"(from.at) : "memory");
    return words;
}

// Four matrices [8, 8] of bf16 in shared memory, of which lane l has the first word of row l % 8 of matrix l / 8, at a multiple of
// 16 bytes: of each, lane (g, t) gets the numbers (g, 2 t) and (g, 2 t + 1), of its transpose (2 t, g) and (2 t + 1, g).
__device__ inline void take_matrices(unsigned (&m)[4], Words row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(m[0]), "=r"(m[1]), "=r"(m[2]), "=r"(m[3])
                 : "r"(row.at)
                 : "memory");
}
__device__ inline void take_transposed(unsigned (&m)[4], Words row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(m[0]), "=r"(m[1]), "=r"(m[2]), "=r"(m[3])
                 : "r"(row.at)
                 : "memory");
}

// Begins to copy 16 bytes, or 4, to shared memory, both at multiples of their size; zeros, and nothing is read, where there is
// nothing. A thread's copies so far are one group; it waits for its own until at most N groups are on their way.
template <int BYTES> __device__ inline void begin_copy(Words to, const void* from, bool there) {
    if constexpr (BYTES == 16)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to.at), "l"(from), "r"(there ? 16 : 0) : "memory");
    else
        asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(to.at), "l"(from), "r"(there ? 4 : 0) : "memory");
}
__device__ inline void end_group() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int N> __device__ inline void wait_for_copies() { asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory"); }

// 2 to the power of x, by the card's own unit: 2 units in the last place off at most.
__device__ inline float power_of_two(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// sum [16, 8] += a [16, 8] b [8, 8], in tf32: single numbers.
//   a: (g, t), (g + 8, t), (g, t + 4), (g + 8, t + 4);   b: (t, g), (t + 4, g)
__device__ inline void mma_tf32(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
#endif

// Products of words of either kind: pairs of bf16, or single tf32. Both factors lie in shared memory with words of the dimension
// that is summed over beside each other, `pitch` words from a row to the next; 8 words make one product.
__device__ inline void mma_words(bf16, float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    mma(sum, a, b0, b1);
}
__device__ inline void mma_words(float, float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    mma_tf32(sum, a, b0, b1);
}

// The left factor's rows row .. row + 16 from `word` on.
template <class Tile> __device__ inline void take_left(unsigned (&a)[4], Tile& tile, int pitch, int row, int word) {
    int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
    for (int i = 0; i < 4; i++) a[i] = tile[(row + g + i % 2 * 8) * pitch + word + t + i / 2 * 4];
}
// sum [16, 8] += left factor times the transpose of rows row .. row + 8 of the tile, from `word` on.
template <class F, class Tile>
__device__ inline void add_times_rows(float (&sum)[4], const unsigned (&a)[4], Tile& tile, int pitch, int row, int word) {
    int at = (row + threadIdx.x % 32 / 4) * pitch + word + threadIdx.x % 4;
    mma_words(F(), sum, a, tile[at], tile[at + 4]);
}

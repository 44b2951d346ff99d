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

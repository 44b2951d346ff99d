// Products where cuBLASLt is not there.
#include "common.cuh"

// Rows and columns of the tile of a block, its depth, and the part of it that one thread has.
#define TILE 64
#define DEPTH 16
#define MINE_ROWS 8
#define MINE_COLUMNS 4
// One more than a tile is wide, so that neighbours in a column lie in different banks.
#define PITCH (TILE + 1)

// A tile of op(x), [rows, columns] from (row, column) on, as [DEPTH, TILE] with `depth` first; zero outside. Neighbouring
// threads read neighbouring numbers, whichever way x lies.
//
// `along` is the dimension of op(x) that the tile is TILE wide in (rows of a, columns of b), `across` the one summed over.
template <class F, bool TF32, class Tile>
__device__ inline void load_tile(Tile& tile, const F* x, int along, int across, int along0, int across0,
                                 bool across_is_contiguous) {
    for (int e = threadIdx.x; e < TILE * DEPTH; e += blockDim.x) {
        int l = across_is_contiguous ? e % DEPTH : e / TILE, i = across_is_contiguous ? e / DEPTH : e % TILE;
        bool inside = along0 + i < along && across0 + l < across;
        long long at = across_is_contiguous ? (long long)(along0 + i) * across + across0 + l
                                            : (long long)(across0 + l) * along + along0 + i;
        float v = inside ? to_f32(x[at]) : 0.0f;
        tile[l * PITCH + i] = TF32 ? to_tf32(v) : v;
    }
}

// out [m, n] = alpha op(a) op(b) + beta out, row-major; op(a) is [m, k], op(b) [k, n]; a transposed factor lies as [k, m] or
// [n, k]. Grid (n / TILE, m / TILE) rounded up, blocks of 128 threads.
//
//   for i, j: out[i, j] = alpha sum over l of op(a)[i, l] op(b)[l, j] + beta out[i, j]
template <class F, class R, bool TF32>
__device__ void product(const F* a, const F* b, R* out, int m, int n, int k, int a_transposed, int b_transposed,
                        float alpha, float beta) {
    SHARED(float, left, DEPTH*(TILE + 1));
    SHARED(float, right, DEPTH*(TILE + 1));
    int row0 = blockIdx.y * TILE, column0 = blockIdx.x * TILE;
    int x = threadIdx.x % (TILE / MINE_COLUMNS), y = threadIdx.x / (TILE / MINE_COLUMNS);
    float sums[MINE_ROWS][MINE_COLUMNS];
#pragma unroll
    for (int r = 0; r < MINE_ROWS; r++)
#pragma unroll
        for (int c = 0; c < MINE_COLUMNS; c++) sums[r][c] = 0.0f;
    for (int l0 = 0; l0 < k; l0 += DEPTH) {
        load_tile<F, TF32>(left, a, m, k, row0, l0, !a_transposed);
        load_tile<F, TF32>(right, b, n, k, column0, l0, b_transposed);
        __syncthreads();
#pragma unroll
        for (int l = 0; l < DEPTH; l++) {
            float of_a[MINE_ROWS], of_b[MINE_COLUMNS];
#pragma unroll
            for (int r = 0; r < MINE_ROWS; r++) of_a[r] = left[l * PITCH + y + r * (TILE / MINE_ROWS)];
#pragma unroll
            for (int c = 0; c < MINE_COLUMNS; c++) of_b[c] = right[l * PITCH + x + c * (TILE / MINE_COLUMNS)];
#pragma unroll
            for (int r = 0; r < MINE_ROWS; r++)
#pragma unroll
                for (int c = 0; c < MINE_COLUMNS; c++) sums[r][c] += of_a[r] * of_b[c];
        }
        __syncthreads();
    }
#pragma unroll
    for (int r = 0; r < MINE_ROWS; r++)
#pragma unroll
        for (int c = 0; c < MINE_COLUMNS; c++) {
            int i = row0 + y + r * (TILE / MINE_ROWS), j = column0 + x + c * (TILE / MINE_COLUMNS);
            if (i >= m || j >= n) continue;
            long long at = (long long)i * n + j;
            // What was there is not read where nothing of it stays: it may be no number.
            out[at] = to<R>(alpha * sums[r][c] + (beta == 0.0f ? 0.0f : beta * to_f32(out[at])));
        }
}
#define PRODUCT(F, R, TF32, name)                                                                                      \
    extern "C" __global__ void __launch_bounds__(128)                                                                  \
        name(const F* a, const F* b, R* out, int m, int n, int k, int a_transposed, int b_transposed, float alpha,     \
             float beta) {                                                                                             \
        product<F, R, TF32>(a, b, out, m, n, k, a_transposed, b_transposed, alpha, beta);                              \
    }                                                                                                                  \
    LISTED(name)
PRODUCT(float, float, false, product_f32_f32)
PRODUCT(float, float, true, product_tf32_f32)
PRODUCT(bf16, bf16, false, product_bf16_bf16)
PRODUCT(bf16, float, false, product_bf16_f32)

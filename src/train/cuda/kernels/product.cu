// Products where cuBLASLt is not there: bf16 and tf32 on tensor cores, f32 by threads.
//
// out [m, n] = alpha op(a) op(b) + beta out, row-major; op(a) is [m, k], op(b) [k, n]; a transposed factor lies as [k, m] or
// [n, k]. Grid (n / TILE, m / TILE) rounded up, blocks of 128 threads.
//
//   for i, j: out[i, j] = alpha sum over l of op(a)[i, l] op(b)[l, j] + beta out[i, j]
#include "mma.cuh"

// Rows and columns of the tile of a block.
#define TILE 64

// What was there is not read where nothing of it stays: it may be no number.
template <class R> __device__ inline void put_sum(R* out, long long at, float sum, float alpha, float beta) {
    out[at] = to<R>(alpha * sum + (beta == 0.0f ? 0.0f : beta * to_f32(out[at])));
}

// ---- By threads ----------------------------------------------------------------------------------------------------------

// Depth of the tiles of f32, and the part of the result that one thread has.
#define DEPTH 16
#define MINE_ROWS 8
#define MINE_COLUMNS 4
// One more than a tile is wide, so that neighbours in a column lie in different banks.
#define PITCH (TILE + 1)

// A tile of op(x), [rows, columns] from (row, column) on, as [DEPTH, TILE] with `depth` first; zero outside. Neighbouring
// threads read neighbouring numbers, whichever way x lies.
//
// `along` is the dimension of op(x) that the tile is TILE wide in (rows of a, columns of b), `across` the one summed over.
template <class Tile>
__device__ inline void load_tile(Tile& tile, const float* x, int along, int across, int along0, int across0,
                                 bool across_is_contiguous) {
    for (int e = threadIdx.x; e < TILE * DEPTH; e += blockDim.x) {
        int l = across_is_contiguous ? e % DEPTH : e / TILE, i = across_is_contiguous ? e / DEPTH : e % TILE;
        bool inside = along0 + i < along && across0 + l < across;
        long long at = across_is_contiguous ? (long long)(along0 + i) * across + across0 + l
                                            : (long long)(across0 + l) * along + along0 + i;
        tile[l * PITCH + i] = inside ? x[at] : 0.0f;
    }
}

extern "C" __global__ void __launch_bounds__(128)
    product_f32_f32(const float* a, const float* b, float* out, int m, int n, int k, int a_transposed, int b_transposed,
                    float alpha, float beta, long long apart) {
    to_own_run(apart, a, b, out);
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
        load_tile(left, a, m, k, row0, l0, !a_transposed);
        load_tile(right, b, n, k, column0, l0, b_transposed);
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
            if (i < m && j < n) put_sum(out, (long long)i * n + j, sums[r][c], alpha, beta);
        }
}
LISTED(product_f32_f32)

// ---- On tensor cores -----------------------------------------------------------------------------------------------------

// Words of a row of a tile, of 16 bf16 pairs or 16 tf32 along the dimension that is summed over, and from a row to the next:
// what the lanes of a warp read together lies in different banks.
#define WORDS 16
#define WORD_PITCH (WORDS + 4)

// A thread's share of a tile [TILE, WORDS] of op(x), on its way from memory: two packs of 16 bytes. Names as for `load_tile`.
template <class F> struct Share {
    static constexpr int N = 16 / sizeof(F), PER_WORD = 4 / sizeof(F);
    Pack<F, N> packs[2];

    // Where pack u begins within the tile: number along and number across.
    __device__ static int2 place(int u, bool across_is_contiguous) {
        int thread = threadIdx.x;
        if (across_is_contiguous) return {(thread + 128 * u) / 4, (thread + 128 * u) % 4 * N};
        // Two rows of bf16 make words together; rows of tf32 are words by themselves.
        if (PER_WORD == 2) return {thread / WORDS * N, thread % WORDS * 2 + u};
        return {(thread / WORDS + 8 * u) * N, thread % WORDS};
    }
    // Zeros behind the end; one by one where packs do not lie at multiples of 16 bytes.
    __device__ void fetch(const F* x, int along, int across, int along0, int across0, bool across_is_contiguous, bool whole) {
#pragma unroll
        for (int u = 0; u < 2; u++) {
            int2 in_tile = place(u, across_is_contiguous);
            int i = along0 + in_tile.x, l = across0 + in_tile.y;
            bool inside = i < along && l < across;
            int left = !inside ? 0 : across_is_contiguous ? across - l : along - i;
            const F* from = x + (across_is_contiguous ? (long long)i * across + l : (long long)l * along + i);
            if (left >= N && whole) {
                packs[u] = Pack<F, N>::at(from);
                continue;
            }
            float numbers[N];
#pragma unroll
            for (int c = 0; c < N; c++) numbers[c] = c < left ? to_f32(from[c]) : 0.0f;
            packs[u] = Pack<F, N>::of(numbers);
        }
    }
    __device__ static unsigned word(unsigned bits) {
        return PER_WORD == 2 ? bits : __float_as_uint(to_tf32(__uint_as_float(bits)));
    }
    template <class Tile> __device__ void put(Tile& tile, bool across_is_contiguous) const {
        int2 first = place(0, across_is_contiguous);
        if (PER_WORD == 2 && !across_is_contiguous) {
#pragma unroll
            for (int c = 0; c < 4; c++) {
                // Two neighbours along, of both rows.
                unsigned upper = packs[0].words[c], lower = packs[1].words[c];
                int at = (first.x + 2 * c) * WORD_PITCH + first.y / 2;
                tile[at] = __byte_perm(upper, lower, 0x5410);
                tile[at + WORD_PITCH] = __byte_perm(upper, lower, 0x7632);
            }
            return;
        }
#pragma unroll
        for (int u = 0; u < 2; u++) {
            int2 at = place(u, across_is_contiguous);
#pragma unroll
            for (int c = 0; c < 4; c++)
                tile[across_is_contiguous ? at.x * WORD_PITCH + at.y / PER_WORD + c : (at.x + c) * WORD_PITCH + at.y] =
                    word(packs[u].words[c]);
        }
    }
};

// Each of the four warps has 32 rows and 32 columns. The tiles that come next are fetched while those here are multiplied.
template <class F, class R>
__device__ void mma_product(const F* a, const F* b, R* out, int m, int n, int k, bool a_transposed, bool b_transposed,
                            float alpha, float beta) {
    typedef Share<F> Part;
    const int depth = WORDS * Part::PER_WORD;
    SHARED(unsigned, left, TILE * WORD_PITCH);
    SHARED(unsigned, right, TILE * WORD_PITCH);
    int row0 = blockIdx.y * TILE, column0 = blockIdx.x * TILE;
    int row = threadIdx.x / 64 * 32, column = threadIdx.x / 32 % 2 * 32;
    bool whole_a = (a_transposed ? m : k) % Part::N == 0 && (unsigned long long)a % 16 == 0;
    bool whole_b = (b_transposed ? k : n) % Part::N == 0 && (unsigned long long)b % 16 == 0;
    float sums[2][4][4] = {};
    Part of_a, of_b;
    of_a.fetch(a, m, k, row0, 0, !a_transposed, whole_a);
    of_b.fetch(b, n, k, column0, 0, b_transposed, whole_b);
#pragma unroll 1
    for (int l0 = 0; l0 < k; l0 += depth) {
        __syncthreads();
        of_a.put(left, !a_transposed);
        of_b.put(right, b_transposed);
        __syncthreads();
        if (l0 + depth < k) {
            of_a.fetch(a, m, k, row0, l0 + depth, !a_transposed, whole_a);
            of_b.fetch(b, n, k, column0, l0 + depth, b_transposed, whole_b);
        }
#pragma unroll
        for (int word = 0; word < WORDS; word += 8) {
            unsigned factors[2][4];
#pragma unroll
            for (int r = 0; r < 2; r++) take_left(factors[r], left, WORD_PITCH, row + 16 * r, word);
#pragma unroll
            for (int r = 0; r < 2; r++)
#pragma unroll
                for (int c = 0; c < 4; c++)
                    add_times_rows<F>(sums[r][c], factors[r], right, WORD_PITCH, column + 8 * c, word);
        }
    }
    int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
    for (int e = 0; e < 32; e++) {
        int r = e / 16, c = e / 4 % 4, i = row0 + row + 16 * r + g + e % 4 / 2 * 8, j = column0 + column + 8 * c + 2 * t + e % 2;
        if (i < m && j < n) put_sum(out, (long long)i * n + j, sums[r][c][e % 4], alpha, beta);
    }
}
#define MMA_PRODUCT(F, R, name)                                                                                        \
    extern "C" __global__ void __launch_bounds__(128)                                                                  \
        name(const F* a, const F* b, R* out, int m, int n, int k, int a_transposed, int b_transposed, float alpha,     \
             float beta, long long apart) {                                                                            \
        to_own_run(apart, a, b, out);                                                                                  \
        mma_product<F, R>(a, b, out, m, n, k, a_transposed, b_transposed, alpha, beta);                                \
    }                                                                                                                  \
    LISTED(name)
MMA_PRODUCT(float, float, product_tf32_f32)
MMA_PRODUCT(bf16, bf16, product_bf16_bf16)
MMA_PRODUCT(bf16, float, product_bf16_f32)

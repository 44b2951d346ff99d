//! Matrix products of factors that are rounded to bf16, with sums in f32, by the instructions AVX512-BF16.
//!
//! As in BLIS (Van Zee and van de Geijn 2015) pieces of both matrices are packed, so that the innermost loop reads them in
//! order. Its instruction multiplies pairs along the inner dimension; so both are packed alike: panels of 16 rows of the left
//! matrix or 16 columns of the right one, and of each panel pair after pair.

use std::arch::x86_64::{
    __m512bh, __m512i, _mm512_add_ps, _mm512_cvtne2ps_pbh, _mm512_dpbf16_ps, _mm512_loadu_ps, _mm512_loadu_si512,
    _mm512_permutexvar_epi16, _mm512_set1_epi32, _mm512_setzero_ps, _mm512_shuffle_i32x4, _mm512_storeu_ps,
    _mm512_storeu_si512, _mm512_unpackhi_epi32, _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
};
use std::array::from_fn;
use std::cell::RefCell;
use std::mem::transmute;

use super::matrix::{Layout, Right, check};

/// Rows or columns of a panel: the lanes of a register.
const PANEL: usize = 16;

/// Rows of c whose sums are in registers at a time.
const ROWS: usize = 8;

/// Panels of columns whose sums are: 8 x 3 registers, and 3 more for the right matrix.
const PANELS: usize = 3;

/// Pairs packed at a time: three panels of the right matrix and half of one of the left are 28 KiB, in the cache next to the
/// core.
const PAIRS: usize = 128;

/// Panels of the left matrix packed at a time, 128 KiB, in the core's second cache.
const LEFT: usize = 16;

/// Panels of the right matrix packed at a time, 768 KiB.
const RIGHT: usize = 96;

/// Two numbers of each row of a panel: the first in the low half.
type Pair = [u32; PANEL];

/// Packed pieces, kept from product to product.
#[derive(Default)]
struct Packed {
    left: Vec<Pair>,
    right: Vec<Pair>,
}

thread_local! {
    static PACKED: RefCell<Packed> = RefCell::default();
}

/// Whether the processor has the instructions.
pub fn available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512bf16")
}

/// c = a b, or c += a b with `accumulate`, on one thread, a and b rounded to bf16. Panics where the shapes do not fit, a matrix
/// leaves its slice, the rows of c have gaps, or the processor cannot do it.
#[allow(unsafe_code)] // the instructions
pub fn multiply((c, to): (&mut [f32], Layout), accumulate: bool, (a, left): (&[f32], Layout), (b, right): Right<'_>) {
    check((c, to), (a, left), (b, right));
    assert!(to.column_stride == 1 && available());
    // SAFETY: the instructions are there. Every element lies within its slice, as `check` saw.
    PACKED.with_borrow_mut(|packed| unsafe { pieces((c, to), accumulate, (a, left), (b, right.transposed()), packed) });
}

/// The product piece by piece; the columns of the right matrix are the rows of `right`.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn pieces(
    (c, to): (&mut [f32], Layout),
    accumulate: bool,
    (a, left): (&[f32], Layout),
    (b, right): (&[f32], Layout),
    packed: &mut Packed,
) {
    let (m, n, k) = (to.rows, to.columns, left.columns);
    for (column, columns) in cut(n, RIGHT * PANEL) {
        for (from, inner) in cut(k, 2 * PAIRS) {
            let pairs = inner.div_ceil(2);
            pack((b, right), (column, columns), (from, inner), &mut packed.right);
            for (row, rows) in cut(m, LEFT * PANEL) {
                pack((a, left), (row, rows), (from, inner), &mut packed.left);
                for (j, wide) in cut(columns, PANELS * PANEL) {
                    let right = &packed.right[j / PANEL * pairs..];
                    for (i, high) in cut(rows, ROWS) {
                        let left = &packed.left[i / PANEL * pairs..][..pairs];
                        let c = &mut c[to.offset + (row + i) * to.row_stride + column + j..];
                        let to = Tile { stride: to.row_stride, high, wide, add: accumulate || from > 0 };
                        match wide.div_ceil(PANEL) {
                            3 => tile::<3>((left, i % PANEL), right, c, to),
                            2 => tile::<2>((left, i % PANEL), right, c, to),
                            _ => tile::<1>((left, i % PANEL), right, c, to),
                        }
                    }
                }
            }
        }
    }
}

/// Beginnings and lengths of pieces of `size`, the last one shorter.
fn cut(length: usize, size: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..length).step_by(size).map(move |from| (from, size.min(length - from)))
}

/// Where sums go: rows of c `stride` apart, how many of them and of their columns, and whether they are added.
#[derive(Clone, Copy)]
struct Tile {
    stride: usize,
    high: usize,
    wide: usize,
    add: bool,
}

/// Products of [`ROWS`] rows of a panel, from the one named on, with `N` panels of columns.
#[allow(unsafe_code)] // loads and stores
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
#[inline]
fn tile<const N: usize>((left, row): (&[Pair], usize), right: &[Pair], c: &mut [f32], to: Tile) {
    let Tile { stride, high, wide, add } = to;
    let mut sums = [[_mm512_setzero_ps(); N]; ROWS];
    let panels: [&[Pair]; N] = from_fn(|j| &right[j * left.len()..][..left.len()]);
    for (pair, rows) in left.iter().enumerate() {
        // SAFETY: each panel is as long as `left`; a pair is as long as a register.
        let columns: [__m512bh; N] =
            from_fn(|j| unsafe { transmute(_mm512_loadu_si512(panels[j].as_ptr().add(pair).cast())) });
        let rows: &[u32; ROWS] = rows[row..row + ROWS].try_into().expect("a half of a panel");
        for (sums, row) in sums.iter_mut().zip(rows) {
            // SAFETY: both are 512 bits.
            let row: __m512bh = unsafe { transmute(_mm512_set1_epi32(row.cast_signed())) };
            for (sum, column) in sums.iter_mut().zip(columns) {
                *sum = _mm512_dpbf16_ps(*sum, row, column);
            }
        }
    }
    if (high, wide) == (ROWS, N * PANEL) {
        for (i, sums) in sums.into_iter().enumerate() {
            let c = &mut c[i * stride..][..N * PANEL];
            for (c, sum) in c.chunks_exact_mut(PANEL).zip(sums) {
                // SAFETY: a chunk is as long as a register.
                unsafe {
                    let sum = if add { _mm512_add_ps(_mm512_loadu_ps(c.as_ptr()), sum) } else { sum };
                    _mm512_storeu_ps(c.as_mut_ptr(), sum);
                }
            }
        }
    } else {
        // SAFETY: a register is 16 numbers.
        let sums: [[[f32; PANEL]; N]; ROWS] = sums.map(|sums| sums.map(|sum| unsafe { transmute(sum) }));
        for (i, sums) in sums.iter().enumerate().take(high) {
            for (c, sum) in c[i * stride..][..wide].iter_mut().zip(sums.as_flattened()) {
                *c = if add { *c + sum } else { *sum };
            }
        }
    }
}

/// Packs `inner` elements from `from` on of `rows` rows from `first` on. What is missing to whole pairs and panels is 0.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn pack(
    (x, of): (&[f32], Layout),
    (first, rows): (usize, usize),
    (from, inner): (usize, usize),
    packed: &mut Vec<Pair>,
) {
    let pairs = inner.div_ceil(2);
    packed.resize(rows.div_ceil(PANEL) * pairs, [0; PANEL]);
    for ((panel, high), packed) in cut(rows, PANEL).zip(packed.chunks_exact_mut(pairs)) {
        let x = &x[of.offset + (first + panel) * of.row_stride + from * of.column_stride..];
        // How far whole registers go.
        let done = match (high == PANEL, of.row_stride, of.column_stride) {
            (true, 1, _) => interleave(x, of.column_stride, &mut packed[..inner / 2]),
            (true, _, 1) => transpose(x, of.row_stride, &mut packed[..inner / (2 * PANEL) * PANEL]),
            _ => 0,
        };
        for (pair, packed) in packed.iter_mut().enumerate().skip(done) {
            *packed = [0; PANEL];
            for (row, packed) in packed.iter_mut().enumerate().take(high) {
                let [low, high] = [2 * pair, 2 * pair + 1]
                    .map(|k| if k < inner { bits(x[row * of.row_stride + k * of.column_stride]) } else { 0 });
                *packed = low | high << 16;
            }
        }
    }
}

/// The nearest bf16, of two the even one.
fn bits(x: f32) -> u32 {
    let bits = x.to_bits();
    if x.is_nan() { bits >> 16 | 0x40 } else { (bits + 0x7fff + (bits >> 16 & 1)) >> 16 }
}

/// The nearest bf16 of each, as f32.
#[cfg(test)]
pub fn nearest(x: &[f32]) -> Vec<f32> {
    x.iter().map(|&x| f32::from_bits(bits(x) << 16)).collect()
}

/// Packs 16 rows that lie beside each other, their elements `stride` apart; returns how many pairs.
#[allow(unsafe_code)] // loads and stores
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn interleave(x: &[f32], stride: usize, packed: &mut [Pair]) -> usize {
    let order: [u16; 2 * PANEL] = from_fn(|i| (i / 2 + i % 2 * PANEL) as u16);
    // SAFETY: it is as long as a register.
    let order = unsafe { _mm512_loadu_si512(order.as_ptr().cast()) };
    for (pair, packed) in packed.iter_mut().enumerate() {
        // Not by a closure on an array: it would be a call.
        let (low, high) = (&x[2 * pair * stride..][..PANEL], &x[(2 * pair + 1) * stride..][..PANEL]);
        // SAFETY: `low`, `high` and `packed` are each as long as a register.
        unsafe {
            let both = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(high.as_ptr()), _mm512_loadu_ps(low.as_ptr()));
            _mm512_storeu_si512(
                packed.as_mut_ptr().cast(),
                _mm512_permutexvar_epi16(order, transmute::<__m512bh, __m512i>(both)),
            );
        }
    }
    packed.len()
}

/// Packs 16 rows that are `stride` apart, their elements beside each other, 16 pairs at a time; returns how many pairs.
#[allow(unsafe_code)] // loads and stores
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn transpose(x: &[f32], stride: usize, packed: &mut [Pair]) -> usize {
    for (block, packed) in packed.chunks_exact_mut(PANEL).enumerate() {
        let rows: [__m512i; PANEL] = from_fn(|row| {
            let (low, high) = x[row * stride + block * 2 * PANEL..][..2 * PANEL].split_at(PANEL);
            // SAFETY: both are as long as a register.
            unsafe { transmute(_mm512_cvtne2ps_pbh(_mm512_loadu_ps(high.as_ptr()), _mm512_loadu_ps(low.as_ptr()))) }
        });
        // Pairs of rows, then fours, inside each quarter of a register; then quarters.
        let twos: [__m512i; PANEL] = from_fn(|i| {
            let (a, b) = (rows[i & !1], rows[i | 1]);
            if i % 2 == 0 { _mm512_unpacklo_epi32(a, b) } else { _mm512_unpackhi_epi32(a, b) }
        });
        let fours: [__m512i; PANEL] = from_fn(|i| {
            let (a, b) = (twos[i & !3 | i >> 1 & 1], twos[i & !3 | i >> 1 & 1 | 2]);
            if i % 2 == 0 { _mm512_unpacklo_epi64(a, b) } else { _mm512_unpackhi_epi64(a, b) }
        });
        for i in 0..4 {
            let [upper, lower] = [0, 8].map(|half| {
                let (a, b) = (fours[i + half], fours[i + half + 4]);
                [_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0xdd>(a, b)]
            });
            let columns = [
                _mm512_shuffle_i32x4::<0x88>(upper[0], lower[0]),
                _mm512_shuffle_i32x4::<0x88>(upper[1], lower[1]),
                _mm512_shuffle_i32x4::<0xdd>(upper[0], lower[0]),
                _mm512_shuffle_i32x4::<0xdd>(upper[1], lower[1]),
            ];
            for (quarter, column) in columns.into_iter().enumerate() {
                // SAFETY: a pair is as long as a register.
                unsafe { _mm512_storeu_si512(packed[4 * quarter + i].as_mut_ptr().cast(), column) };
            }
        }
    }
    packed.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_to_the_nearest_and_what_is_not_finite_stays() {
        for (x, rounded) in [
            (1.0, 1.0),
            (1.001, 1.0),
            // Halfway, just above, and halfway again.
            (1.003_906_3, 1.0),
            (1.003_906_4, 1.007_812_5),
            (1.011_718_8, 1.015_625),
            (-0.1, -0.100_097_656),
        ] {
            assert_eq!(nearest(&[x]), [rounded], "{x}");
        }
        assert_eq!(nearest(&[f32::INFINITY, f32::NEG_INFINITY]), [f32::INFINITY, f32::NEG_INFINITY]);
        assert!(nearest(&[f32::NAN, f32::from_bits(0x7f80_0001)]).iter().all(|x| x.is_nan()));
    }
}

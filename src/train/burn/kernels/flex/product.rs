//! Matrix products on slices: in f32 by the `gemm` crate, which chooses AVX-512, AVX2 or plain code itself, and of rounded
//! factors by `rounded`.

use gemm::Parallelism;

use super::matrix::{Layout, Right, check};
#[cfg(target_arch = "x86_64")]
use super::rounded;
use crate::spec::Precision;

/// Whether the processor multiplies factors of this precision.
pub fn available(precision: Precision) -> bool {
    match precision {
        Precision::F32 => true,
        Precision::Tf32 => false,
        #[cfg(target_arch = "x86_64")]
        Precision::Bf16 => rounded::available(),
        #[cfg(not(target_arch = "x86_64"))]
        Precision::Bf16 => false,
    }
}

/// [`multiply`] with factors of a precision that is [`available`]; the elements of a row of c lie beside each other.
pub fn multiply_in(
    precision: Precision,
    to: (&mut [f32], Layout),
    accumulate: bool,
    left: (&[f32], Layout),
    right: Right<'_>,
) {
    match precision {
        Precision::F32 => multiply(to, accumulate, left, right),
        #[cfg(target_arch = "x86_64")]
        Precision::Bf16 => rounded::multiply(to, accumulate, left, right),
        #[allow(unreachable_patterns)] // elsewhere
        other => unreachable!("{other:?} is refused before"),
    }
}

/// c = a b, or c += a b with `accumulate`, on one thread. Panics where [`check`] does.
#[allow(unsafe_code)] // gemm takes pointers
pub fn multiply((c, to): (&mut [f32], Layout), accumulate: bool, (a, left): (&[f32], Layout), (b, right): Right<'_>) {
    check((c, to), (a, left), (b, right));
    let (m, n, k) = (to.rows, to.columns, left.columns);
    let stride = |stride: usize| isize::try_from(stride).expect("a slice is not that long");
    // SAFETY: every element of the three matrices lies within its slice, as asserted above, and `c` is borrowed
    // mutably, so it overlaps neither `a` nor `b`.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr().add(to.offset),
            stride(to.column_stride),
            stride(to.row_stride),
            accumulate,
            a.as_ptr().add(left.offset),
            stride(left.column_stride),
            stride(left.row_stride),
            b.as_ptr().add(right.offset),
            stride(right.column_stride),
            stride(right.row_stride),
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_reads_strided_and_transposed_matrices() {
        // a = [[1, 2], [3, 4]] inside rows of three, b = its transpose.
        let a = [1.0, 2.0, 9.0, 3.0, 4.0, 9.0];
        let layout = Layout::rows(0, 2, 2, 3);
        let mut c = [1.0; 4];
        multiply((&mut c, Layout::rows(0, 2, 2, 2)), true, (&a, layout), (&a, layout.transposed()));
        assert_eq!(c.map(|x| x as i32), [6, 12, 12, 26]);
    }

    #[test]
    #[should_panic(expected = "leaves its slice")]
    fn a_matrix_outside_its_slice_is_refused() {
        let mut c = [0.0; 4];
        multiply(
            (&mut c, Layout::rows(1, 2, 2, 2)),
            false,
            (&[0.0; 4], Layout::rows(0, 2, 2, 2)),
            (&[0.0; 4], Layout::rows(0, 2, 2, 2)),
        );
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn a_product_is_that_of_the_rounded_factors() {
        if !rounded::available() {
            tell!("skipped: this processor has no AVX512-BF16");
            return;
        }
        let mut seed = 1_u32;
        let mut random = |n: usize| -> Vec<f32> {
            let mut next = || {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 8) as f32 / (1 << 24) as f32 - 0.5
            };
            (0..n).map(|_| next()).collect()
        };
        let sizes = [
            (1, 1, 1),
            (3, 5, 7),
            (8, 48, 2),
            (16, 16, 33),
            (17, 49, 31),
            (65, 130, 517),
            (300, 24, 24),
            (8, 1600, 70),
        ];
        for (m, n, k) in sizes {
            for case in 0..8 {
                let [left_turned, right_turned, accumulate] = [1, 2, 4].map(|bit| case & bit > 0);
                // Inside rows that are wider.
                let layout = |turned: bool, rows: usize, columns: usize| {
                    if turned {
                        Layout::rows(2, columns, rows, rows + 3).transposed()
                    } else {
                        Layout::rows(1, rows, columns, columns + 1)
                    }
                };
                let (left, right, to) = (layout(left_turned, m, k), layout(right_turned, k, n), layout(false, m, n));
                let (a, b, mut c) = (random(left.end()), random(right.end()), random(to.end()));
                let mut expected = c.clone();
                rounded::multiply((&mut c, to), accumulate, (&a, left), (&b, right));
                let (a, b) = (rounded::nearest(&a), rounded::nearest(&b));
                multiply((&mut expected, to), accumulate, (&a, left), (&b, right));
                let off = c.iter().zip(&expected).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max);
                assert!(off < 2e-5, "{m} x {n} x {k}, case {case}: off by {off}");
            }
        }
    }
}

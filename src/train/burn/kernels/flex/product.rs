//! Matrix products on slices, by the `gemm` crate, which chooses AVX-512, AVX2 or plain code itself.

use gemm::Parallelism;

/// A matrix inside a slice: element (i, j) at `offset + i * row_stride + j * column_stride`.
#[derive(Clone, Copy)]
pub struct Layout {
    pub offset: usize,
    pub rows: usize,
    pub columns: usize,
    pub row_stride: usize,
    pub column_stride: usize,
}

impl Layout {
    /// Rows of `columns` elements, `row_stride` apart.
    pub fn rows(offset: usize, rows: usize, columns: usize, row_stride: usize) -> Self {
        Self { offset, rows, columns, row_stride, column_stride: 1 }
    }

    /// The same elements, transposed.
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// One past the last element.
    fn end(&self) -> usize {
        self.offset + (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride + 1
    }
}

/// c = a b, or c += a b with `accumulate`, on one thread. Panics where the shapes do not fit or a matrix leaves its
/// slice.
#[allow(unsafe_code)] // gemm takes pointers
pub fn multiply(
    (c, to): (&mut [f32], Layout),
    accumulate: bool,
    (a, left): (&[f32], Layout),
    (b, right): (&[f32], Layout),
) {
    let (m, n, k) = (to.rows, to.columns, left.columns);
    assert!(left.rows == m && right.columns == n && right.rows == k && m * n * k > 0, "shapes do not fit");
    assert!(to.end() <= c.len() && left.end() <= a.len() && right.end() <= b.len(), "matrix leaves its slice");
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
}

//! A matrix inside a slice, as products read and write it.

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
    pub fn end(&self) -> usize {
        self.offset + (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride + 1
    }
}

/// The right factor of a product.
pub type Right<'a> = (&'a [f32], Layout);

/// Panics where the shapes do not fit or a matrix leaves its slice.
pub fn check((c, to): (&[f32], Layout), (a, left): (&[f32], Layout), (b, right): Right<'_>) {
    let (m, n, k) = (to.rows, to.columns, left.columns);
    assert!(left.rows == m && right.columns == n && right.rows == k && m * n * k > 0, "shapes do not fit");
    assert!(to.end() <= c.len() && left.end() <= a.len() && right.end() <= b.len(), "matrix leaves its slice");
}

//! Softmax cross entropy over the unembedding, in pieces of rows whose logits stay in the cache.

use super::matrix::Layout;
use super::product::multiply_in;
use super::simd::{exp, max, sum_of, vectorized};
use crate::spec::Precision;

/// Bytes of logits worked on at a time. Fewer would stay in a core's own cache, but each piece reads the unembedding and
/// its gradient once: at a vocabulary of 4096, pieces of 64 rows cost twice the time of 256.
const PIECE_BYTES: usize = 1 << 22;

/// The unembedding `[d, vocab]`, the factor on its logits, and the precision of their products.
#[derive(Clone, Copy)]
pub struct Unembedding<'a> {
    pub weights: &'a [f32],
    pub d: usize,
    pub vocab: usize,
    pub multiplier: f32,
    pub precision: Precision,
}

impl Unembedding<'_> {
    /// Rows worked on at a time.
    fn piece_rows(&self) -> usize {
        (PIECE_BYTES / (4 * self.vocab)).clamp(64, 512)
    }

    fn layout(&self) -> Layout {
        Layout::rows(0, self.d, self.vocab, self.vocab)
    }

    /// Logits of the rows of `x`, without the factor.
    fn logits(&self, x: &[f32], logits: &mut [f32]) {
        let rows = x.len() / self.d;
        let to = Layout::rows(0, rows, self.vocab, self.vocab);
        let x = (x, Layout::rows(0, rows, self.d, self.d));
        multiply_in(self.precision, (logits, to), false, x, (self.weights, self.layout()));
    }
}

/// Cross entropy of each row of `x`.
pub fn token_losses(head: Unembedding<'_>, x: &[f32], targets: &[i32], losses: &mut [f32]) {
    let rows = head.piece_rows();
    let mut logits = vec![0.0; rows.min(targets.len()) * head.vocab];
    for ((x, targets), losses) in x.chunks(rows * head.d).zip(targets.chunks(rows)).zip(losses.chunks_mut(rows)) {
        let logits = &mut logits[..targets.len() * head.vocab];
        head.logits(x, logits);
        for ((row, &target), loss) in logits.chunks_exact_mut(head.vocab).zip(targets).zip(losses) {
            *loss = row_loss(row, target as usize, head.multiplier).0;
        }
    }
}

/// Sum of the cross entropies of the rows of `x`; writes the gradients of `weight` x that sum by `x` and adds those
/// by the unembedding.
pub fn loss_and_gradients(
    head: Unembedding<'_>,
    x: &[f32],
    targets: &[i32],
    weight: f32,
    grad_x: &mut [f32],
    grad_weights: &mut [f32],
) -> f64 {
    let (rows, d, vocab) = (head.piece_rows(), head.d, head.vocab);
    let mut logits = vec![0.0; rows.min(targets.len()) * vocab];
    let mut total = 0.0;
    for ((x, targets), grad_x) in x.chunks(rows * d).zip(targets.chunks(rows)).zip(grad_x.chunks_mut(rows * d)) {
        let n = targets.len();
        let logits = &mut logits[..n * vocab];
        head.logits(x, logits);
        for (row, &target) in logits.chunks_exact_mut(vocab).zip(targets) {
            total += f64::from(row_gradient(row, target as usize, head.multiplier, weight));
        }
        let (rows_x, rows_logits) = (Layout::rows(0, n, d, d), Layout::rows(0, n, vocab, vocab));
        let by_x = (head.weights, head.layout().transposed());
        multiply_in(head.precision, (grad_x, rows_x), false, (logits, rows_logits), by_x);
        let by_weights = (x, rows_x.transposed());
        multiply_in(head.precision, (grad_weights, head.layout()), true, by_weights, (logits, rows_logits));
    }
    total
}

/// Turns a row of logits into exponentials; returns its loss and their sum.
#[inline]
fn row_loss(row: &mut [f32], target: usize, multiplier: f32) -> (f32, f32) {
    let at_target = row[target] * multiplier;
    vectorized(
        #[inline(always)]
        || {
            let highest = max(row) * multiplier;
            for x in row.iter_mut() {
                *x = exp(x.mul_add(multiplier, -highest));
            }
            let sum = sum_of(row, |x| x);
            (highest + sum.ln() - at_target, sum)
        },
    )
}

/// Turns a row of logits into the gradient of `weight` x its loss by the product x W; returns the loss.
#[inline]
fn row_gradient(row: &mut [f32], target: usize, multiplier: f32, weight: f32) -> f32 {
    let (loss, sum) = row_loss(row, target, multiplier);
    let factor = weight * multiplier;
    vectorized(
        #[inline(always)]
        || {
            for x in row.iter_mut() {
                *x *= factor / sum;
            }
        },
    );
    row[target] -= factor;
    loss
}

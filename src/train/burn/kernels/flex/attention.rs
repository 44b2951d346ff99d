//! Causal attention of one sequence on packed queries, keys and values, in blocks of rows: the masked half is never
//! computed, and the probabilities are made anew for the backward pass instead of kept (Dao et al. 2022, arXiv
//! 2205.14135).

use super::matrix::Layout;
use super::product::multiply;
use super::simd::{dot, exp, max, sum_of, vectorized};

/// Query rows of one block: fewer skip more of the masked half, more pack the keys less often. At 256 positions and 32
/// channels 128 rows take four fifths of the time of 64.
const BLOCK: usize = 128;

/// The shape of one sequence: `context` rows of 3 x `width` numbers, heads of `head_dim`.
#[derive(Clone, Copy)]
pub struct Sequence {
    pub context: usize,
    pub width: usize,
    pub heads: usize,
    pub scale: f32,
}

impl Sequence {
    fn head_dim(&self) -> usize {
        self.width / self.heads
    }

    /// `rows` rows from `first` of query (0), key (1) or value (2) of a head, inside the packed sequence.
    fn packed(&self, part: usize, head: usize, first: usize, rows: usize) -> Layout {
        let offset = first * 3 * self.width + part * self.width + head * self.head_dim();
        Layout::rows(offset, rows, self.head_dim(), 3 * self.width)
    }

    /// The same rows of a head inside the output.
    fn output(&self, head: usize, first: usize, rows: usize) -> Layout {
        Layout::rows(first * self.width + head * self.head_dim(), rows, self.head_dim(), self.width)
    }

    /// Length of the scratch space that a pass needs.
    pub fn scratch(&self) -> usize {
        BLOCK.min(self.context) * self.context
    }

    /// First row and number of rows of each block.
    fn blocks(&self) -> impl DoubleEndedIterator<Item = (usize, usize)> + use<> {
        let context = self.context;
        (0..context.div_ceil(BLOCK)).map(move |block| (block * BLOCK, BLOCK.min(context - block * BLOCK)))
    }
}

/// Turns queries and keys of one packed sequence by the angle of their position, back with `direction` -1. `cos` and
/// `sin` have a row of `head_dim` / 2 for each position.
pub fn rotate(shape: Sequence, qkv: &mut [f32], cos: &[f32], sin: &[f32], direction: f32) {
    let half = shape.head_dim() / 2;
    let tables = cos.chunks_exact(half).zip(sin.chunks_exact(half));
    vectorized(
        #[inline(always)]
        || {
            for (row, (cos, sin)) in qkv.chunks_exact_mut(3 * shape.width).zip(tables) {
                for head in row[..2 * shape.width].chunks_exact_mut(2 * half) {
                    let (a, b) = head.split_at_mut(half);
                    for (((a, b), &cos), &sin) in a.iter_mut().zip(b).zip(cos).zip(sin) {
                        let sin = sin * direction;
                        (*a, *b) = (*a * cos - *b * sin, a.mul_add(sin, *b * cos));
                    }
                }
            }
        },
    );
}

/// Output `[context, width]` of one sequence, and the logarithm of each softmax denominator `[heads, context]`.
pub fn forward(shape: Sequence, qkv: &[f32], output: &mut [f32], denominators: &mut [f32], scratch: &mut [f32]) {
    for (head, denominators) in denominators.chunks_exact_mut(shape.context).enumerate() {
        for (first, rows) in shape.blocks() {
            // Row i sees keys 0..=i.
            let keys = first + rows;
            let logits = Layout::rows(0, rows, keys, keys);
            let (q, k) = (shape.packed(0, head, first, rows), shape.packed(1, head, 0, keys));
            multiply((scratch, logits), false, (qkv, q), (qkv, k.transposed()));
            for (r, row) in scratch[..rows * keys].chunks_exact_mut(keys).enumerate() {
                denominators[first + r] = softmax(row, first + r + 1, shape.scale);
            }
            let v = shape.packed(2, head, 0, keys);
            multiply((output, shape.output(head, first, rows)), false, (scratch, logits), (qkv, v));
        }
    }
}

/// What the backward pass of one sequence reads: packed `qkv` as turned, the output and its gradient `[context,
/// width]`, and the logarithms of the softmax denominators `[heads, context]`.
#[derive(Clone, Copy)]
pub struct Saved<'a> {
    pub qkv: &'a [f32],
    pub output: &'a [f32],
    pub grad: &'a [f32],
    pub denominators: &'a [f32],
}

/// Gradient of the packed sequence as turned.
pub fn backward(shape: Sequence, saved: Saved<'_>, grad_qkv: &mut [f32], scratch: [&mut [f32]; 2]) {
    let Saved { qkv, output, grad, denominators } = saved;
    let [p, ds] = scratch;
    for head in 0..shape.heads {
        // From the last block, which has all keys, so that it initializes the sums over blocks.
        for (first, rows) in shape.blocks().rev() {
            let keys = first + rows;
            let add = keys < shape.context;
            let square = Layout::rows(0, rows, keys, keys);
            let [q, k, v] = [(0, first, rows), (1, 0, keys), (2, 0, keys)]
                .map(|(part, first, rows)| shape.packed(part, head, first, rows));
            let out = shape.output(head, first, rows);
            multiply((p, square), false, (qkv, q), (qkv, k.transposed()));
            multiply((ds, square), false, (grad, out), (qkv, v.transposed()));
            for r in 0..rows {
                let (i, at) = (first + r, out.offset + r * out.row_stride);
                let of_output = [output, grad].map(|rows| &rows[at..at + out.columns]);
                let row = r * keys..(r + 1) * keys;
                let denominator = denominators[head * shape.context + i];
                softmax_backward(&mut p[row.clone()], &mut ds[row], i + 1, shape.scale, denominator, of_output);
            }
            multiply((grad_qkv, q), false, (ds, square), (qkv, k));
            multiply((grad_qkv, k), add, (ds, square.transposed()), (qkv, q));
            multiply((grad_qkv, v), add, (p, square.transposed()), (grad, out));
        }
    }
}

/// Softmax of `scale` x the first `seen` logits, zero behind them; returns the logarithm of the denominator.
#[inline]
fn softmax(row: &mut [f32], seen: usize, scale: f32) -> f32 {
    let (row, hidden) = row.split_at_mut(seen);
    hidden.fill(0.0);
    vectorized(
        #[inline(always)]
        || {
            let highest = max(row) * scale;
            for x in row.iter_mut() {
                *x = exp(x.mul_add(scale, -highest));
            }
            let sum = sum_of(row, |x| x);
            let share = sum.recip();
            for x in row.iter_mut() {
                *x *= share;
            }
            highest + sum.ln()
        },
    )
}

/// Turns logits into probabilities p and the gradient dp by them into that by the products q.k: p (dp - delta) scale,
/// where delta = sum of p dp, which equals output . gradient.
#[inline]
fn softmax_backward(
    p: &mut [f32],
    dp: &mut [f32],
    seen: usize,
    scale: f32,
    denominator: f32,
    [output, grad]: [&[f32]; 2],
) {
    p[seen..].fill(0.0);
    dp[seen..].fill(0.0);
    vectorized(
        #[inline(always)]
        || {
            let delta = dot(output, grad);
            for (p, dp) in p[..seen].iter_mut().zip(&mut dp[..seen]) {
                *p = exp(p.mul_add(scale, -denominator));
                *dp = *p * (*dp - delta) * scale;
            }
        },
    );
}

//! A long short-term memory on some sequences side by side: one product a position, and its gates.
//!
//! ```text
//! i, f, o = sigmoid, g = tanh of (gates_t + h_(t-1) W)      c_t = f c_(t-1) + i g      h_t = o tanh(c_t)
//! ```
//! Rows are tokens, sequence after sequence, so the rows of one position are `context` rows apart.

use super::gates::{sigmoid, tanh};
use super::product::{Layout, multiply};
use super::simd::vectorized;

/// A memory of `width` channels, with the matrix `[width, 4 width]` by which its output reaches its gates.
#[derive(Clone, Copy)]
pub struct Lstm<'a> {
    pub width: usize,
    pub context: usize,
    pub state: &'a [f32],
}

/// What the forward pass left, and the gradient of the outputs; all `[rows, width]`.
#[derive(Clone, Copy)]
pub struct Pass<'a> {
    pub cells: &'a [f32],
    pub outputs: &'a [f32],
    pub grad: &'a [f32],
}

impl Lstm<'_> {
    /// The rows of a position in all sequences, of `columns` numbers each.
    fn position(&self, at: usize, sequences: usize, columns: usize) -> Layout {
        Layout::rows(at * columns, sequences, columns, self.context * columns)
    }

    fn state(&self) -> Layout {
        Layout::rows(0, self.width, 4 * self.width, 4 * self.width)
    }

    /// Turns what the inputs give to the gates into the gates, and writes cells and outputs.
    pub fn forward(&self, gates: &mut [f32], cells: &mut [f32], outputs: &mut [f32]) {
        let (d, context) = (self.width, self.context);
        let sequences = cells.len() / (d * context);
        for at in 0..context {
            if at > 0 {
                let to = (&mut *gates, self.position(at, sequences, 4 * d));
                multiply(to, true, (outputs, self.position(at - 1, sequences, d)), (self.state, self.state()));
            }
            for row in (0..sequences).map(|sequence| sequence * context + at) {
                let (before, cell) = cells[..(row + 1) * d].split_at_mut(row * d);
                let before = if at > 0 { &before[(row - 1) * d..] } else { &[] };
                open(&mut gates[4 * row * d..4 * (row + 1) * d], before, cell, &mut outputs[row * d..(row + 1) * d]);
            }
        }
    }

    /// Turns the gates into the gradient of what reached them; returns that of `state`.
    pub fn backward(&self, gates: &mut [f32], pass: Pass<'_>) -> Vec<f32> {
        let (d, context) = (self.width, self.context);
        let sequences = pass.cells.len() / (d * context);
        let (mut grad_cells, mut grad_outputs) = (vec![0.0; sequences * d], vec![0.0; sequences * d]);
        for at in (0..context).rev() {
            if at + 1 < context {
                let from = (&*gates, self.position(at + 1, sequences, 4 * d));
                let to = (grad_outputs.as_mut_slice(), Layout::rows(0, sequences, d, d));
                multiply(to, false, from, (self.state, self.state().transposed()));
            }
            for sequence in 0..sequences {
                let row = sequence * context + at;
                let before = if at > 0 { &pass.cells[(row - 1) * d..row * d] } else { &[] };
                let own = sequence * d..(sequence + 1) * d;
                let grads = [&pass.grad[row * d..(row + 1) * d], &grad_outputs[own.clone()]];
                let cells = [before, &pass.cells[row * d..(row + 1) * d]];
                close(&mut gates[4 * row * d..4 * (row + 1) * d], cells, grads, &mut grad_cells[own]);
            }
        }
        self.grad_state(gates, pass.outputs)
    }

    /// Sum over tokens of output before x gradient of the gates.
    fn grad_state(&self, grad_gates: &[f32], outputs: &[f32]) -> Vec<f32> {
        let (d, context) = (self.width, self.context);
        let mut grad = vec![0.0; 4 * d * d];
        if context < 2 {
            return grad;
        }
        for sequence in 0..outputs.len() / (d * context) {
            let before = Layout::rows(sequence * context * d, context - 1, d, d);
            let after = Layout::rows((sequence * context + 1) * 4 * d, context - 1, 4 * d, 4 * d);
            multiply((&mut grad, self.state()), true, (outputs, before.transposed()), (grad_gates, after));
        }
        grad
    }
}

/// One token: gates through their activations, then cell and output. `before` is the cell before, nothing at first.
#[inline]
fn open(gates: &mut [f32], before: &[f32], cell: &mut [f32], output: &mut [f32]) {
    let d = cell.len();
    let (input, rest) = gates.split_at_mut(d);
    let (forget, rest) = rest.split_at_mut(d);
    let (candidate, out) = rest.split_at_mut(d);
    vectorized(
        #[inline(always)]
        || {
            for i in 0..d {
                (input[i], forget[i]) = (sigmoid(input[i]), sigmoid(forget[i]));
                (candidate[i], out[i]) = (tanh(candidate[i]), sigmoid(out[i]));
            }
            for i in 0..d {
                let kept = if before.is_empty() { 0.0 } else { forget[i] * before[i] };
                cell[i] = input[i].mul_add(candidate[i], kept);
                output[i] = out[i] * tanh(cell[i]);
            }
        },
    );
}

/// One token: gates into the gradients of what reached them. The gradient of the cell comes from the token behind and goes
/// to that before.
#[inline]
fn close(gates: &mut [f32], [before, cell]: [&[f32]; 2], [grad, grad_next]: [&[f32]; 2], grad_cell: &mut [f32]) {
    let d = cell.len();
    let (input, rest) = gates.split_at_mut(d);
    let (forget, rest) = rest.split_at_mut(d);
    let (candidate, out) = rest.split_at_mut(d);
    vectorized(
        #[inline(always)]
        || {
            for i in 0..d {
                let (shown, grad_output) = (tanh(cell[i]), grad[i] + grad_next[i]);
                let of_cell = (grad_output * out[i]).mul_add(1.0 - shown * shown, grad_cell[i]);
                let held = if before.is_empty() { 0.0 } else { before[i] };
                grad_cell[i] = of_cell * forget[i];
                forget[i] = of_cell * held * forget[i] * (1.0 - forget[i]);
                out[i] = grad_output * shown * out[i] * (1.0 - out[i]);
                let (opened, added) = (input[i], candidate[i]);
                input[i] = of_cell * added * opened * (1.0 - opened);
                candidate[i] = of_cell * opened * (1.0 - added * added);
            }
        },
    );
}

//! A long short-term memory on some sequences side by side: one product a position, and its gates.
//!
//! ```text
//! i, f, o = sigmoid, g = tanh of (gates_t + h_(t-1) W)      c_t = f c_(t-1) + i g      h_t = o tanh(c_t)
//! ```
//! Rows are tokens, sequence after sequence, so the rows of one position are `context` rows apart.

use super::gates::{sigmoid, tanh};
use super::matrix::Layout;
use super::product::multiply;
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
    fn state(&self) -> Layout {
        Layout::rows(0, self.width, 4 * self.width, 4 * self.width)
    }

    /// Turns what the inputs give to the gates into the gates, and writes cells and outputs.
    pub fn forward(&self, gates: &mut [f32], cells: &mut [f32], outputs: &mut [f32]) {
        let (d, context) = (self.width, self.context);
        let sequences = cells.len() / (d * context);
        let nothing = vec![0.0; d];
        // The outputs of one position, and what they give to the gates of the next, side by side: in the batch the rows of a
        // position are so far apart that they take each other's place in the cache.
        let (mut shown, mut given) = (vec![0.0; sequences * d], vec![0.0; sequences * 4 * d]);
        for at in 0..context {
            if at > 0 {
                let to = (given.as_mut_slice(), beside(sequences, 4 * d));
                multiply(to, false, (&shown, beside(sequences, d)), (self.state, self.state()));
            }
            for (sequence, (shown, given)) in shown.chunks_exact_mut(d).zip(given.chunks_exact(4 * d)).enumerate() {
                let row = sequence * context + at;
                let (before, cell) = cells[..(row + 1) * d].split_at_mut(row * d);
                let before = if at > 0 { &before[(row - 1) * d..] } else { &nothing };
                open(&mut gates[4 * row * d..4 * (row + 1) * d], given, before, [cell, shown]);
                outputs[row * d..(row + 1) * d].copy_from_slice(shown);
            }
        }
    }

    /// Turns the gates into the gradient of what reached them; returns that of `state`.
    pub fn backward(&self, gates: &mut [f32], pass: Pass<'_>) -> Vec<f32> {
        let (d, context) = (self.width, self.context);
        let sequences = pass.cells.len() / (d * context);
        let (mut grad_cells, mut grad_outputs) = (vec![0.0; sequences * d], vec![0.0; sequences * d]);
        let nothing = vec![0.0; d];
        // The gradients of the gates of one position, side by side.
        let mut grad_gates = vec![0.0; sequences * 4 * d];
        for at in (0..context).rev() {
            if at + 1 < context {
                let to = (grad_outputs.as_mut_slice(), beside(sequences, d));
                let from = (grad_gates.as_slice(), beside(sequences, 4 * d));
                multiply(to, false, from, (self.state, self.state().transposed()));
            }
            for (sequence, grad_gates) in grad_gates.chunks_exact_mut(4 * d).enumerate() {
                let row = sequence * context + at;
                let before = if at > 0 { &pass.cells[(row - 1) * d..row * d] } else { &nothing };
                let own = sequence * d..(sequence + 1) * d;
                let grads = [&pass.grad[row * d..(row + 1) * d], &grad_outputs[own.clone()]];
                let cells = [before, &pass.cells[row * d..(row + 1) * d]];
                let gates = &mut gates[4 * row * d..4 * (row + 1) * d];
                close(gates, cells, grads, &mut grad_cells[own]);
                grad_gates.copy_from_slice(gates);
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

/// Rows one after another.
fn beside(rows: usize, columns: usize) -> Layout {
    Layout::rows(0, rows, columns, columns)
}

/// One token: to the gates what the output before gives, through their activations, then cell and output.
#[inline]
fn open(gates: &mut [f32], given: &[f32], before: &[f32], [cell, output]: [&mut [f32]; 2]) {
    let d = cell.len();
    vectorized(
        #[inline(always)]
        || {
            let ([input, forget, candidate, out], [to_input, to_forget, to_candidate, to_out]) =
                (gates_of_mut(gates, d), gates_of(given, d));
            let (before, cell, output) = (&before[..d], &mut cell[..d], &mut output[..d]);
            for i in 0..d {
                (input[i], forget[i]) = (sigmoid(input[i] + to_input[i]), sigmoid(forget[i] + to_forget[i]));
                (candidate[i], out[i]) = (tanh(candidate[i] + to_candidate[i]), sigmoid(out[i] + to_out[i]));
            }
            for i in 0..d {
                cell[i] = input[i].mul_add(candidate[i], forget[i] * before[i]);
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
    vectorized(
        #[inline(always)]
        || {
            let [input, forget, candidate, out] = gates_of_mut(gates, d);
            let (before, cell, grad_cell) = (&before[..d], &cell[..d], &mut grad_cell[..d]);
            let (grad, grad_next) = (&grad[..d], &grad_next[..d]);
            for i in 0..d {
                let (shown, grad_output) = (tanh(cell[i]), grad[i] + grad_next[i]);
                let of_cell = (grad_output * out[i]).mul_add(1.0 - shown * shown, grad_cell[i]);
                grad_cell[i] = of_cell * forget[i];
                forget[i] = of_cell * before[i] * forget[i] * (1.0 - forget[i]);
                out[i] = grad_output * shown * out[i] * (1.0 - out[i]);
                let (opened, added) = (input[i], candidate[i]);
                input[i] = of_cell * added * opened * (1.0 - opened);
                candidate[i] = of_cell * opened * (1.0 - added * added);
            }
        },
    );
}

/// The numbers of input, forget, candidate and output gate.
#[inline(always)]
fn gates_of(gates: &[f32], d: usize) -> [&[f32]; 4] {
    [&gates[..d], &gates[d..2 * d], &gates[2 * d..3 * d], &gates[3 * d..4 * d]]
}

#[inline(always)]
fn gates_of_mut(gates: &mut [f32], d: usize) -> [&mut [f32]; 4] {
    let (input, rest) = gates.split_at_mut(d);
    let (forget, rest) = rest.split_at_mut(d);
    let (candidate, out) = rest.split_at_mut(d);
    [input, forget, candidate, &mut out[..d]]
}

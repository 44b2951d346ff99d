//! A mean of what came so far that forgets, on one sequence of rows of gates and what is new, side by side.
//!
//! ```text
//! z_t = sigmoid(gate_t)      h_t = z_t new_t + (1 - z_t) h_(t-1)      from zeros
//! ```

use super::gates::sigmoid;
use super::simd::vectorized;

/// The memory behind each row of `x`, of `width` channels.
pub fn forward(width: usize, x: &[f32], memories: &mut [f32]) {
    vectorized(
        #[inline(always)]
        || {
            let mut memory = vec![0.0_f32; width];
            for (x, row) in x.chunks_exact(2 * width).zip(memories.chunks_exact_mut(width)) {
                let (gate, new) = (&x[..width], &x[width..2 * width]);
                let memory = &mut memory[..width];
                for i in 0..width {
                    memory[i] = sigmoid(gate[i]).mul_add(new[i] - memory[i], memory[i]);
                }
                row.copy_from_slice(memory);
            }
        },
    );
}

/// The gradient of `x`, from the memories and the gradient of them.
pub fn backward(width: usize, x: &[f32], [memories, grad]: [&[f32]; 2], grad_x: &mut [f32]) {
    let zeros = vec![0.0_f32; width];
    vectorized(
        #[inline(always)]
        || {
            // What the rows behind want of the memory.
            let mut wanted = vec![0.0_f32; width];
            let rows = x.chunks_exact(2 * width).zip(grad.chunks_exact(width)).zip(grad_x.chunks_exact_mut(2 * width));
            for (at, ((x, grad), grad_x)) in rows.enumerate().rev() {
                let before = if at > 0 { &memories[(at - 1) * width..at * width] } else { &zeros[..width] };
                let ((gate, new), (grad_gate, grad_new)) = (x.split_at(width), grad_x.split_at_mut(width));
                let (new, grad_new, grad, wanted) =
                    (&new[..width], &mut grad_new[..width], &grad[..width], &mut wanted[..width]);
                for i in 0..width {
                    let (open, of_memory) = (sigmoid(gate[i]), grad[i] + wanted[i]);
                    grad_gate[i] = of_memory * (new[i] - before[i]) * open * (1.0 - open);
                    grad_new[i] = of_memory * open;
                    wanted[i] = of_memory * (1.0 - open);
                }
            }
        },
    );
}

//! Token embedding: rows by id, and the sum of gradients by id.

/// Copies the row of each id.
pub fn forward(table: &[f32], ids: &[i32], d: usize, y: &mut [f32]) {
    for (y, &id) in y.chunks_exact_mut(d).zip(ids) {
        let from = id as usize * d;
        y.copy_from_slice(&table[from..from + d]);
    }
}

/// Adds the gradient of each token to the row of its id, in the order of the tokens.
pub fn backward(ids: &[i32], grad: &[f32], d: usize, grad_table: &mut [f32]) {
    for (grad, &id) in grad.chunks_exact(d).zip(ids) {
        let from = id as usize * d;
        for (sum, &grad) in grad_table[from..from + d].iter_mut().zip(grad) {
            *sum += grad;
        }
    }
}

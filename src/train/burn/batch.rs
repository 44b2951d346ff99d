//! A batch on the device.

use burn::tensor::{Device, Int, Tensor, TensorData};

/// Sequences of `context` + 1 tokens as ids and targets `[n]` on the device: each token's target is the next one.
pub fn upload(tokens: &[u16], context: usize, device: &Device) -> (Tensor<1, Int>, Tensor<1, Int>) {
    let part = |from: usize| {
        let rows = tokens.chunks_exact(context + 1);
        let ids: Vec<i32> = rows.flat_map(|row| row[from..from + context].iter().map(|&id| i32::from(id))).collect();
        let n = ids.len();
        Tensor::from_data(TensorData::new(ids, [n]), device)
    };
    (part(0), part(1))
}

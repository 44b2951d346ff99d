//! The kernels of the CPU. `simd`, `matrix`, `product` and `rounded` hold what they share; each of `activation`, `attention`,
//! `cross_entropy`, `embedding`, `forgetting_mean`, `gates`, `layer_norm`, `lstm`, `norm` and `step` is one operation on slices.
//! They are put on the device's tensors and threads here (forward passes), in `plain`, in `backward` and in `parts`.
//!
//! Results do not depend on the number of threads: work is cut into pieces of fixed size, and sums over pieces are
//! taken in their order.

// A function that is not inlined is compiled for the baseline instead of the instructions chosen at run time.
#![allow(clippy::inline_always)]

mod activation;
mod attention;
mod backward;
mod cross_entropy;
mod embedding;
mod forgetting_mean;
mod gates;
mod layer_norm;
mod lstm;
mod matrix;
mod norm;
mod parts;
mod plain;
mod product;
#[cfg(target_arch = "x86_64")]
mod rounded;
mod simd;
mod step;

pub use plain::{adamw_all, momentum};
pub use product::available;

use burn::backend::Flex;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::{Bytes, DType, Shape};
use burn_flex::{FlexTensor, Layout};
use rayon::prelude::*;

use self::cross_entropy::Unembedding;
use super::seam::{BackwardOps, FusedOps, PlainOps};
use crate::spec::Precision;

/// Elements of one piece of an elementwise operation.
const PIECE: usize = 1 << 14;

/// Rows over which a sum is taken by one thread: fixed, so that sums do not depend on the number of threads.
const SUM_ROWS: usize = 2048;

/// A tensor whose elements lie in order from the start of its storage.
fn packed(x: FlexTensor) -> FlexTensor {
    if x.is_contiguous() && x.layout().start_offset() == 0 { x } else { x.to_contiguous() }
}

/// A tensor of these elements.
fn tensor(values: Vec<f32>, shape: impl Into<Vec<usize>>) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(Shape::from(shape.into())), DType::F32)
}

/// Rows and columns.
fn dims(x: &FlexTensor) -> [usize; 2] {
    let shape = x.layout().shape();
    [shape[0], shape[1]]
}

/// Token ids in the width that the kernels use.
fn ids(x: IntTensor<Flex>) -> Vec<i32> {
    let x = packed(x);
    match x.dtype() {
        DType::I32 => x.storage::<i32>().to_vec(),
        DType::I64 => x.storage::<i64>().iter().map(|&id| id as i32).collect(),
        other => unreachable!("token ids are uploaded as i32, not {other:?}"),
    }
}

impl FusedOps for Flex {
    fn rms_norm(x: FloatTensor<Self>, gain: FloatTensor<Self>) -> FloatTensor<Self> {
        let (x, gain) = (packed(x), packed(gain));
        let [n, d] = dims(&x);
        let mut y = vec![0.0; n * d];
        let rows = (PIECE / d).max(1) * d;
        y.par_chunks_mut(rows).zip(x.storage::<f32>().par_chunks(rows)).for_each(|(y, x)| {
            norm::forward(x, gain.storage(), y);
        });
        tensor(y, [n, d])
    }

    fn fused_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let x = packed(x);
        let [n, d] = dims(&x);
        let mut y = vec![0.0; n * d];
        let pieces = y.par_chunks_mut(PIECE).zip(x.storage::<f32>().par_chunks(PIECE));
        pieces.for_each(|(y, x)| activation::gelu(x, y));
        tensor(y, [n, d])
    }

    fn causal_attention(
        qkv: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        heads: usize,
        scale: f64,
    ) -> FloatTensor<Self> {
        Self::causal_attention_saving(qkv, cos, sin, heads, scale).0
    }

    fn embed(table: FloatTensor<Self>, ids: IntTensor<Self>) -> FloatTensor<Self> {
        let (table, ids) = (packed(table), self::ids(ids));
        let [_, d] = dims(&table);
        let mut y = vec![0.0; ids.len() * d];
        embedding::forward(table.storage(), &ids, d, &mut y);
        tensor(y, [ids.len(), d])
    }

    fn mean_loss(
        x: FloatTensor<Self>,
        unembedding: FloatTensor<Self>,
        targets: IntTensor<Self>,
        multiplier: f64,
        precision: Precision,
    ) -> FloatTensor<Self> {
        let losses = Self::token_losses(x, unembedding, targets, multiplier, precision);
        let n = losses.layout().shape()[0] as f64;
        let sum: f64 = losses.storage::<f32>().iter().map(|&loss| f64::from(loss)).sum();
        tensor(vec![(sum / n) as f32], [1])
    }
}

/// The unembedding as the kernels see it.
fn head(unembedding: &FlexTensor, multiplier: f64, precision: Precision) -> Unembedding<'_> {
    let [d, vocab] = dims(unembedding);
    Unembedding { weights: unembedding.storage(), d, vocab, multiplier: multiplier as f32, precision }
}

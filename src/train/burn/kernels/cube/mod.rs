//! The kernels of wgpu, in CubeCL: each of `activation`, `adamw`, `attention`, `cross_entropy`, `embedding` and `norm` is one
//! operation, read top to bottom; `sum` has what they share. Forward passes are launched here, gradients in `backward`, the
//! loss in `loss`, the step of the optimizer in `update`. Matrix products are burn's.
//!
//! No kernel adds numbers in an order that depends on who comes first, so on one adapter the same run has the same bits, as
//! far as burn's products have.

// Kernels have an argument for each buffer and each number.
#![allow(clippy::too_many_arguments)]
// What a kernel is written in expands to code with casts of its own.
#![allow(clippy::pedantic, missing_docs)]

mod activation;
mod adamw;
mod attention;
mod backward;
mod cross_entropy;
mod embedding;
mod launch;
mod loss;
mod norm;
mod sum;
mod update;

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn_cubecl::CubeBackend;

use self::launch::{ELEMENTWISE, cubes, dims, ids, packed, room, units};
use super::seam::{BackwardOps, FusedOps, PlainOps};
use crate::spec::Precision;

pub use update::adamw_all;

impl FusedOps for CubeBackend {
    fn rms_norm(x: FloatTensor<Self>, gain: FloatTensor<Self>) -> FloatTensor<Self> {
        let (x, gain) = (packed(x), packed(gain));
        let [rows, d] = dims(&x);
        let y = room(&x, [rows, d]);
        norm::forward::launch(
            &y.client,
            cubes(&y, rows),
            units(norm::UNITS),
            x.into_buffer_arg(),
            gain.into_buffer_arg(),
            y.clone().into_buffer_arg(),
            rows,
            d,
        );
        y
    }

    fn fused_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let x = packed(x);
        let [rows, d] = dims(&x);
        let y = room(&x, [rows, d]);
        activation::forward::launch(
            &y.client,
            cubes(&y, (rows * d).div_ceil(ELEMENTWISE)),
            units(ELEMENTWISE),
            x.into_buffer_arg(),
            y.clone().into_buffer_arg(),
            rows * d,
        );
        y
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
        let (table, ids) = (packed(table), launch::ids(ids));
        let ([_, d], rows) = (dims(&table), ids.meta.shape()[0]);
        let y = room(&table, [rows, d]);
        embedding::forward::launch(
            &y.client,
            cubes(&y, (rows * d).div_ceil(ELEMENTWISE)),
            units(ELEMENTWISE),
            table.into_buffer_arg(),
            ids.into_buffer_arg(),
            y.clone().into_buffer_arg(),
            rows * d,
            d,
        );
        y
    }

    fn mean_loss(
        x: FloatTensor<Self>,
        unembedding: FloatTensor<Self>,
        targets: IntTensor<Self>,
        multiplier: f64,
        _: Precision,
    ) -> FloatTensor<Self> {
        loss::mean(Self::token_losses(x, unembedding, targets, multiplier, Precision::F32))
    }
}

impl PlainOps for CubeBackend {
    fn token_losses(
        x: FloatTensor<Self>,
        unembedding: FloatTensor<Self>,
        targets: IntTensor<Self>,
        multiplier: f64,
        _: Precision,
    ) -> FloatTensor<Self> {
        loss::token_losses(x, unembedding, ids(targets), multiplier)
    }
}

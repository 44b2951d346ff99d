//! Gradients, launched.

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::launch::{ELEMENTWISE, cubes, dims, packed, room, units};
use super::{activation, attention, embedding, loss, norm, sum};
use crate::spec::Precision;
use crate::train::burn::kernels::seam::{BackwardOps, SavedAttention};

/// A cube for each tile of rows of each head of each sequence of `qkv` `[n, 3 d]`.
fn heads_of(qkv: &CubeTensor, context: usize, heads: usize) -> CubeCount {
    let sequences = dims(qkv)[0] / context;
    CubeCount::Static(context.div_ceil(attention::UNITS) as u32, heads as u32, sequences as u32)
}

impl BackwardOps for CubeBackend {
    fn rms_norm_backward(
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [x, gain, grad] = [x, gain, grad].map(packed);
        let [rows, d] = dims(&x);
        let pieces = rows.min(norm::PIECES);
        let (grad_x, partials) = (room(&x, [rows, d]), room(&x, [pieces, d]));
        norm::backward::launch(
            &grad_x.client,
            cubes(&grad_x, pieces),
            units(norm::UNITS),
            x.into_buffer_arg(),
            gain.into_buffer_arg(),
            grad.into_buffer_arg(),
            grad_x.clone().into_buffer_arg(),
            partials.clone().into_buffer_arg(),
            rows,
            d,
        );
        let grad_gain = room(&grad_x, [1, d]);
        sum::column_sums::launch(
            &grad_x.client,
            cubes(&grad_x, d.div_ceil(sum::COLUMNS)),
            units(sum::COLUMN_UNITS),
            partials.into_buffer_arg(),
            grad_gain.clone().into_buffer_arg(),
            pieces,
            d,
            1.0,
        );
        (grad_x, grad_gain)
    }

    fn fused_gelu_backward(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        let [x, grad] = [x, grad].map(packed);
        let [rows, d] = dims(&x);
        let grad_x = room(&x, [rows, d]);
        activation::backward::launch(
            &grad_x.client,
            cubes(&grad_x, (rows * d).div_ceil(ELEMENTWISE)),
            units(ELEMENTWISE),
            x.into_buffer_arg(),
            grad.into_buffer_arg(),
            grad_x.clone().into_buffer_arg(),
            rows * d,
        );
        grad_x
    }

    fn causal_attention_saving(
        qkv: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        heads: usize,
        scale: f64,
    ) -> (FloatTensor<Self>, SavedAttention<Self>) {
        let [qkv, cos, sin] = [qkv, cos, sin].map(packed);
        let ([n, d3], [context, half]) = (dims(&qkv), dims(&cos));
        let (output, denominators) = (room(&qkv, [n, d3 / 3]), room(&qkv, [n, heads]));
        attention::forward::launch(
            &qkv.client,
            heads_of(&qkv, context, heads),
            units(attention::UNITS),
            qkv.clone().into_buffer_arg(),
            cos.clone().into_buffer_arg(),
            sin.clone().into_buffer_arg(),
            output.clone().into_buffer_arg(),
            denominators.clone().into_buffer_arg(),
            context,
            heads,
            scale as f32,
            2 * half,
        );
        (output.clone(), SavedAttention { qkv, output, denominators, cos, sin, heads, scale })
    }

    fn causal_attention_backward(saved: SavedAttention<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        let SavedAttention { qkv, output, denominators, cos, sin, heads, scale } = saved;
        let grad = packed(grad);
        let ([n, d3], [context, half]) = (dims(&qkv), dims(&cos));
        let (grad_qkv, deltas) = (room(&qkv, [n, d3]), room(&qkv, [n, heads]));
        attention::backward_queries::launch(
            &qkv.client,
            heads_of(&qkv, context, heads),
            units(attention::UNITS),
            qkv.clone().into_buffer_arg(),
            cos.clone().into_buffer_arg(),
            sin.clone().into_buffer_arg(),
            output.into_buffer_arg(),
            denominators.clone().into_buffer_arg(),
            grad.clone().into_buffer_arg(),
            grad_qkv.clone().into_buffer_arg(),
            deltas.clone().into_buffer_arg(),
            context,
            heads,
            scale as f32,
            2 * half,
        );
        attention::backward_keys::launch(
            &qkv.client,
            heads_of(&qkv, context, heads),
            units(attention::UNITS),
            qkv.clone().into_buffer_arg(),
            cos.into_buffer_arg(),
            sin.into_buffer_arg(),
            denominators.into_buffer_arg(),
            deltas.into_buffer_arg(),
            grad.into_buffer_arg(),
            grad_qkv.clone().into_buffer_arg(),
            context,
            heads,
            scale as f32,
            2 * half,
        );
        grad_qkv
    }

    fn embed_backward(ids: IntTensor<Self>, grad: FloatTensor<Self>, vocab: usize) -> FloatTensor<Self> {
        let (ids, grad) = (super::launch::ids(ids), packed(grad));
        let [rows, d] = dims(&grad);
        let grad_table = room(&grad, [vocab, d]);
        let few = embedding::ids_of_a_cube(d);
        embedding::backward::launch(
            &grad.client,
            cubes(&grad_table, vocab.div_ceil(few)),
            units(embedding::UNITS),
            ids.into_buffer_arg(),
            grad.clone().into_buffer_arg(),
            grad_table.clone().into_buffer_arg(),
            rows,
            vocab,
            d,
            few,
        );
        grad_table
    }

    fn mean_loss_and_gradients(
        x: FloatTensor<Self>,
        unembedding: FloatTensor<Self>,
        targets: IntTensor<Self>,
        multiplier: f64,
        _: Precision,
    ) -> (FloatTensor<Self>, [FloatTensor<Self>; 2]) {
        let rows = loss::rows_at_once(&unembedding);
        loss::mean_and_gradients([x, unembedding], super::ids(targets), multiplier, rows)
    }

    fn scale_by(x: FloatTensor<Self>, factor: FloatTensor<Self>) -> FloatTensor<Self> {
        let [rows, d] = dims(&x);
        let factor = burn_cubecl::ops::reshape(factor, burn::tensor::Shape::from(vec![1, 1]));
        let scaled = burn_cubecl::ops::numeric::mul(x, factor);
        debug_assert_eq!(dims(&scaled), [rows, d]);
        scaled
    }
}

//! Operations of parts on the CPU device's tensors and threads.

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::lstm::{Lstm, Pass};
use super::matrix::{Layout, Right};
use super::product::multiply_in;
use super::{PIECE, SUM_ROWS, backward::sum_in_order, dims, forgetting_mean, gates, layer_norm, packed, tensor};
use crate::spec::Precision;
use crate::train::burn::kernels::parts::{Activation, PartBackward, PartOps, SavedLstm};

/// Sequences whose memories are worked on together: fixed, so that sums do not depend on the number of threads.
const SEQUENCES: usize = 32;

/// Rows of a product below which a thread would pack the other matrix for too little.
const MIN_ROWS: usize = 64;

impl PartOps for Flex {
    fn row_activation(x: FloatTensor<Self>, kind: Activation) -> FloatTensor<Self> {
        let x = packed(x);
        let [n, columns] = dims(&x);
        #[allow(clippy::type_complexity)] // A name would say less.
        let (width, forward): (usize, fn(usize, &[f32], &mut [f32])) = match kind {
            Activation::SquaredRelu => (columns, gates::squared_relu),
            Activation::GatedSilu => (columns / 2, gates::gated_silu),
        };
        let rows = (PIECE / columns).max(1);
        let mut y = vec![0.0; n * width];
        let pieces = y.par_chunks_mut(rows * width).zip(x.storage::<f32>().par_chunks(rows * columns));
        pieces.for_each(|(y, x)| forward(width, x, y));
        tensor(y, [n, width])
    }

    fn centred_norm(x: FloatTensor<Self>, gain: FloatTensor<Self>) -> FloatTensor<Self> {
        let (x, gain) = (packed(x), packed(gain));
        let [n, d] = dims(&x);
        let mut y = vec![0.0; n * d];
        let rows = (PIECE / d).max(1) * d;
        let pieces = y.par_chunks_mut(rows).zip(x.storage::<f32>().par_chunks(rows));
        pieces.for_each(|(y, x)| layer_norm::forward(x, gain.storage(), y));
        tensor(y, [n, d])
    }

    fn lstm(gates: FloatTensor<Self>, state: FloatTensor<Self>, context: usize) -> FloatTensor<Self> {
        Self::lstm_saving(gates, state, context).0
    }

    fn forgetting_mean(x: FloatTensor<Self>, context: usize) -> FloatTensor<Self> {
        let x = packed(x);
        let [n, columns] = dims(&x);
        let width = columns / 2;
        let mut memories = vec![0.0; n * width];
        let sequences = memories.par_chunks_mut(context * width).zip(x.storage::<f32>().par_chunks(context * columns));
        sequences.for_each(|(memories, x)| forgetting_mean::forward(width, x, memories));
        tensor(memories, [n, width])
    }

    fn rounded_product(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        rounded(matrix(&x), matrix(&weight))
    }
}

impl PartBackward for Flex {
    fn row_activation_backward(x: FloatTensor<Self>, grad: FloatTensor<Self>, kind: Activation) -> FloatTensor<Self> {
        let (x, grad) = (packed(x), packed(grad));
        let ([n, columns], [_, width]) = (dims(&x), dims(&grad));
        let backward: fn(usize, &[f32], &[f32], &mut [f32]) = match kind {
            Activation::SquaredRelu => gates::squared_relu_backward,
            Activation::GatedSilu => gates::gated_silu_backward,
        };
        let rows = (PIECE / columns).max(1);
        let mut grad_x = vec![0.0; n * columns];
        let read = x.storage::<f32>().par_chunks(rows * columns).zip(grad.storage::<f32>().par_chunks(rows * width));
        let pieces = grad_x.par_chunks_mut(rows * columns).zip(read);
        pieces.for_each(|(grad_x, (x, grad))| backward(width, x, grad, grad_x));
        tensor(grad_x, [n, columns])
    }

    fn centred_norm_backward(
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 2] {
        let (x, gain, mut grad) = (packed(x), packed(gain), packed(grad));
        let [_, d] = dims(&x);
        let grads = grad.storage_mut::<f32>().par_chunks_mut(SUM_ROWS * d);
        let parts = grads.zip(x.storage::<f32>().par_chunks(SUM_ROWS * d)).map(|(grad, x)| {
            let mut grad_gain = vec![0.0; d];
            layer_norm::backward(x, gain.storage(), grad, &mut grad_gain);
            grad_gain
        });
        let grad_gain = sum_in_order(parts.collect());
        [grad, tensor(grad_gain, [1, d])]
    }

    fn lstm_saving(
        gates: FloatTensor<Self>,
        state: FloatTensor<Self>,
        context: usize,
    ) -> (FloatTensor<Self>, SavedLstm<Self>) {
        let (mut gates, state) = (packed(gates), packed(state));
        let [n, _] = dims(&gates);
        let [d, _] = dims(&state);
        let (mut cells, mut outputs) = (vec![0.0; n * d], vec![0.0; n * d]);
        let rows = SEQUENCES * context;
        let written = cells.par_chunks_mut(rows * d).zip(outputs.par_chunks_mut(rows * d));
        gates.storage_mut::<f32>().par_chunks_mut(rows * 4 * d).zip(written).for_each(|(gates, (cells, outputs))| {
            let memory = Lstm { width: d, context, state: state.storage() };
            memory.forward(gates, cells, outputs);
        });
        let outputs = tensor(outputs, [n, d]);
        (outputs.clone(), SavedLstm { gates, cells: tensor(cells, [n, d]), outputs, state, context })
    }

    fn lstm_backward(saved: SavedLstm<Self>, grad: FloatTensor<Self>) -> [FloatTensor<Self>; 2] {
        let SavedLstm { mut gates, cells, outputs, state, context } = saved;
        let grad = packed(grad);
        let ([n, _], [d, _]) = (dims(&gates), dims(&state));
        let rows = SEQUENCES * context;
        let read = cells
            .storage::<f32>()
            .par_chunks(rows * d)
            .zip(outputs.storage::<f32>().par_chunks(rows * d))
            .zip(grad.storage::<f32>().par_chunks(rows * d));
        let pieces = gates.storage_mut::<f32>().par_chunks_mut(rows * 4 * d).zip(read);
        let parts = pieces.map(|(gates, ((cells, outputs), grad))| {
            let memory = Lstm { width: d, context, state: state.storage() };
            memory.backward(gates, Pass { cells, outputs, grad })
        });
        let grad_state = sum_in_order(parts.collect());
        debug_assert_eq!(dims(&gates), [n, 4 * d]);
        [gates, tensor(grad_state, [d, 4 * d])]
    }

    fn forgetting_mean_backward(
        [x, memories]: [FloatTensor<Self>; 2],
        grad: FloatTensor<Self>,
        context: usize,
    ) -> FloatTensor<Self> {
        let (x, grad) = (packed(x), packed(grad));
        let ([n, columns], [_, width]) = (dims(&x), dims(&grad));
        let rows = context * width;
        let read = memories.storage::<f32>().par_chunks(rows).zip(grad.storage::<f32>().par_chunks(rows));
        let mut grad_x = vec![0.0; n * columns];
        let sequences = grad_x.par_chunks_mut(context * columns).zip(x.storage::<f32>().par_chunks(context * columns));
        sequences.zip(read).for_each(|((grad_x, x), (memories, grad))| {
            forgetting_mean::backward(width, x, [memories, grad], grad_x);
        });
        tensor(grad_x, [n, columns])
    }

    fn rounded_product_backward(
        saved: [FloatTensor<Self>; 2],
        grad: FloatTensor<Self>,
        asked: [bool; 2],
    ) -> [Option<FloatTensor<Self>>; 2] {
        let ([(x, rows), (weight, of_weight)], of_output) = (saved.each_ref().map(matrix), matrix(&grad));
        [
            asked[0].then(|| rounded(of_output, (weight, of_weight.transposed()))),
            asked[1].then(|| rounded((x, rows.transposed()), of_output)),
        ]
    }
}

/// A tensor as the products see it, wherever its elements lie.
fn matrix(x: &FlexTensor) -> (&[f32], Layout) {
    let ([rows, columns], layout) = (dims(x), x.layout());
    let [row_stride, column_stride] =
        [0, 1].map(|axis| usize::try_from(layout.strides()[axis]).expect("none is turned"));
    (x.storage(), Layout { offset: layout.start_offset(), rows, columns, row_stride, column_stride })
}

/// The product of two matrices that are rounded to bf16. Rows of it do not depend on each other: each thread has some.
fn rounded((a, left): (&[f32], Layout), right: Right<'_>) -> FlexTensor {
    let columns = right.1.columns;
    let rows = left.rows.div_ceil(rayon::current_num_threads()).max(MIN_ROWS);
    let mut c = vec![0.0; left.rows * columns];
    c.par_chunks_mut(rows * columns).enumerate().for_each(|(i, c)| {
        let to = Layout::rows(0, c.len() / columns, columns, columns);
        let left = Layout { offset: left.offset + i * rows * left.row_stride, rows: to.rows, ..left };
        multiply_in(Precision::Bf16, (c, to), false, (a, left), right);
    });
    tensor(c, [left.rows, columns])
}

//! Operations of parts beyond those of the first models, composed from burn's own: for devices without kernels of them, and
//! the yardstick of the fused ones.

use burn::tensor::activation::{sigmoid, silu, softmax as composed_softmax};
use burn::tensor::{Int, Tensor, TensorData};

use crate::plan::NORM_EPSILON;

/// Each row of `x` `[n, d]` less its mean, over its standard deviation, times `gain` `[1, d]` (Ba et al. 2016, arXiv
/// 1607.06450).
pub fn layer_norm(x: Tensor<2>, gain: Tensor<2>) -> Tensor<2> {
    let centred = x.clone() - x.mean_dim(1);
    let variance = centred.clone().square().mean_dim(1);
    centred * variance.add_scalar(NORM_EPSILON).sqrt().recip() * gain
}

/// The square of what is above 0.
pub fn squared_relu(x: Tensor<2>) -> Tensor<2> {
    x.clamp_min(0.0).square()
}

/// silu of the first half of the columns, times the second.
pub fn gated_silu(x: Tensor<2>) -> Tensor<2> {
    let half = x.dims()[1] / 2;
    silu(x.clone().narrow(1, 0, half)) * x.narrow(1, half, half)
}

/// Outputs of a long short-term memory on sequences of `context` rows, see `kernels::parts::PartOps::lstm`.
#[allow(clippy::needless_pass_by_value)] // As the fused one takes it.
pub fn lstm(gates: Tensor<2>, state: Tensor<2>, context: usize) -> Tensor<2> {
    let [n, d4] = gates.dims();
    let (sequences, d) = (n / context, d4 / 4);
    let gates = gates.reshape([sequences, context, d4]);
    let mut before: Option<[Tensor<2>; 2]> = None;
    let mut outputs: Vec<Tensor<3>> = Vec::with_capacity(context);
    for at in 0..context {
        let own = gates.clone().narrow(1, at, 1).reshape([sequences, d4]);
        let reached = match &before {
            Some([_, output]) => own + output.clone().matmul(state.clone()),
            None => own,
        };
        let [input, forget, candidate, out] = [0, 1, 2, 3].map(|gate| reached.clone().narrow(1, gate * d, d));
        let added = sigmoid(input) * candidate.tanh();
        let cell = match before {
            Some([cell, _]) => sigmoid(forget) * cell + added,
            None => added,
        };
        let output = sigmoid(out) * cell.clone().tanh();
        outputs.push(output.clone().unsqueeze_dim(1));
        before = Some([cell, output]);
    }
    Tensor::cat(outputs, 1).reshape([n, d])
}

/// A mean of what came so far that forgets, on sequences of `context` rows, see `model::Ops::forgetting_mean`. Rows are joined with
/// those 1, 2, 4 and so on before them (Hillis and Steele 1986), so that a sequence takes as many rounds as the logarithm of
/// its length.
pub fn forgetting_mean(x: Tensor<2>, context: usize) -> Tensor<2> {
    let [n, d2] = x.dims();
    let (sequences, d) = (n / context, d2 / 2);
    let x = x.reshape([sequences, context, d2]);
    let gate = sigmoid(x.clone().narrow(2, 0, d));
    // What is kept of the row that a round has come to, and what the rows since then have added.
    let mut kept = gate.clone().neg().add_scalar(1.0);
    let mut added = gate * x.narrow(2, d, d);
    let mut back = 1;
    while back < context {
        let nothing = added.zeros_like().narrow(1, 0, back);
        let before =
            |rows: &Tensor<3>| Tensor::cat(vec![nothing.clone(), rows.clone().narrow(1, 0, context - back)], 1);
        let (earlier, kept_earlier) = (before(&added), before(&kept));
        added = added + kept.clone() * earlier;
        kept = kept * kept_earlier;
        back *= 2;
    }
    added.reshape([n, d])
}

/// Softmax of each row.
pub fn softmax(x: Tensor<2>) -> Tensor<2> {
    composed_softmax(x, 1)
}

/// For each column, in which rows it is among the `count` largest. Of equal ones the first is larger.
pub fn largest(x: Tensor<2>, count: usize) -> Vec<Vec<usize>> {
    let [_, columns] = x.dims();
    let values = x.into_data_as::<f32>().try_to_vec::<f32>().expect("probabilities are f32");
    let mut rows = vec![Vec::new(); columns];
    for (row, values) in values.chunks_exact(columns).enumerate() {
        let mut order: Vec<usize> = (0..columns).collect();
        // A stable order, in which a NaN is larger than any number.
        order.sort_by(|a, b| values[*b].total_cmp(&values[*a]));
        order.truncate(count);
        for column in order {
            rows[column].push(row);
        }
    }
    rows
}

/// Each column zero but in the rows that are its own, then each row over its sum.
pub fn kept_shares(x: Tensor<2>, own: &[Vec<usize>]) -> Tensor<2> {
    let [n, columns] = x.dims();
    let mut mask = vec![0.0_f32; n * columns];
    for (column, rows) in own.iter().enumerate() {
        for row in rows {
            mask[row * columns + column] = 1.0;
        }
    }
    let mask = Tensor::from_data(TensorData::new(mask, [n, columns]), &x.device());
    let kept = x * mask;
    kept.clone() / kept.sum_dim(1)
}

/// These rows of `x`, in this order.
pub fn pick(x: Tensor<2>, rows: &[usize]) -> Tensor<2> {
    let device = x.device();
    x.select(0, ids(rows, &device))
}

/// For each token the sum of the rows that are its own, in the order of the parts.
pub fn gather(parts: Vec<(Vec<usize>, Tensor<2>)>) -> Tensor<2> {
    let tokens = 1 + parts.iter().flat_map(|(rows, _)| rows).copied().max().expect("a batch has tokens");
    let mut places = vec![Vec::new(); tokens];
    for (place, token) in parts.iter().flat_map(|(rows, _)| rows).enumerate() {
        places[*token].push(place);
    }
    let mut stacked: Vec<Tensor<2>> = parts.into_iter().map(|(_, rows)| rows).collect();
    // What a token without a further row adds.
    stacked.push(stacked[0].zeros_like().narrow(0, 0, 1));
    let stacked = Tensor::cat(stacked, 0);
    let (nothing, most) = (stacked.dims()[0] - 1, places.iter().map(Vec::len).max().unwrap_or_default());
    let nth = |n: usize| places.iter().map(|places| places.get(n).copied().unwrap_or(nothing)).collect::<Vec<_>>();
    let sum = (0..most).map(|n| pick(stacked.clone(), &nth(n))).reduce(|sum, more| sum + more);
    sum.expect("each token has a row")
}

fn ids(rows: &[usize], device: &burn::tensor::Device) -> Tensor<1, Int> {
    let rows: Vec<i32> = rows.iter().map(|&row| i32::try_from(row).expect("rows of a batch")).collect();
    let count = rows.len();
    Tensor::from_data(TensorData::new(rows, [count]), device)
}

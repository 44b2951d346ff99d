//! Every fused operation against its composed twin, value and gradients, and against finite differences.

use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::model::{Parts, Shape};
use crate::plan::testing::small;
use crate::plan::{Run, RunSchedule};
use crate::train::burn::model::Model;
use crate::train::burn::ops::Ops;
use crate::train::burn::optimizer::{self, AdamW};
use crate::train::burn::positions::Positions;
use crate::train::burn::update::Update;
use crate::train::schedule::share_of_peak;

const CONTEXT: usize = 80;
const ROWS: usize = 2 * CONTEXT;

/// A shape with heads of so many channels.
fn shape(head_dim: usize) -> Shape {
    Shape { width: 2 * head_dim, depth: 1, heads: 2, context: CONTEXT, vocab: 8, parts: Parts::FIRST }
}

fn device() -> Device {
    Device::flex().autodiff()
}

/// Numbers that are the same at every call, of unit variance or so.
fn numbers(shape: [usize; 2], seed: usize) -> Tensor<2> {
    let value = |i: usize| ((i * 7919 + seed * 104_729) as f32 * 0.618).sin() * 1.4;
    let values: Vec<f32> = (0..shape[0] * shape[1]).map(value).collect();
    Tensor::from_data(TensorData::new(values, shape), &device())
}

fn ids(vocab: i32) -> Tensor<1, Int> {
    let values: Vec<i32> = (0..).map(|i| (i * i + 3 * i) % vocab).take(ROWS).collect();
    Tensor::from_data(TensorData::new(values, [ROWS]), &device())
}

/// Largest difference, relative to the largest number.
fn relative(a: Tensor<2>, b: Tensor<2>) -> f32 {
    let largest = b.clone().abs().max().into_scalar::<f32>();
    (a - b).abs().max().into_scalar::<f32>() / largest
}

/// Value of `op` and gradients by its inputs of a weighted sum of it.
fn value_and_gradients(inputs: &[Tensor<2>], op: &dyn Fn(&[Tensor<2>]) -> Tensor<2>) -> Vec<Tensor<2>> {
    let inputs: Vec<Tensor<2>> = inputs.iter().map(|x| x.clone().detach().require_grad()).collect();
    let y = op(&inputs);
    let weights = numbers(y.dims(), 99);
    let grads = (y.clone() * weights).sum().backward();
    let gradients = inputs.iter().map(|x| x.grad(&grads).expect("every input takes part"));
    std::iter::once(y.inner()).chain(gradients).collect()
}

fn agree(name: &str, inputs: &[Tensor<2>], op: impl Fn(Ops, &[Tensor<2>]) -> Tensor<2>) {
    let fused = value_and_gradients(inputs, &|x| op(Ops::Fused, x));
    let composed = value_and_gradients(inputs, &|x| op(Ops::Composed, x));
    for (i, (fused, composed)) in fused.into_iter().zip(composed).enumerate() {
        let error = relative(fused, composed);
        assert!(error < 1e-5, "{name}: value (0) or gradient of input {i}: relative error {error}");
    }
}

#[test]
fn rms_norm_agrees_with_the_composed_one() {
    agree("rms_norm", &[numbers([ROWS, 48], 1), numbers([1, 48], 2)], |ops, x| {
        ops.rms_norm(x[0].clone(), x[1].clone())
    });
}

#[test]
fn gelu_agrees_with_the_composed_one() {
    agree("gelu", &[numbers([ROWS, 48], 3).mul_scalar(3.0)], |ops, x| ops.gelu(x[0].clone()));
}

#[test]
fn attention_agrees_with_the_composed_one() {
    // 80 positions: one whole block of rows and a part of one.
    let positions = Positions::new(&shape(16), &device());
    agree("attention", &[numbers([ROWS, 96], 4)], |ops, x| ops.attention(x[0].clone(), 2, &positions, 0.25));
}

#[test]
fn embedding_agrees_with_the_composed_one() {
    agree("embed", &[numbers([50, 16], 5)], |ops, x| ops.embed(x[0].clone(), ids(50)));
}

#[test]
fn loss_agrees_with_the_composed_one() {
    for multiplier in [1.0, 0.25] {
        agree("mean_loss", &[numbers([ROWS, 32], 6), numbers([32, 700], 7)], |ops, x| {
            ops.mean_loss(x[0].clone(), x[1].clone(), multiplier, ids(700)).unsqueeze()
        });
        let [x, head] = [numbers([ROWS, 32], 6), numbers([32, 700], 7)].map(Tensor::inner);
        let [fused, composed] = [Ops::Fused, Ops::Composed]
            .map(|ops| ops.token_losses(x.clone(), head.clone(), multiplier, ids(700).inner()).unsqueeze::<2>());
        assert!(relative(fused, composed) < 1e-5);
    }
}

#[test]
fn adamw_agrees_with_the_composed_one() {
    let state = || [1, 2, 3].map(|seed| numbers([40, 30], seed).inner().abs());
    let clip = || Tensor::<1>::from_floats([0.7], &device().inner());
    let update = Update { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, rate: 0.01, second_correction: 1.3, keep: 0.999 };
    let step = |ops: Ops| ops.adamw(state(), numbers([40, 30], 8).inner(), clip(), update);
    for (fused, composed) in step(Ops::Fused).into_iter().zip(step(Ops::Composed)) {
        assert!(relative(fused, composed) < 1e-5);
    }
    let square = |ops: Ops| ops.sum_squares(numbers([400, 300], 9).inner()).unsqueeze::<2>();
    assert!(relative(square(Ops::Fused), square(Ops::Composed)) < 1e-5);
}

/// A run whose shape has every case of the kernels: two blocks of attention rows, two pieces of the loss.
fn run() -> Run {
    small(|spec| spec.model.context = CONTEXT).run
}

/// A text of which every second token follows from the one before, and the others from nothing.
fn token(place: usize) -> i32 {
    let drawn: i32 = ChaCha8Rng::seed_from_u64(place as u64 / 2).random_range(0..512);
    (drawn + i32::from(place % 2 == 1)) % 512
}

/// Steps over which rounding may add up.
const STEPS: usize = 200;
/// Batches of the loss at the end.
const UNSEEN: usize = 50;

#[test]
fn training_agrees_with_the_composed_operations() {
    let run = run();
    let schedule = RunSchedule {
        kind: crate::spec::ScheduleKind::Cosine,
        floor: 0.1,
        warmup_steps: STEPS / 5,
        decay_steps: STEPS - STEPS / 5,
        steps: STEPS,
    };
    let trained = |composed: bool| {
        let mut model = Model::new(&run, &device());
        if composed {
            model = model.composed();
        }
        let mut optimizer = AdamW::new(&run.optimizer, &mut model);
        let batch = |at: usize| {
            let values: Vec<i32> = (0..ROWS).map(|i| token(at + i)).collect();
            Tensor::from_data(TensorData::new(values, [ROWS]), &device())
        };
        let mut losses = Vec::new();
        for step in 0..STEPS {
            let loss = model.mean_loss(batch(ROWS * step), batch(ROWS * step + 1));
            losses.push(loss.clone().into_scalar::<f32>());
            let gradients = optimizer::gradients(&mut model, loss.backward());
            optimizer.step(&mut model, gradients, share_of_peak(&schedule, step));
        }
        // What it learned, on text that it has not seen.
        let unseen = (STEPS..STEPS + UNSEEN).map(|step| ROWS * step);
        let losses_after = unseen.map(|at| model.mean_loss(batch(at), batch(at + 1)).into_scalar::<f32>());
        (losses, losses_after.sum::<f32>() / UNSEEN as f32)
    };
    let ((fused, after_fused), (composed, after_composed)) = (trained(false), trained(true));
    assert!(after_fused < fused[0] - 1.0, "nothing was learned: {fused:?}");
    for (fused, composed) in fused[..20].iter().zip(&composed[..20]) {
        assert!((fused / composed - 1.0).abs() < 1e-5, "{fused} is not {composed}");
    }
    assert!((after_fused / after_composed - 1.0).abs() < 1e-4, "{after_fused} is not {after_composed}");
}

/// Name, shape of the input, operation.
type Case<'a> = (&'a str, [usize; 2], &'a dyn Fn(Tensor<2>) -> Tensor<2>);

#[test]
fn gradients_agree_with_finite_differences() {
    let positions = Positions::new(&shape(8), &device());
    let ops: [Case<'_>; 3] = [
        ("rms_norm", [ROWS, 16], &|x| Ops::Fused.rms_norm(x, numbers([1, 16], 2))),
        ("gelu", [ROWS, 16], &|x| Ops::Fused.gelu(x)),
        ("attention", [ROWS, 48], &|x| Ops::Fused.attention(x, 2, &positions, 0.3)),
    ];
    for (name, shape, op) in ops {
        let x = numbers(shape, 11);
        let objective = |x: Tensor<2>| {
            let y = op(x);
            (y.clone() * numbers(y.dims(), 12)).sum()
        };
        let tracked = x.clone().require_grad();
        let grads = objective(tracked.clone()).backward();
        let direction = numbers(shape, 13);
        let slope = (tracked.grad(&grads).expect("tracked") * direction.clone().inner()).sum().into_scalar::<f32>();
        let at = |h: f32| f64::from(objective(x.clone() + direction.clone().mul_scalar(h)).into_scalar::<f32>());
        let difference = (at(1e-2) - at(-1e-2)) / 2e-2;
        let error = (difference - f64::from(slope)).abs() / f64::from(slope).abs().max(1.0);
        assert!(error < 1e-2, "{name}: slope {slope}, finite difference {difference}");
    }
}

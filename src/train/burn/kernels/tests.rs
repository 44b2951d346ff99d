//! Every fused operation of each device against its composed twin on the CPU, value and gradients, and against finite
//! differences. wgpu is tested where a Vulkan driver is: Mesa's software driver is enough.

use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::model::{Parts, Shape};
use crate::optimizer::{OptimizerKind, Update};
use crate::plan::testing::small;
use crate::plan::{Run, RunSchedule};
use crate::spec::Precision;
use crate::train::burn::model::Model;
use crate::train::burn::ops::Ops;
use crate::train::burn::optimizer::{self, Optimizer};
use crate::train::burn::positions::Positions;
use crate::train::schedule::share_of_peak;

const CONTEXT: usize = 80;
const ROWS: usize = 2 * CONTEXT;

/// A shape with so many heads of so many channels.
fn shape(heads: usize, head_dim: usize) -> Shape {
    Shape { width: heads * head_dim, depth: 1, heads, context: CONTEXT, vocab: 8, parts: Parts::FIRST }
}

/// Where the composed operations run that the fused ones are compared with.
fn cpu() -> Device {
    Device::flex().autodiff()
}

/// Every device here that has kernels.
fn devices() -> Vec<Device> {
    #[allow(unused_mut)]
    let mut devices = vec![cpu()];
    #[cfg(feature = "wgpu")]
    match crate::train::burn::missing("wgpu") {
        None => devices.push(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice).autodiff()),
        Some(missing) => tell!("wgpu's kernels are not tested here: {missing}"),
    }
    devices
}

/// The same numbers on a device.
fn on<const D: usize>(device: &Device, x: Tensor<D>) -> Tensor<D> {
    Tensor::from_data(x.into_data(), device)
}

/// Numbers that are the same at every call, of unit variance or so.
fn numbers(shape: [usize; 2], seed: usize) -> Tensor<2> {
    let value = |i: usize| ((i * 7919 + seed * 104_729) as f32 * 0.618).sin() * 1.4;
    let values: Vec<f32> = (0..shape[0] * shape[1]).map(value).collect();
    Tensor::from_data(TensorData::new(values, shape), &cpu())
}

fn ids(vocab: i32, device: &Device) -> Tensor<1, Int> {
    let values: Vec<i32> = (0..).map(|i| (i * i + 3 * i) % vocab).take(ROWS).collect();
    Tensor::from_data(TensorData::new(values, [ROWS]), device)
}

/// Largest difference, relative to the largest number.
fn relative(a: Tensor<2>, b: Tensor<2>) -> f32 {
    let largest = b.clone().abs().max().into_scalar::<f32>();
    (a - b).abs().max().into_scalar::<f32>() / largest
}

/// An operation on some inputs: with these operations, on this device.
type Op<'a> = &'a dyn Fn(Ops, &Device, &[Tensor<2>]) -> Tensor<2>;

/// Value of `op` on a device and gradients by its inputs of a weighted sum of it, all brought to the CPU.
fn value_and_gradients(ops: Ops, device: &Device, inputs: &[Tensor<2>], op: Op<'_>) -> Vec<Tensor<2>> {
    let inputs: Vec<Tensor<2>> = inputs.iter().map(|x| on(device, x.clone()).require_grad()).collect();
    let y = op(ops, device, &inputs);
    let weights = on(device, numbers(y.dims(), 99));
    let grads = (y.clone() * weights).sum().backward();
    let gradients = inputs.iter().map(|x| x.grad(&grads).expect("every input takes part"));
    std::iter::once(y.inner()).chain(gradients).map(|x| on(&cpu().inner(), x)).collect()
}

fn agree(name: &str, inputs: &[Tensor<2>], op: Op<'_>) {
    let composed = value_and_gradients(Ops::Composed, &cpu(), inputs, op);
    for device in devices() {
        let fused = value_and_gradients(Ops::Fused, &device, inputs, op);
        for (i, (fused, composed)) in fused.into_iter().zip(&composed).enumerate() {
            let error = relative(fused, composed.clone());
            println!("{name} on {device:?}: value (0) or gradient of input {i}: relative error {error}");
            assert!(error < 1e-5, "{name} on {device:?}: value (0) or gradient of input {i}: relative error {error}");
        }
    }
}

#[test]
fn rms_norm_agrees_with_the_composed_one() {
    // More channels than a cube of wgpu has units; more rows than it has cubes.
    for [rows, d] in [[ROWS, 48], [3, 200], [600, 16]] {
        agree("rms_norm", &[numbers([rows, d], 1), numbers([1, d], 2)], &|ops, _, x| {
            ops.rms_norm(x[0].clone(), x[1].clone())
        });
    }
}

#[test]
fn gelu_agrees_with_the_composed_one() {
    agree("gelu", &[numbers([ROWS, 48], 3).mul_scalar(3.0)], &|ops, _, x| ops.gelu(x[0].clone()));
}

#[test]
fn attention_agrees_with_the_composed_one() {
    // 80 positions: one whole block of rows and a part of one. Heads of 16 and of 6 channels.
    for (width, heads) in [(32, 2), (18, 3)] {
        agree("attention", &[numbers([ROWS, 3 * width], 4)], &|ops, device, x| {
            ops.attention(x[0].clone(), heads, &Positions::new(&shape(heads, width / heads), device), 0.25)
        });
    }
}

#[test]
#[allow(clippy::cast_possible_wrap)] // Small vocabularies.
fn embedding_agrees_with_the_composed_one() {
    for (vocab, d) in [(50, 16), (7, 300)] {
        agree("embed", &[numbers([vocab, d], 5)], &|ops, device, x| ops.embed(x[0].clone(), ids(vocab as i32, device)));
    }
}

#[test]
fn loss_agrees_with_the_composed_one() {
    for multiplier in [1.0, 0.25] {
        let inputs = [numbers([ROWS, 32], 6), numbers([32, 700], 7)];
        agree("mean_loss", &inputs, &|ops, device, x| {
            ops.mean_loss(x[0].clone(), x[1].clone(), multiplier, ids(700, device), Precision::F32).unsqueeze()
        });
        let losses = |ops: Ops, device: &Device| {
            let [x, head] = inputs.each_ref().map(|x| on(&device.clone().inner(), x.clone()));
            let losses = ops.token_losses(x, head, multiplier, ids(700, device).inner(), Precision::F32);
            on(&cpu().inner(), losses.unsqueeze::<2>())
        };
        let composed = losses(Ops::Composed, &cpu());
        for device in devices() {
            assert!(relative(losses(Ops::Fused, &device), composed.clone()) < 1e-5, "{device:?}");
        }
    }
}

/// Weights of all kinds of sizes: one number, less than a piece of a kernel, several pieces; more of them than one launch
/// takes.
fn shapes() -> Vec<[usize; 2]> {
    (0..70).map(|i| [[1, 1], [40, 30], [1, 48], [130, 70]][i % 4]).collect()
}

#[test]
fn adamw_agrees_with_the_composed_one() {
    let update = |i: usize| Update {
        beta1: 0.9,
        beta2: 0.99,
        epsilon: 1e-8 * (1 + i % 3) as f64,
        rate: 0.01 * (1 + i % 5) as f64,
        second_correction: 1.3,
        keep: 0.999 - 0.001 * (i % 2) as f64,
    };
    let updates: Vec<Update> = (0..shapes().len()).map(update).collect();
    // A norm below the limit, one above it, and no limit.
    for limit in [1e9, 0.7, 0.0] {
        let step = |ops: Ops, device: &Device| {
            let device = device.clone().inner();
            let state = |shape| [1, 2, 3].map(|seed| on(&device, numbers(shape, seed).inner().abs()));
            let states = shapes().into_iter().map(state).collect();
            let gradients = shapes().into_iter().map(|shape| on(&device, numbers(shape, 8).inner())).collect();
            let after: Vec<Tensor<2>> = ops.adamw(states, gradients, limit, &updates).into_iter().flatten().collect();
            after.into_iter().map(|x| on(&cpu().inner(), x)).collect::<Vec<_>>()
        };
        let composed = step(Ops::Composed, &cpu());
        for device in devices() {
            for (i, (fused, composed)) in step(Ops::Fused, &device).into_iter().zip(&composed).enumerate() {
                let error = relative(fused, composed.clone());
                assert!(error < 1e-5, "{device:?}, limit {limit}, number {} of weight {}: {error}", i % 3, i / 3);
            }
        }
    }
}

#[test]
fn steps_of_sgd_and_lion_agree_with_the_composed_ones() {
    let update = Update { beta1: 0.9, beta2: 0.99, epsilon: 0.0, rate: 0.01, second_correction: 1.0, keep: 0.999 };
    for kind in [OptimizerKind::Sgd, OptimizerKind::Lion] {
        let step = |ops: Ops, device: &Device| {
            let device = device.clone().inner();
            let state = [1, 2].map(|seed| on(&device, numbers([130, 70], seed).inner()));
            let after = ops.momentum(kind, state, on(&device, numbers([130, 70], 8).inner()), &update);
            after.map(|x| on(&cpu().inner(), x))
        };
        let composed = step(Ops::Composed, &cpu());
        for device in devices() {
            for (fused, composed) in step(Ops::Fused, &device).into_iter().zip(composed.clone()) {
                assert!(relative(fused, composed) < 1e-5, "{device:?} {kind:?}");
            }
        }
    }
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

/// Losses of the first `steps` steps, and the mean loss on text that was not seen.
fn trained(run: &Run, device: &Device, composed: bool, steps: usize, unseen: usize) -> (Vec<f32>, f32) {
    let schedule = RunSchedule {
        kind: crate::spec::ScheduleKind::Cosine,
        floor: 0.1,
        warmup_steps: STEPS / 5,
        decay_steps: STEPS - STEPS / 5,
        steps: STEPS,
        cooldown: crate::spec::Cooldown::Linear,
    };
    let mut model = Model::new(run, device);
    if composed {
        model = model.composed();
    }
    let mut optimizer = Optimizer::new(&run.optimizer, &mut model);
    let batch = |at: usize| {
        let values: Vec<i32> = (0..ROWS).map(|i| token(at + i)).collect();
        Tensor::from_data(TensorData::new(values, [ROWS]), device)
    };
    let mut losses = Vec::new();
    for step in 0..steps {
        let loss = model.mean_loss(batch(ROWS * step), batch(ROWS * step + 1));
        losses.push(loss.clone().into_scalar::<f32>());
        let gradients = optimizer::gradients(&mut model, loss.backward());
        optimizer.step(&mut model, gradients, share_of_peak(&schedule, step));
    }
    let places = (STEPS..STEPS + unseen).map(|step| ROWS * step);
    let losses_after = places.map(|at| model.mean_loss(batch(at), batch(at + 1)).into_scalar::<f32>());
    (losses, losses_after.sum::<f32>() / unseen as f32)
}

#[test]
fn training_agrees_with_the_composed_operations() {
    let run = run();
    let [(fused, after_fused), (composed, after_composed)] =
        [false, true].map(|composed| trained(&run, &cpu(), composed, STEPS, UNSEEN));
    assert!(after_fused < fused[0] - 1.0, "nothing was learned: {fused:?}");
    for (fused, composed) in fused[..20].iter().zip(&composed[..20]) {
        assert!((fused / composed - 1.0).abs() < 1e-5, "{fused} is not {composed}");
    }
    assert!((after_fused / after_composed - 1.0).abs() < 1e-4, "{after_fused} is not {after_composed}");
}

#[test]
fn training_on_every_device_begins_as_on_the_cpu() {
    let run = run();
    let (expected, _) = trained(&run, &cpu(), true, 20, 1);
    for device in devices() {
        let (losses, _) = trained(&run, &device, false, 20, 1);
        for (loss, expected) in losses.iter().zip(&expected) {
            assert!((loss / expected - 1.0).abs() < 1e-5, "{device:?}: {losses:?} is not {expected:?}");
        }
    }
}

/// Name, shape of the input, operation.
type Case<'a> = (&'a str, [usize; 2], &'a dyn Fn(Tensor<2>) -> Tensor<2>);

#[test]
fn gradients_agree_with_finite_differences() {
    for device in devices() {
        let positions = Positions::new(&shape(2, 8), &device);
        let gain = on(&device, numbers([1, 16], 2));
        let ops: [Case<'_>; 3] = [
            ("rms_norm", [ROWS, 16], &|x| Ops::Fused.rms_norm(x, gain.clone())),
            ("gelu", [ROWS, 16], &|x| Ops::Fused.gelu(x)),
            ("attention", [ROWS, 48], &|x| Ops::Fused.attention(x, 2, &positions, 0.3)),
        ];
        for (name, shape, op) in ops {
            let x = on(&device, numbers(shape, 11));
            let objective = |x: Tensor<2>| {
                let y = op(x);
                let weights = on(&device, numbers(y.dims(), 12));
                (y * weights).sum()
            };
            let tracked = x.clone().require_grad();
            let grads = objective(tracked.clone()).backward();
            let direction = on(&device, numbers(shape, 13));
            let slope = tracked.grad(&grads).expect("tracked") * direction.clone().inner();
            let slope = f64::from(slope.sum().into_scalar::<f32>());
            let at = |h: f32| f64::from(objective(x.clone() + direction.clone().mul_scalar(h)).into_scalar::<f32>());
            let difference = (at(1e-2) - at(-1e-2)) / 2e-2;
            let error = (difference - slope).abs() / slope.abs().max(1.0);
            assert!(error < 1e-2, "{name} on {device:?}: slope {slope}, finite difference {difference}");
        }
    }
}

//! Every part, in a small model: its fused operations against composed ones, its gradients against finite differences, that
//! it learns, and that its bits depend neither on threads nor on a pause.

use std::io::Seek as _;

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::checkpoint::Place;
use crate::data::Corpus;
use crate::model::{Mixer, Parts};
use crate::plan::{PlannedRun, testing};
use crate::spec::PowerRule;
use crate::train::burn::model::Model;
use crate::train::burn::optimizer;
use crate::train::burn::session::Session;
use crate::train::engine::{Session as _, take_mean_loss};
use crate::train::state;

const CONTEXT: usize = 16;
const STEPS: usize = 60;

fn device() -> Device {
    Device::flex().autodiff()
}

/// A run of a small model of these parts under muP away from its base, so that no factor is 1.
fn run(parts: Parts) -> PlannedRun {
    testing::small(|spec| {
        (spec.data.vocab, spec.model.context, spec.model.head_dim) = (Some(256), CONTEXT, 8);
        (spec.model.width, spec.model.depth) = (Some(32), Some(2));
        spec.model.parameterization = crate::parameterization::Parameterization::CompleteP;
        (spec.model.base_width, spec.model.base_depth, spec.model.base_head_dim) = (Some(16), Some(1), Some(4));
        spec.model.set_parts(parts);
        spec.optimizer.batch_tokens = PowerRule::constant(8.0 * CONTEXT as f64);
        (spec.schedule.flops, spec.schedule.tokens) = (None, Some((STEPS * 8 * CONTEXT) as f64));
        spec.schedule.warmup_max_fraction = 0.05;
    })
}

fn corpus(planned: &PlannedRun) -> Corpus {
    let cache = tempfile::tempdir().expect("a folder");
    Corpus::prepare(&planned.run.data, CONTEXT, cache.path(), &mut |_| {}).expect("a language")
}

#[allow(clippy::cast_possible_wrap)] // Below 256.
fn batch(from: usize) -> Tensor<1, Int> {
    let value = |i: usize| ((i * i * 7 + i * 3) % 256) as i32;
    let values: Vec<i32> = (from..from + 4 * CONTEXT).map(value).collect();
    Tensor::from_data(TensorData::new(values, [4 * CONTEXT]), &device())
}

/// Loss and the gradient of each weight.
fn loss_and_gradients(model: &mut Model) -> (f32, Vec<Tensor<2>>) {
    let loss = model.mean_loss(batch(0), batch(1));
    (loss.clone().into_scalar::<f32>(), optimizer::gradients(model, loss.backward()))
}

#[test]
fn fused_operations_of_every_part_agree_with_composed_ones() {
    for (name, parts) in Parts::each() {
        let run = run(parts).run;
        let mut fused = Model::new(&run, &device());
        let mut composed = fused.clone().composed();
        let ((a, ours), (b, theirs)) = (loss_and_gradients(&mut fused), loss_and_gradients(&mut composed));
        assert!((a / b - 1.0).abs() < 1e-6, "{name}: {a} is not {b}");
        let names: Vec<String> = fused.weights_mut().map(|weight| weight.name.clone()).collect();
        for ((ours, theirs), weight) in ours.into_iter().zip(theirs).zip(names) {
            let largest = theirs.clone().abs().max().into_scalar::<f32>();
            let error = (ours - theirs).abs().max().into_scalar::<f32>();
            assert!(error <= 2e-4 * largest.max(1e-6), "{name}: {weight}: {error} of {largest}");
        }
    }
}

/// Along its own gradient, and along a direction that has nothing to do with it: a part of a gradient that is missing shows
/// in the second alone.
#[test]
fn gradients_of_every_part_agree_with_finite_differences() {
    for (name, mut parts) in Parts::each() {
        // The loss jumps where a token changes its experts: here each has all of them.
        if let Some(experts) = &mut parts.experts {
            experts.active = experts.count;
        }
        let run = run(parts).run;
        let mut model = Model::new(&run, &device());
        let (_, gradients) = loss_and_gradients(&mut model);
        for (at, gradient) in gradients.into_iter().enumerate() {
            let weight = model.weights_mut().nth(at).expect("a weight").clone();
            let size = |x: &Tensor<2>| x.clone().square().sum().sqrt().into_scalar::<f32>();
            let mixed: Vec<f32> = (0..weight.value.shape().num_elements()).map(|i| (i as f32 * 2.39).sin()).collect();
            let mixed = Tensor::<2>::from_data(TensorData::new(mixed, weight.value.dims()), &gradient.device());
            for direction in [gradient.clone(), mixed] {
                if size(&direction) < 1e-9 {
                    continue;
                }
                let direction = direction.clone().div_scalar(size(&direction));
                let slope = (gradient.clone() * direction.clone()).sum().into_scalar::<f32>();
                let mut at_distance = |h: f32| {
                    let moved = weight.value.clone().inner() + direction.clone().mul_scalar(h);
                    model.weights_mut().nth(at).expect("a weight").value = Tensor::from_inner(moved);
                    f64::from(model.mean_loss(batch(0), batch(1)).into_scalar::<f32>())
                };
                let difference = (at_distance(6e-3) - at_distance(-6e-3)) / 12e-3;
                model.weights_mut().nth(at).expect("a weight").value = weight.value.clone();
                let error = (difference - f64::from(slope)).abs();
                let text = format!("{name}: {}: slope {slope}, finite difference {difference}", weight.name);
                assert!(error < 2e-4 + 0.03 * f64::from(slope).abs(), "{text}");
            }
        }
    }
}

/// Losses of some steps of a session.
fn losses(session: &mut Session<'_>, steps: std::ops::Range<usize>) -> Vec<f64> {
    let mut loss = |step| {
        session.step(step).expect("a step");
        take_mean_loss(session).expect("a loss")
    };
    steps.map(&mut loss).collect()
}

#[test]
fn every_part_learns_and_its_bits_depend_neither_on_threads_nor_on_a_pause() {
    let bits = |losses: Vec<f64>| losses.into_iter().map(f64::to_bits).collect::<Vec<_>>();
    for (name, parts) in Parts::each() {
        let planned = run(parts);
        let (corpus, device) = (corpus(&planned), device());
        let threads = |number: usize| rayon::ThreadPoolBuilder::new().num_threads(number).build().expect("threads");
        let trained = |number: usize, steps: usize| {
            threads(number).install(|| losses(&mut Session::new(&planned.run, &corpus, &device, 1), 0..steps))
        };
        let whole = trained(1, STEPS);
        let last = whole[STEPS - 5..].iter().sum::<f64>() / 5.0;
        assert!(last < whole[0] - 0.3, "{name} learns nothing: from {} to {last}", whole[0]);
        assert_eq!(bits(whole[..8].to_vec()), bits(trained(3, 8)), "{name}: one thread and three");
        let mut first = Session::new(&planned.run, &corpus, &device, 1);
        losses(&mut first, 0..4);
        let mut file = tempfile::tempfile().expect("a file");
        let place = Place { step: 4, ..Place::default() };
        state::write(&mut first, &planned.run, &mut file, &planned.id, &place).expect("written");
        file.rewind().expect("a file");
        let mut second = Session::new(&planned.run, &corpus, &device, 1);
        state::read(&mut second, &planned.run, &mut file, &planned.id).expect("read");
        assert_eq!(bits(whole[4..8].to_vec()), bits(losses(&mut second, 4..8)), "{name}: after a pause");
    }
}

#[test]
fn a_memory_forgets_what_another_sequence_held() {
    for &mixer in Mixer::ALL.iter().filter(|mixer| **mixer != Mixer::Attention) {
        forgets(Parts { mixer, positions: crate::model::Positions::None, ..Parts::FIRST });
    }
}

fn forgets(parts: Parts) {
    let run = run(parts).run;
    let model = Model::new(&run, &device()).without_gradients();
    #[allow(clippy::cast_possible_wrap)] // Small numbers.
    let ids = |first: usize| {
        let value = |i: usize| if i < CONTEXT { (first * 31 + i) as i32 % 256 } else { (i * 5) as i32 % 256 };
        let values: Vec<i32> = (0..2 * CONTEXT).map(value).collect();
        Tensor::<1, Int>::from_data(TensorData::new(values, [2 * CONTEXT]), &device().inner())
    };
    let of_second = |first| {
        let losses = model.token_losses(ids(first), ids(7)).into_data_as::<f32>().try_to_vec::<f32>().expect("f32");
        losses[CONTEXT..].to_vec()
    };
    assert_eq!(of_second(1), of_second(2));
}

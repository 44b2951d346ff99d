//! One run under way in burn: its model, its optimizer and the losses since they were last forgotten.

use burn::tensor::{Device, Tensor, TensorData};

use super::batch::upload;
use super::model::Model;
use super::optimizer::{self, Optimizer};
use crate::checkpoint::Place;
use crate::data::Corpus;
use crate::optimizer::Kept;
use crate::plan::Run;
use crate::train::engine;
use crate::train::schedule::share_of_peak;
use crate::trainer::TrainError;

/// One run under way.
pub struct Session<'a> {
    run: &'a Run,
    corpus: &'a Corpus,
    device: &'a Device,
    /// The model as it is now.
    pub(super) model: Model,
    pub(super) optimizer: Optimizer,
    micro_batches: usize,
    tokens: Vec<u16>,
    /// Sum of the losses since it was last read, on the device, and their number.
    loss_sum: Option<Tensor<1>>,
    losses: usize,
}

impl<'a> Session<'a> {
    /// The beginning of a run whose batches are cut into so many parts.
    pub fn new(run: &'a Run, corpus: &'a Corpus, device: &'a Device, micro_batches: usize) -> Self {
        let mut model = Model::new(run, device);
        let optimizer = Optimizer::new(&run.optimizer, &mut model);
        Self { run, corpus, device, model, optimizer, micro_batches, tokens: Vec::new(), loss_sum: None, losses: 0 }
    }

    /// Mean loss of the batch and its gradients, summed over the micro-batches.
    fn gradients(&mut self) -> (Tensor<1>, Vec<Tensor<2>>) {
        let context = self.run.shape.context;
        let sequences = self.run.optimizer.batch_sequences;
        let part = sequences.div_ceil(self.micro_batches.clamp(1, sequences));
        let mut total: Option<(Tensor<1>, Vec<Tensor<2>>)> = None;
        for tokens in self.tokens.chunks(part * (context + 1)) {
            let (ids, targets) = upload(tokens, context, self.device);
            let (mut loss, mut minimized) = self.model.losses(ids, targets);
            let share = tokens.len() as f64 / self.tokens.len() as f64;
            if share < 1.0 {
                (loss, minimized) = (loss.mul_scalar(share), minimized.mul_scalar(share));
            }
            let value = loss.inner();
            let gradients = optimizer::gradients(&mut self.model, minimized.backward());
            total = Some(match total {
                None => (value, gradients),
                Some((sum, sums)) => (sum + value, sums.into_iter().zip(gradients).map(|(a, b)| a + b).collect()),
            });
        }
        total.expect("a batch has sequences")
    }
}

impl engine::Session for Session<'_> {
    fn step(&mut self, step: usize) -> Result<(), TrainError> {
        let batch = self.run.optimizer.batch_sequences;
        self.corpus.train_batch(self.run.seed, batch, step, &mut self.tokens);
        let (loss, gradients) = self.gradients();
        self.optimizer.step(&mut self.model, gradients, share_of_peak(&self.run.schedule, step));
        self.loss_sum = Some(match self.loss_sum.take() {
            Some(sum) => sum + loss,
            None => loss,
        });
        self.losses += 1;
        Ok(())
    }

    fn losses(&mut self) -> Result<(f32, usize), TrainError> {
        Ok((self.loss_sum.clone().map_or(0.0, Tensor::into_scalar::<f32>), self.losses))
    }

    fn forget_losses(&mut self) -> Result<(), TrainError> {
        (self.loss_sum, self.losses) = (None, 0);
        Ok(())
    }

    fn numbers(&mut self, weight: usize, kept: Kept) -> Result<Vec<f32>, TrainError> {
        let value = &self.model.weights_mut().nth(weight).expect("a weight of the model").value;
        Ok(floats(match kept {
            Kept::Value => value.clone().inner(),
            Kept::First => self.optimizer.moments()[weight][0].clone(),
            Kept::Second => self.optimizer.moments()[weight][1].clone(),
        }))
    }

    fn restore(&mut self, place: &Place, loss_sum: f32, numbers: Vec<Vec<f32>>) -> Result<(), TrainError> {
        let device = self.device.clone().inner();
        let mut numbers = numbers.into_iter();
        let mut next = || numbers.next().expect("as many as the layout has");
        let mut moments = Vec::new();
        for weight in self.model.weights_mut() {
            let shape = weight.value.dims();
            let mut tensor = || Tensor::<2>::from_data(TensorData::new(next(), shape), &device);
            weight.value = Tensor::from_inner(tensor()).require_grad();
            let keeps = self.run.optimizer.kind.of(weight.role).part().keeps;
            moments.push(keeps[1..].iter().map(|_| tensor()).collect());
        }
        self.optimizer.restore(place.step, moments);
        self.losses = place.losses;
        self.loss_sum = (self.losses > 0).then(|| Tensor::from_data(TensorData::new(vec![loss_sum], [1]), &device));
        Ok(())
    }

    fn token_losses(&mut self, tokens: &[u16]) -> Result<Vec<f32>, TrainError> {
        let (ids, targets) = upload(tokens, self.run.shape.context, &self.device.clone().inner());
        let losses = self.model.without_gradients().token_losses(ids, targets);
        Ok(losses.into_data_as::<f32>().try_to_vec::<f32>().expect("losses are f32"))
    }

    fn best_tokens(&mut self, tokens: &[u16]) -> Result<Vec<u16>, TrainError> {
        let (ids, _) = upload(tokens, self.run.shape.context, &self.device.clone().inner());
        let best = self.model.without_gradients().best_tokens(ids).into_data_as::<i32>();
        Ok(best.try_to_vec::<i32>().expect("ids are i32").into_iter().map(|id| id as u16).collect())
    }
}

fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data_as::<f32>().try_to_vec::<f32>().expect("weights are f32")
}

#[cfg(all(test, feature = "cpu"))]
mod tests {
    use std::io::Seek as _;

    use super::*;
    use crate::checkpoint;
    use crate::model::Weight;
    use crate::optimizer::OptimizerKind;
    use crate::plan::{PlannedRun, testing};
    use crate::spec::{PowerRule, Precision};
    use crate::train::burn::ops::Ops;
    use crate::train::engine::{Session as _, take_mean_loss};
    use crate::train::state;

    /// A run of a small model, and its corpus.
    fn small() -> (PlannedRun, Corpus) {
        let planned = testing::small(|spec| {
            (spec.data.vocab, spec.model.context, spec.model.width) = (Some(256), 16, Some(32));
            spec.optimizer.batch_tokens = PowerRule::constant(7.0 * 16.0);
            (spec.schedule.flops, spec.schedule.tokens) = (None, Some(100.0 * 7.0 * 16.0));
            spec.schedule.warmup_max_fraction = 0.05;
        });
        let cache = tempfile::tempdir().expect("a folder");
        let corpus = Corpus::prepare(&planned.run.data, 16, cache.path(), &mut |_| {}).expect("a language");
        (planned, corpus)
    }

    /// The same run with another optimizer, at a rate that suits it.
    fn with_optimizer(kind: OptimizerKind) -> (PlannedRun, Corpus) {
        let (mut planned, corpus) = small();
        let optimizer = &mut planned.run.optimizer;
        optimizer.kind = kind;
        optimizer.momentum = Some(0.9);
        optimizer.learning_rate = match kind {
            OptimizerKind::Adamw | OptimizerKind::Muon => optimizer.learning_rate,
            OptimizerKind::Sgd => 0.1,
            OptimizerKind::Lion => optimizer.learning_rate / 3.0,
        };
        (planned, corpus)
    }

    #[test]
    fn every_optimizer_learns_to_the_same_bits_with_any_number_of_threads_and_after_a_resume() {
        let device = Device::flex().autodiff();
        let bits = |losses: Vec<f64>| losses.into_iter().map(f64::to_bits).collect::<Vec<_>>();
        for kind in OptimizerKind::ALL {
            let (planned, corpus) = with_optimizer(kind);
            let new = || Session::new(&planned.run, &corpus, &device, 1);
            let whole = losses(&mut new(), 0, 30);
            assert!(whole[29] < whole[0] - 0.1, "{kind:?} learns: {whole:?}");
            let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
            assert_eq!(bits(one.install(|| losses(&mut new(), 0, 30))), bits(whole.clone()), "{kind:?}, one thread");
            let (mut first, mut second) = (new(), new());
            losses(&mut first, 0, 10);
            let mut file = tempfile::tempfile().unwrap();
            let place = Place { step: 10, ..Place::default() };
            state::write(&mut first, &planned.run, &mut file, &planned.id, &place).unwrap();
            file.rewind().unwrap();
            state::read(&mut second, &planned.run, &mut file, &planned.id).unwrap();
            assert_eq!(bits(losses(&mut second, 10, 30)), bits(whole[10..].to_vec()), "{kind:?}, resumed");
        }
    }

    /// Losses of steps `from` to `to`.
    fn losses(session: &mut Session<'_>, from: usize, to: usize) -> Vec<f64> {
        let mut loss = |step| {
            session.step(step).unwrap();
            take_mean_loss(session).unwrap()
        };
        (from..to).map(&mut loss).collect()
    }

    /// Whether a test of bf16 can be made here; says so if not.
    fn has_bf16(device: &Device) -> bool {
        let has = Ops::compute_in(device, Precision::Bf16);
        if !has {
            tell!("skipped: this processor has no AVX512-BF16");
        }
        has
    }

    #[test]
    fn rounded_factors_change_losses_by_their_rounding_and_keep_their_bits() {
        let ((planned, corpus), device) = (small(), Device::flex().autodiff());
        if !has_bf16(&device) {
            return;
        }
        let rounded = Run { precision: Precision::Bf16, ..planned.run.clone() };
        let new = |run| Session::new(run, &corpus, &device, 1);
        let (exact, whole) = (losses(&mut new(&planned.run), 0, 30), losses(&mut new(&rounded), 0, 30));
        assert_ne!(whole, exact);
        for (step, (a, b)) in whole.iter().zip(&exact).enumerate() {
            assert!((a / b - 1.0).abs() < 8e-3, "step {step}: {a} and {b}");
        }
        assert!(whole[29] < whole[0] - 0.1, "it learns: {whole:?}");
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert_eq!(pool.install(|| losses(&mut new(&rounded), 0, 30)), whole, "{threads} threads");
        }
    }

    #[test]
    fn gradients_of_rounded_products_are_those_of_the_rounded_factors() {
        let device = Device::flex().autodiff();
        if !has_bf16(&device) {
            return;
        }
        // Factors and gradients that rounding leaves as they are.
        let whole = |shape: [usize; 2], step: usize| {
            let values: Vec<f32> = (0..shape[0] * shape[1]).map(|i| (i * step % 17) as f32 - 8.0).collect();
            Tensor::<2>::from_data(TensorData::new(values, shape), &device)
        };
        let gradients = |precision| {
            let (x, weight) = (whole([200, 40], 3).require_grad(), whole([40, 70], 5).require_grad());
            let y = Ops::on(&device).product(x.clone(), weight.clone(), precision);
            let grads = (y.clone() * whole([200, 70], 7)).sum().backward();
            [y.inner(), x.grad(&grads).unwrap(), weight.grad(&grads).unwrap()].map(floats)
        };
        assert_eq!(gradients(Precision::Bf16), gradients(Precision::F32), "all sums are whole numbers below 2^24");
    }

    #[test]
    fn the_most_likely_token_has_the_least_loss() {
        let ((planned, corpus), device) = (small(), Device::flex().autodiff());
        let mut session = Session::new(&planned.run, &corpus, &device, 1);
        losses(&mut session, 0, 3);
        let tokens: Vec<u16> = (0..17).map(|at| at * 13 % 256).collect();
        let best = session.best_tokens(&tokens).unwrap();
        assert_eq!(best.len(), 16);
        // The last place, after the same tokens: its loss by the token that stands there.
        let mut loss_of = |token: u16| {
            let tokens = [&tokens[..16], &[token]].concat();
            session.token_losses(&tokens).unwrap()[15]
        };
        let least = (0..256).min_by(|a, b| loss_of(*a).total_cmp(&loss_of(*b))).unwrap();
        assert_eq!(best[15], least);
    }

    #[test]
    fn gradients_summed_over_micro_batches_are_those_of_the_whole_batch() {
        let ((planned, corpus), device) = (small(), Device::flex().autodiff());
        let trained = |parts| losses(&mut Session::new(&planned.run, &corpus, &device, parts), 0, 20);
        let whole = trained(1);
        // Seven sequences in two parts, in four, in one each, and in more parts than there are sequences.
        for parts in [2, 4, 7, 100] {
            for (step, (a, b)) in whole.iter().zip(trained(parts)).enumerate() {
                assert!((a - b).abs() < 1e-4, "{parts} parts, step {step}: {a} and {b}");
            }
        }
        assert!(whole[19] < whole[0] - 0.1, "it learns: {whole:?}");
    }

    #[test]
    fn the_layout_of_a_checkpoint_is_that_of_the_model() {
        let ((planned, corpus), device) = (small(), Device::flex().autodiff());
        let mut session = Session::new(&planned.run, &corpus, &device, 1);
        let table = planned.run.table();
        let expected = planned.run.shape.weights();
        assert_eq!(session.model.weights_mut().count(), expected.len());
        for (weight, Weight { name, role, shape, .. }) in session.model.weights_mut().zip(expected) {
            let rule = crate::parameterization::Rules::rule(&table, role, shape[0]);
            assert_eq!((&weight.name, weight.value.dims(), weight.rule), (&name, shape, rule));
        }
        let mut file = tempfile::tempfile().unwrap();
        state::write_model(&mut session, &planned.run, &mut file, &planned.id).unwrap();
        file.rewind().unwrap();
        let layout = checkpoint::model_layout(&planned.run.shape);
        let (_, kept) = checkpoint::read(&mut file, &planned.id, &layout).unwrap();
        for (weight, values) in session.model.weights_mut().zip(kept) {
            assert_eq!(floats(weight.value.clone().inner()), values, "{}", weight.name);
        }
    }

    #[test]
    fn a_session_that_is_written_and_read_goes_on_to_the_same_bits() {
        let ((planned, corpus), device) = (small(), Device::flex().autodiff());
        let new = || Session::new(&planned.run, &corpus, &device, 1);
        let mut first = new();
        losses(&mut first, 0, 5);
        // In the middle of an interval of the curve.
        first.step(5).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        let place = Place { step: 6, ..Place::default() };
        state::write(&mut first, &planned.run, &mut file, &planned.id, &place).unwrap();
        file.rewind().unwrap();
        let mut second = new();
        assert_eq!(
            state::read(&mut second, &planned.run, &mut file, &planned.id).unwrap(),
            Place { losses: 1, ..place }
        );
        for session in [&mut first, &mut second] {
            session.step(6).unwrap();
        }
        let bits = |losses: Vec<f64>| losses.into_iter().map(f64::to_bits).collect::<Vec<_>>();
        assert_eq!(take_mean_loss(&mut first).unwrap().to_bits(), take_mean_loss(&mut second).unwrap().to_bits());
        assert_eq!(bits(losses(&mut first, 7, 20)), bits(losses(&mut second, 7, 20)));
    }
}

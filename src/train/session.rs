//! One run under way: its model, its optimizer, the losses since the last point of the curve, and how all of it goes
//! into a checkpoint and comes back.

use std::fs::File;
use std::io::{self, Write};

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::model::Model;
use super::optimizer::{self, AdamW};
use super::schedule::share_of_peak;
use crate::checkpoint::{self, Place};
use crate::data::Corpus;
use crate::plan::{Run, RunId};

/// One run under way.
pub struct Session<'a> {
    run: &'a Run,
    corpus: &'a Corpus,
    device: &'a Device,
    /// The model as it is now.
    pub model: Model,
    optimizer: AdamW,
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
        let optimizer = AdamW::new(&run.optimizer, &mut model);
        Self { run, corpus, device, model, optimizer, micro_batches, tokens: Vec::new(), loss_sum: None, losses: 0 }
    }

    /// Step number `step`, from 0. Nothing is read back.
    pub fn step(&mut self, step: usize) {
        let batch = self.run.optimizer.batch_sequences;
        self.corpus.train_batch(self.run.seed, batch, step, &mut self.tokens);
        let (loss, gradients) = self.gradients();
        self.optimizer.step(&mut self.model, gradients, share_of_peak(&self.run.schedule, step));
        self.loss_sum = Some(match self.loss_sum.take() {
            Some(sum) => sum + loss,
            None => loss,
        });
        self.losses += 1;
    }

    /// Mean loss of the batch and its gradients, summed over the micro-batches.
    fn gradients(&mut self) -> (Tensor<1>, Vec<Tensor<2>>) {
        let context = self.run.shape.context;
        let sequences = self.run.optimizer.batch_sequences;
        let part = sequences.div_ceil(self.micro_batches.clamp(1, sequences));
        let mut total: Option<(Tensor<1>, Vec<Tensor<2>>)> = None;
        for tokens in self.tokens.chunks(part * (context + 1)) {
            let (ids, targets) = upload(tokens, context, self.device);
            let mut loss = self.model.mean_loss(ids, targets);
            let share = tokens.len() as f64 / self.tokens.len() as f64;
            if share < 1.0 {
                loss = loss.mul_scalar(share);
            }
            let value = loss.clone().inner();
            let gradients = optimizer::gradients(&mut self.model, loss.backward());
            total = Some(match total {
                None => (value, gradients),
                Some((sum, sums)) => (sum + value, sums.into_iter().zip(gradients).map(|(a, b)| a + b).collect()),
            });
        }
        total.expect("a batch has sequences")
    }

    /// Mean of the losses since the last call, in nats per token.
    pub fn take_mean_loss(&mut self) -> f64 {
        let count = std::mem::take(&mut self.losses);
        self.loss_sum.take().map_or(f64::NAN, |sum| f64::from(sum.into_scalar::<f32>()) / count as f64)
    }

    /// Bytes of a checkpoint, nearly.
    pub fn checkpoint_bytes(&mut self) -> usize {
        checkpoint::layout(&self.run.shape).iter().map(|entry| 4 * entry.shape.iter().product::<usize>()).sum()
    }

    /// Writes the state; `place` says how far it is, losses excepted.
    pub fn write(&mut self, out: &mut dyn Write, id: &RunId, place: &Place) -> io::Result<()> {
        let layout = checkpoint::layout(&self.run.shape);
        let place = Place { losses: self.losses, ..place.clone() };
        let (weights, moments, loss_sum) = (self.model.weights_mut(), self.optimizer.moments(), &self.loss_sum);
        let mut tensors = Vec::with_capacity(layout.len());
        for (weight, [first, second]) in weights.zip(moments) {
            tensors.extend([weight.value.clone().inner(), first.clone(), second.clone()]);
        }
        // One after another, so that no more than one of them is copied at a time.
        let mut tensors = tensors.into_iter();
        checkpoint::write(out, id, &place, &layout, &mut |_| match tensors.next() {
            Some(tensor) => floats(tensor),
            None => loss_sum.clone().map_or_else(|| vec![0.0], floats),
        })
    }

    /// Writes the weights alone, those of the whole run.
    pub fn write_model(&mut self, out: &mut dyn Write, id: &RunId) -> io::Result<()> {
        let place = Place { step: self.run.schedule.steps, ..Place::default() };
        let mut weights = self.model.weights_mut().map(|weight| weight.value.clone().inner());
        let mut next = |_| floats(weights.next().expect("as many as the layout has"));
        checkpoint::write(out, id, &place, &checkpoint::model_layout(&self.run.shape), &mut next)
    }

    /// Takes up the state in a file, and says how far it is; nothing is changed where that fails.
    pub fn read(&mut self, file: &mut File, id: &RunId) -> Result<Place, String> {
        let layout = checkpoint::layout(&self.run.shape);
        let (place, tensors) = checkpoint::read(file, id, &layout)?;
        let device = self.device.clone().inner();
        let mut tensors = tensors.into_iter();
        let mut next = || tensors.next().expect("as many as the layout has");
        let mut moments = Vec::new();
        for weight in self.model.weights_mut() {
            let shape = weight.value.dims();
            let [value, first, second] =
                [(); 3].map(|()| Tensor::<2>::from_data(TensorData::new(next(), shape), &device));
            weight.value = Tensor::from_inner(value).require_grad();
            moments.push([first, second]);
        }
        self.optimizer.restore(place.step, moments);
        self.losses = place.losses;
        let loss_sum = Tensor::from_data(TensorData::new(next(), [1]), &device);
        self.loss_sum = (self.losses > 0).then_some(loss_sum);
        Ok(place)
    }
}

fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data_as::<f32>().try_to_vec::<f32>().expect("weights are f32")
}

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

#[cfg(all(test, feature = "cpu"))]
mod tests {
    use std::io::Seek as _;

    use super::*;
    use crate::plan::{PlannedRun, testing};
    use crate::spec::PowerRule;

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

    /// Losses of steps `from` to `to`.
    fn losses(session: &mut Session<'_>, from: usize, to: usize) -> Vec<f64> {
        let mut loss = |step| {
            session.step(step);
            session.take_mean_loss()
        };
        (from..to).map(&mut loss).collect()
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
        for (weight, (name, role, shape)) in session.model.weights_mut().zip(expected) {
            let rule = crate::parameterization::Rules::rule(&table, role, shape[0]);
            assert_eq!((&weight.name, weight.value.dims(), weight.rule), (&name, shape, rule));
        }
        let mut file = tempfile::tempfile().unwrap();
        session.write_model(&mut file, &planned.id).unwrap();
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
        first.step(5);
        let mut file = tempfile::tempfile().unwrap();
        let place = Place { step: 6, ..Place::default() };
        first.write(&mut file, &planned.id, &place).unwrap();
        file.rewind().unwrap();
        let mut second = new();
        assert_eq!(second.read(&mut file, &planned.id).unwrap(), Place { losses: 1, ..place });
        for session in [&mut first, &mut second] {
            session.step(6);
        }
        let bits = |losses: Vec<f64>| losses.into_iter().map(f64::to_bits).collect::<Vec<_>>();
        assert_eq!(first.take_mean_loss().to_bits(), second.take_mean_loss().to_bits());
        assert_eq!(bits(losses(&mut first, 7, 20)), bits(losses(&mut second, 7, 20)));
    }
}

//! Sizes of activations over the first steps of a model on the card.

use super::gpu::{Address, Gpu, Number};
use super::launch::{Batch, MOST_PIECES, pieces};
use super::layout::{Arena, Room as _};
use super::program::{Program, bytes_of};
use super::step::Step;
use super::watch::{Watched, watch, watch_logits};
use crate::parameterization::Rules;
use crate::plan::Run;
use crate::train::site::{Batches, Seen, Site};
use crate::trainer::TrainError;

/// Trains `steps` steps of `run` under `rules`, at the peak learning rate and without warm-up, and records all
/// activations before each, on the batch of that step.
pub fn probe(
    gpu: &dyn Gpu,
    (run, rules): (&Run, &dyn Rules),
    batches: Batches<'_>,
    steps: usize,
) -> Result<Vec<Seen>, TrainError> {
    let program = Program::new(gpu, (run, rules), &vec![1.0; steps], 1, run.tokens_per_step())?;
    let arena = Arena::new(gpu);
    let room = arena.bytes(8 * MOST_PIECES)?;
    let (mut seen, mut tokens) = (Vec::new(), Vec::new());
    for step in 1..=steps {
        batches(step - 1, &mut tokens);
        let batch = program.show(&tokens)?;
        let launches = program.step();
        let scale = rules.attention_scale();
        let measure = Measure { program: &program, step: &launches, batch, run, scale, room };
        let mut note = |site, watched| {
            seen.push(Seen { step, site, mean_abs: measure.mean_abs(watched)? });
            Ok(())
        };
        launches.forward(&batch, &mut note)?;
        note(Site::Logits, Watched::Unembedded)?;
        if step < steps {
            program.load(step - 1, &bytes_of(&tokens))?;
            program.train()?;
        }
    }
    Ok(seen)
}

/// What measures an activation.
struct Measure<'a> {
    program: &'a Program<'a>,
    step: &'a Step<'a>,
    batch: Batch,
    run: &'a Run,
    scale: f64,
    /// Memory for sums, f64.
    room: Address,
}

impl Measure<'_> {
    /// Mean of |x|, summed in f64.
    fn mean_abs(&self, watched: Watched) -> Result<f64, TrainError> {
        let rows = self.run.tokens_per_step();
        let (step, run) = (self.step, self.run);
        match watched {
            Watched::Numbers(at, number, columns) => {
                Ok(self.sum(at, number, rows * columns)? / (rows * columns) as f64)
            }
            Watched::Logits(qkv) => {
                let sums = step.loss.losses;
                step.on.gpu.launch(&watch_logits(&step.pass(&self.batch, false).act, qkv, sums, self.scale))?;
                let sums = self.program.floats(sums, rows)?;
                let context = run.shape.context;
                let visible = run.optimizer.batch_sequences * run.shape.heads * context * (context + 1) / 2;
                Ok(sums.into_iter().map(f64::from).sum::<f64>() / visible as f64)
            }
            Watched::Unembedded => {
                let (vocab, number) = (run.shape.vocab, step.on.recipe.number());
                let mut sum = 0.0;
                for (first, count) in step.loss.pieces(rows) {
                    step.loss.logits(&step.pass(&self.batch, false), first, count)?;
                    sum += self.sum(step.loss.logits, number, count * vocab)?;
                }
                Ok((sum * f64::from(step.on.recipe.logits_multiplier)).abs() / (rows * vocab) as f64)
            }
        }
    }

    /// Sum of |x|.
    fn sum(&self, at: Address, number: Number, count: usize) -> Result<f64, TrainError> {
        self.step.on.gpu.launch(&watch(at, number, count, self.room))?;
        Ok(self.program.doubles(self.room, pieces(count))?.into_iter().sum())
    }
}

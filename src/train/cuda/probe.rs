//! Sizes of activations over the first steps of a model on the card.

use super::gpu::{Address, Gpu, Number};
use super::launches;
use super::layout::Arena;
use super::program::Program;
use super::step::{Step, Watched};
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
    let room = arena.bytes(8 * launches::MOST_PIECES)?;
    let (mut seen, mut tokens) = (Vec::new(), Vec::new());
    for step in 1..=steps {
        batches(step - 1, &mut tokens);
        let batch = program.show(&tokens)?;
        let launches = program.step();
        let measure = Measure { program: &program, step: &launches, run, scale: rules.attention_scale(), room };
        let mut note = |site, watched| {
            seen.push(Seen { step, site, mean_abs: measure.mean_abs(watched)? });
            Ok(())
        };
        launches.forward(&batch, &mut note)?;
        note(Site::Logits, Watched::Unembedded)?;
        if step < steps {
            program.load(step - 1, &tokens)?;
            program.train()?;
        }
    }
    Ok(seen)
}

/// What measures an activation.
struct Measure<'a> {
    program: &'a Program<'a>,
    step: &'a Step<'a>,
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
            Watched::Numbers(at, number, count) => Ok(self.sum(at, number, count)? / count as f64),
            Watched::Logits(qkv) => {
                let sums = step.activations.losses;
                step.gpu.launch(&launches::watch_logits(&step.act(rows), qkv, sums, self.scale))?;
                let sums = self.program.floats(sums, rows)?;
                let context = run.shape.context;
                let visible = run.optimizer.batch_sequences * run.shape.heads * context * (context + 1) / 2;
                Ok(sums.into_iter().map(f64::from).sum::<f64>() / visible as f64)
            }
            Watched::Unembedded => {
                let (vocab, number) = (run.shape.vocab, step.recipe.number());
                let multiplier = f64::from(step.recipe.multipliers[step.flat.unembedding()]);
                let mut sum = 0.0;
                for (first, count) in step.pieces(rows) {
                    step.logits(first, count)?;
                    sum += self.sum(step.activations.logits, number, count * vocab)?;
                }
                Ok((sum * multiplier).abs() / (rows * vocab) as f64)
            }
        }
    }

    /// Sum of |x|.
    fn sum(&self, at: Address, number: Number, count: usize) -> Result<f64, TrainError> {
        self.step.gpu.launch(&launches::watch(at, number, count, self.room))?;
        Ok(self.program.doubles(self.room, launches::pieces(count))?.into_iter().sum())
    }
}

//! Logits, their cross entropy, and its gradients, on pieces of rows whose logits fit.

use super::gpu::{Address, Argument, Launch, Number};
use super::launch::{WARP, by_warps, extent, int, launch, named};
use super::layout::{Room, logit_rows};
use super::pass::Pass;
use super::product::{plain, turned};
use crate::model::Shape;
use crate::trainer::TrainError;

/// Memory for losses, and what makes them.
pub struct Loss {
    /// What the unembedding reads `[rows, d]`, and where its gradient lies.
    pub last: [Address; 2],
    /// The unembedding, and whether it lies as rows of tokens, as it does where it is the embedding too.
    pub head: (usize, bool),
    /// Logits of `rows` rows, then their gradients.
    pub logits: Address,
    /// Rows of logits at a time.
    pub rows: usize,
    /// Loss of each row of a whole step, f32.
    pub losses: Address,
}

impl Loss {
    /// Memory for `rows` tokens of a shape, and the losses of a whole step of so many.
    pub fn new(
        room: &dyn Room,
        shape: &Shape,
        (last, head): ([Address; 2], (usize, bool)),
        [rows, step_rows]: [usize; 2],
        number: Number,
    ) -> Result<Self, TrainError> {
        let at_once = logit_rows(rows, shape.vocab, number);
        let logits = room.numbers(at_once * shape.vocab, number)?;
        Ok(Self { last, head, logits, rows: at_once, losses: room.words(rows.max(step_rows))? })
    }

    /// Pieces of rows whose logits are worked on at a time: first row and number of rows.
    pub fn pieces(&self, rows: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let most = self.rows;
        (0..rows).step_by(most).map(move |first| (first, most.min(rows - first)))
    }

    /// Logits of the rows from `first` on, `count` of them, without their multiplier, which is the kernel's of the loss.
    pub fn logits(&self, Pass { on, act, .. }: &Pass<'_>, first: usize, count: usize) -> Result<(), TrainError> {
        let Shape { width: d, vocab, .. } = act.shape;
        let at = self.last[0] + (first * d * act.number.bytes()) as u64;
        let weight = on.factor(self.head.0);
        let weight = if self.head.1 { turned(weight) } else { plain(weight) };
        on.product([plain(at), weight], (self.logits, act.number), [count, vocab, d], (1.0, 0.0))
    }

    /// Cross entropy of each row, and nothing else.
    pub fn token_losses(&self, pass: &Pass<'_>) -> Result<(), TrainError> {
        for (first, count) in self.pieces(pass.act.rows) {
            self.logits(pass, first, count)?;
            pass.on.gpu.launch(&self.cross_entropy(pass, [first, count], self.losses, None))?;
        }
        Ok(())
    }

    /// The most likely token of each row as an i32, in the place of its loss.
    pub fn best_tokens(&self, pass: &Pass<'_>) -> Result<(), TrainError> {
        let Pass { on, act, .. } = pass;
        let kernel = named(act.number, "best_tokens_f32", "best_tokens_bf16");
        for (first, count) in self.pieces(act.rows) {
            self.logits(pass, first, count)?;
            let best = self.losses + 4 * first as u64;
            let arguments = vec![self.logits.into(), int(count), int(act.shape.vocab), best.into()];
            on.gpu.launch(&by_warps(kernel, count, arguments))?;
        }
        Ok(())
    }

    /// Cross entropy of each row, its gradient by what the unembedding reads, and that by the unembedding; so many sequences
    /// of the step's were done before.
    pub fn backward(&self, pass: &Pass<'_>, (done, sequences): (usize, usize)) -> Result<(), TrainError> {
        let context = pass.act.shape.context;
        let losses = self.losses + (4 * done * context) as u64;
        for (first, count) in self.pieces(pass.act.rows) {
            self.logits(pass, first, count)?;
            pass.on.gpu.launch(&self.cross_entropy(pass, [first, count], losses, Some(sequences * context)))?;
            self.products_backward(pass, [first, count])?;
        }
        Ok(())
    }

    /// From the gradient of logits of a piece of rows to those of both factors.
    pub fn products_backward(&self, pass: &Pass<'_>, [first, count]: [usize; 2]) -> Result<(), TrainError> {
        let (Pass { on, act, .. }, (head, as_rows)) = (pass, self.head);
        let Shape { width: d, vocab, .. } = act.shape;
        let offset = (first * d * act.number.bytes()) as u64;
        let [x, grad] = self.last.map(|at| at + offset);
        let weight = on.factor(head);
        let weight = if as_rows { plain(weight) } else { turned(weight) };
        on.product([plain(self.logits), weight], (grad, act.number), [count, d, vocab], (1.0, 0.0))?;
        let beta = if first > 0 { 1.0 } else { pass.beta() };
        let to = (on.gradient(head), Number::F32);
        let (factors, size) = if as_rows {
            ([turned(self.logits), plain(x)], [vocab, d, count])
        } else {
            ([turned(x), plain(self.logits)], [d, vocab, count])
        };
        on.product(factors, to, size, (1.0, beta))
    }

    /// Cross entropy of rows of logits, `count` of them from row `first` on, as `losses` has them in the order of the batch.
    /// With a total of rows, the logits become the gradients of the mean over them by the product without its multiplier.
    fn cross_entropy(
        &self,
        Pass { on, act, batch, .. }: &Pass<'_>,
        [first, count]: [usize; 2],
        losses: Address,
        total: Option<usize>,
    ) -> Launch {
        let mut arguments: Vec<Argument> = vec![self.logits.into()];
        arguments.extend(batch.arguments(act.shape.context));
        arguments.extend([int(first), int(act.shape.vocab), on.recipe.logits_multiplier.into()]);
        let grid = [extent(count), 1];
        // A thread has two packs of 16 bytes, as long as a block has room for so many threads.
        let packs = act.shape.vocab * act.number.bytes() / 16;
        let threads = extent((packs / 2).next_multiple_of(WARP).clamp(WARP, 1024));
        let Some(total) = total else {
            arguments.push(losses.into());
            return launch(named(act.number, "token_losses_f32", "token_losses_bf16"), grid, threads, arguments);
        };
        arguments.extend([Argument::from((1.0 / total as f64) as f32), losses.into()]);
        launch(named(act.number, "cross_entropy_f32", "cross_entropy_bf16"), grid, threads, arguments)
    }
}

//! One training step as launches, read from top to bottom: forward, loss, backward, optimizer. What a kernel computes stands in
//! its source; what it is given, in `launches`.

use super::gpu::{Address, Factor, Gpu, Number, Product};
use super::launches::{self, Act, Batch};
use super::layout::{Activations, BlockActivations, Flat, Normed, Part};
use super::state::{Recipe, State};
use crate::plan::Shape;
use crate::spec::Precision;
use crate::train::site::Site;
use crate::trainer::TrainError;

/// Told of every activation of the forward pass, where somebody watches.
pub type Watch<'a> = &'a mut dyn FnMut(Site, Watched) -> Result<(), TrainError>;

/// An activation that can be measured.
#[derive(Clone, Copy, Debug)]
pub enum Watched {
    /// So many numbers.
    Numbers(Address, Number, usize),
    /// Products of queries and keys of packed `qkv`.
    Logits(Address),
    /// What the last normalization gives, times the unembedding.
    Unembedded,
}

/// One step of one run.
pub struct Step<'a> {
    /// The card.
    pub gpu: &'a dyn Gpu,
    /// The run.
    pub recipe: &'a Recipe,
    /// Order of the weights.
    pub flat: &'a Flat,
    /// State.
    pub state: State,
    /// Activations.
    pub activations: &'a Activations,
}

impl Step<'_> {
    /// A whole step on micro-batches, each with its tokens; `sequences` are those of all of them.
    pub fn train(&self, parts: &[Batch], sequences: usize) -> Result<(), TrainError> {
        let mut done = 0;
        for batch in parts {
            let accumulate = done > 0;
            self.forward(batch, &mut |_, _| Ok(()))?;
            self.loss(batch, (done, sequences), accumulate)?;
            self.backward(batch, accumulate)?;
            done += batch.sequences;
        }
        self.optimize(sequences)
    }

    /// From tokens to what the unembedding reads.
    pub fn forward(&self, batch: &Batch, watch: Watch<'_>) -> Result<(), TrainError> {
        let Self { gpu, recipe, flat, activations, .. } = self;
        let d = recipe.shape.width;
        let rows = batch.rows(&recipe.shape);
        let act = self.act(rows);
        let narrow = |at| Watched::Numbers(at, recipe.number(), rows * d);
        let stream = |at| Watched::Numbers(at, Number::F32, rows * d);
        let Some(first) = activations.blocks.first() else { return Ok(()) };
        let (table, gain) = ((self.master(0), recipe.multipliers[0]), self.master(Flat::part(0, Part::NormAttention)));
        gpu.launch(&launches::embed_norm(batch, &act, table, first.attention, gain))?;
        watch(Site::Embedding, stream(first.attention.x))?;
        for (index, block) in activations.blocks.iter().enumerate() {
            self.attention(&act, index, block, watch)?;
            watch(Site::Attention(index), narrow(activations.branch))?;
            let added = (activations.branch, recipe.multipliers[Flat::part(index, Part::AttentionOut)]);
            self.norm(&act, block.attention.x, added, block.mlp, Flat::part(index, Part::NormMlp))?;
            self.linear(rows, block.mlp.out, Flat::part(index, Part::MlpIn), block.wide)?;
            gpu.launch(&launches::gelu(&act, block.wide, block.active, rows * 4 * d))?;
            self.linear(rows, block.active, Flat::part(index, Part::MlpOut), activations.branch)?;
            watch(Site::Mlp(index), narrow(activations.branch))?;
            let added = (activations.branch, recipe.multipliers[Flat::part(index, Part::MlpOut)]);
            let (next, gain) = activations.blocks.get(index + 1).map_or((activations.last, flat.norm()), |next| {
                (next.attention, Flat::part(index + 1, Part::NormAttention))
            });
            self.norm(&act, block.mlp.x, added, next, gain)?;
            watch(Site::Stream(index), stream(next.x))?;
        }
        watch(Site::FinalNorm, narrow(activations.last.out))
    }

    /// Attention of one block, up to what it adds to the stream.
    fn attention(&self, act: &Act, index: usize, block: &BlockActivations, watch: Watch<'_>) -> Result<(), TrainError> {
        self.linear(act.rows, block.attention.out, Flat::part(index, Part::Qkv), block.qkv)?;
        self.gpu.launch(&launches::rotate(act, self.state.tables, block.qkv))?;
        watch(Site::AttentionLogits(index), Watched::Logits(block.qkv))?;
        self.gpu.launch(&launches::attention(act, block, self.recipe.attention_scale))?;
        self.linear(act.rows, block.mixed, Flat::part(index, Part::AttentionOut), self.activations.branch)
    }

    /// Logits of the rows from `first` on, `count` of them.
    pub fn logits(&self, first: usize, count: usize) -> Result<(), TrainError> {
        let Self { recipe, flat, activations, .. } = self;
        let Shape { width: d, vocab, .. } = recipe.shape;
        let at = activations.last.out + (first * d * recipe.number().bytes()) as u64;
        let weight = self.factor(flat.unembedding());
        // The multiplier is the kernel's of the loss.
        self.product([plain(at), plain(weight)], (activations.logits, recipe.number()), [count, vocab, d], (1.0, 0.0))
    }

    /// Pieces of rows whose logits are worked on at a time: first row and number of rows.
    pub fn pieces(&self, rows: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let most = self.activations.logit_rows;
        (0..rows).step_by(most).map(move |first| (first, most.min(rows - first)))
    }

    /// Cross entropy of each row, and nothing else.
    pub fn token_losses(&self, batch: &Batch) -> Result<(), TrainError> {
        let act = self.act(batch.rows(&self.recipe.shape));
        for (first, count) in self.pieces(act.rows) {
            self.logits(first, count)?;
            let multiplier = self.recipe.multipliers[self.flat.unembedding()];
            self.gpu.launch(&launches::cross_entropy(
                &act,
                batch,
                self.activations,
                ([first, count], self.activations.losses, None),
                multiplier,
            ))?;
        }
        Ok(())
    }

    /// Cross entropy of each row, its gradient by the last normalization's output, and that by the unembedding; so many
    /// sequences of the step's were done before.
    pub fn loss(&self, batch: &Batch, (done, sequences): (usize, usize), accumulate: bool) -> Result<(), TrainError> {
        let Self { gpu, recipe, flat, activations, .. } = self;
        let Shape { width: d, vocab, context, .. } = recipe.shape;
        let act = self.act(batch.rows(&recipe.shape));
        let number = recipe.number();
        let total = sequences * context;
        let head = flat.unembedding();
        let losses = activations.losses + (4 * done * context) as u64;
        for (first, count) in self.pieces(act.rows) {
            self.logits(first, count)?;
            let (rows, multiplier) = (([first, count], losses, Some(total)), recipe.multipliers[head]);
            gpu.launch(&launches::cross_entropy(&act, batch, activations, rows, multiplier))?;
            let offset = (first * d * number.bytes()) as u64;
            let (x, grad) = (activations.last.out + offset, activations.grad_narrow + offset);
            let logits = activations.logits;
            self.product([plain(logits), turned(self.factor(head))], (grad, number), [count, d, vocab], (1.0, 0.0))?;
            let beta = if accumulate || first > 0 { 1.0 } else { 0.0 };
            let to = (self.gradient(head), Number::F32);
            self.product([turned(x), plain(logits)], to, [d, vocab, count], (1.0, beta))?;
        }
        Ok(())
    }

    /// From the gradient of the last normalization's output to those of all weights.
    pub fn backward(&self, batch: &Batch, accumulate: bool) -> Result<(), TrainError> {
        let Self { gpu, recipe, flat, activations, .. } = self;
        let act = self.act(batch.rows(&recipe.shape));
        let multiplier = |index: usize, part| Some(recipe.multipliers[Flat::part(index, part)]);
        let blocks = activations.blocks.len();
        // The stream's gradient begins with the last normalization's.
        let next = multiplier(blocks - 1, Part::MlpOut);
        self.norm_backward(&act, (2 * blocks, activations.last), flat.norm(), true, next)?;
        for (index, block) in activations.blocks.iter().enumerate().rev() {
            self.mlp_backward(&act, index, block, accumulate)?;
            let next = multiplier(index, Part::AttentionOut);
            let gain = Flat::part(index, Part::NormMlp);
            self.norm_backward(&act, (2 * index + 1, block.mlp), gain, false, next)?;
            self.attention_backward(&act, index, block, accumulate)?;
            let next = index.checked_sub(1).and_then(|before| multiplier(before, Part::MlpOut));
            let gain = Flat::part(index, Part::NormAttention);
            self.norm_backward(&act, (2 * index, block.attention), gain, false, next)?;
        }
        gpu.launch(&launches::gain_reduce(&act, activations, &self.state, (2 * blocks + 1, accumulate)))?;
        let table = self.gradient(0);
        gpu.launch(&launches::embed_backward(
            batch,
            &act,
            activations.grad_x,
            (table, recipe.multipliers[0], accumulate),
        ))
    }

    /// From the gradient of what the MLP adds to that of its normalization's output.
    fn mlp_backward(
        &self,
        act: &Act,
        index: usize,
        block: &BlockActivations,
        accumulate: bool,
    ) -> Result<(), TrainError> {
        let Activations { branch, grad_wide, grad_narrow, .. } = *self.activations;
        let [inner, outer] = [Part::MlpIn, Part::MlpOut].map(|part| Flat::part(index, part));
        self.linear_backward(act.rows, (block.active, branch), outer, grad_wide, accumulate)?;
        let count = act.rows * 4 * self.recipe.shape.width;
        self.gpu.launch(&launches::gelu_backward(act, block.wide, grad_wide, count))?;
        self.linear_backward(act.rows, (block.mlp.out, grad_wide), inner, grad_narrow, accumulate)
    }

    /// From the gradient of what attention adds to that of its normalization's output.
    fn attention_backward(
        &self,
        act: &Act,
        index: usize,
        block: &BlockActivations,
        accumulate: bool,
    ) -> Result<(), TrainError> {
        let Activations { branch, grad_narrow, grad_qkv, .. } = *self.activations;
        let [qkv, out] = [Part::Qkv, Part::AttentionOut].map(|part| Flat::part(index, part));
        self.linear_backward(act.rows, (block.mixed, branch), out, grad_narrow, accumulate)?;
        self.gpu.launch(&launches::attention_deltas(act, block, self.activations))?;
        let (tables, scale) = (self.state.tables, self.recipe.attention_scale);
        self.gpu.launch(&launches::attention_backward(act, tables, block, self.activations, scale))?;
        self.linear_backward(act.rows, (block.attention.out, grad_qkv), qkv, grad_narrow, accumulate)
    }

    /// Loss, clipping, and AdamW of all weights, after so many sequences.
    pub fn optimize(&self, sequences: usize) -> Result<(), TrainError> {
        let Self { gpu, recipe, flat, state, activations } = self;
        let tokens = sequences * recipe.shape.context;
        gpu.launch(&launches::settle(state, flat.len(), activations.losses, tokens, &recipe.optimizer))?;
        gpu.launch(&launches::adamw(state, flat.len(), &recipe.optimizer, recipe.number()))
    }

    /// out = x weight, times its multiplier unless that waits for the residual stream.
    fn linear(&self, rows: usize, x: Address, weight: usize, out: Address) -> Result<(), TrainError> {
        let [inputs, outputs] = self.size(weight);
        let result = (out, self.recipe.number());
        self.product([plain(x), plain(self.factor(weight))], result, [rows, outputs, inputs], (self.alpha(weight), 0.0))
    }

    /// From the gradient of a product's output to those of its input and of the weight.
    fn linear_backward(
        &self,
        rows: usize,
        (x, grad): (Address, Address),
        weight: usize,
        grad_x: Address,
        accumulate: bool,
    ) -> Result<(), TrainError> {
        let [inputs, outputs] = self.size(weight);
        let alpha = self.alpha(weight);
        let beta = if accumulate { 1.0 } else { 0.0 };
        let to = (self.gradient(weight), Number::F32);
        self.product([turned(x), plain(grad)], to, [inputs, outputs, rows], (alpha, beta))?;
        let to = (grad_x, self.recipe.number());
        self.product([plain(grad), turned(self.factor(weight))], to, [rows, inputs, outputs], (alpha, 0.0))
    }

    fn product(
        &self,
        [a, b]: [Factor; 2],
        (out, result): (Address, Number),
        size: [usize; 3],
        (alpha, beta): (f32, f32),
    ) -> Result<(), TrainError> {
        let tf32 = self.recipe.precision == Precision::Tf32;
        let product = Product { a, b, out, size, factors: self.recipe.number(), result, tf32, alpha, beta };
        multiply(self.gpu, &product)
    }

    /// All products of the weights of a step on so many rows, of whatever lies in memory: how long they take alone.
    pub fn products(&self, rows: usize) -> Result<(), TrainError> {
        let Activations { branch, grad_narrow, grad_qkv, grad_wide, .. } = *self.activations;
        for (index, block) in self.activations.blocks.iter().enumerate() {
            for (part, x, out, grad_x) in [
                (Part::Qkv, block.attention.out, grad_qkv, grad_narrow),
                (Part::AttentionOut, block.mixed, branch, grad_narrow),
                (Part::MlpIn, block.mlp.out, grad_wide, grad_narrow),
                (Part::MlpOut, block.active, branch, grad_wide),
            ] {
                let weight = Flat::part(index, part);
                self.linear(rows, x, weight, out)?;
                self.linear_backward(rows, (x, out), weight, grad_x, false)?;
            }
        }
        let Shape { width: d, vocab, .. } = self.recipe.shape;
        let (head, number) = (self.flat.unembedding(), self.recipe.number());
        for (first, count) in self.pieces(rows) {
            self.logits(first, count)?;
            let logits = plain(self.activations.logits);
            self.product([logits, turned(self.factor(head))], (grad_narrow, number), [count, d, vocab], (1.0, 0.0))?;
            let to = (self.gradient(head), Number::F32);
            self.product([turned(self.activations.last.out), logits], to, [d, vocab, count], (1.0, 0.0))?;
        }
        Ok(())
    }

    /// Adds what waits to the stream and normalizes it.
    fn norm(&self, act: &Act, x: Address, added: (Address, f32), to: Normed, gain: usize) -> Result<(), TrainError> {
        self.gpu.launch(&launches::add_norm(act, x, added, to, self.master(gain)))
    }

    /// Adds the gradient through a normalization to the stream's, or begins that; gives pieces of that of the gain, and that of
    /// the branch before, where there is one, with its multiplier.
    fn norm_backward(
        &self,
        act: &Act,
        normed: (usize, Normed),
        gain: usize,
        begins: bool,
        branch: Option<f32>,
    ) -> Result<(), TrainError> {
        let gain = self.master(gain);
        self.gpu.launch(&launches::norm_backward(act, normed, gain, self.activations, begins, branch))
    }

    /// What every kernel on rows of tokens is told.
    pub fn act(&self, rows: usize) -> Act {
        Act { number: self.recipe.number(), shape: self.recipe.shape, rows }
    }

    fn size(&self, weight: usize) -> [usize; 2] {
        let d = self.recipe.shape.width;
        match (weight - 1) % 6 {
            n if n == Part::Qkv as usize => [d, 3 * d],
            n if n == Part::MlpIn as usize => [d, 4 * d],
            n if n == Part::MlpOut as usize => [4 * d, d],
            _ => [d, d],
        }
    }

    /// The multiplier of a weight of a block in its own product: that of a weight that writes into the residual stream is
    /// taken there, in f32.
    fn alpha(&self, weight: usize) -> f32 {
        let part = (weight - 1) % 6;
        let residual = part == Part::AttentionOut as usize || part == Part::MlpOut as usize;
        if residual { 1.0 } else { self.recipe.multipliers[weight] }
    }

    fn master(&self, weight: usize) -> Address {
        self.state.masters + 4 * self.flat.place(weight).start as u64
    }

    fn gradient(&self, weight: usize) -> Address {
        self.state.gradients + 4 * self.flat.place(weight).start as u64
    }

    fn factor(&self, weight: usize) -> Address {
        self.state.factors + (self.recipe.number().bytes() * self.flat.place(weight).start) as u64
    }
}

/// A product by the library, or by our own kernel where there is none.
pub fn multiply(gpu: &dyn Gpu, product: &Product) -> Result<(), TrainError> {
    if gpu.product(product)? {
        return Ok(());
    }
    gpu.launch(&launches::product(product))
}

fn plain(at: Address) -> Factor {
    Factor { at, transposed: false }
}

fn turned(at: Address) -> Factor {
    Factor { at, transposed: true }
}

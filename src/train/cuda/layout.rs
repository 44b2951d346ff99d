//! Where everything lies in the memory of the card: weights one after another in flat buffers, activations in buffers of their
//! own, and how large each is.

use std::cell::RefCell;
use std::ops::Range;

use super::gpu::{Address, Gpu, Number};
use crate::model::{Shape, Weight};
use crate::trainer::TrainError;

/// Each weight begins at a multiple of this, in elements; what lies between is zero and stays zero.
pub const ALIGNMENT: usize = 64;

/// Bytes of logits worked on at a time.
const LOGIT_BYTES: usize = 256 << 20;

/// Rows of one piece of the gradient of a gain, at most (`NORM_ROWS`), and at least.
const SUM_ROWS: [usize; 2] = [64, 16];

/// Pieces of the gradient of a gain that are enough to keep a card busy.
const ENOUGH_PIECES: usize = 512;

/// Rows of one piece of the gradient of a gain, which is summed over so many rows.
pub fn sum_rows(rows: usize) -> usize {
    let [most, least] = SUM_ROWS;
    rows.div_ceil(ENOUGH_PIECES).clamp(least, most)
}

/// The order of weights in the flat buffers, that of [`Shape::weights`].
pub struct Flat {
    places: Vec<Range<usize>>,
    len: usize,
}

/// A weight of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Gain before attention.
    NormAttention,
    /// Queries, keys and values.
    Qkv,
    /// Output of attention.
    AttentionOut,
    /// Gain before the MLP.
    NormMlp,
    /// Into the MLP.
    MlpIn,
    /// Out of the MLP.
    MlpOut,
}

/// Weights of one block.
const PARTS: usize = 6;

impl Flat {
    /// The places of the weights of a shape.
    pub fn of(shape: &Shape) -> Self {
        let mut len = 0;
        let place = |Weight { shape: [inputs, outputs], .. }| {
            let begin = len;
            len = (begin + inputs * outputs).next_multiple_of(ALIGNMENT);
            begin..begin + inputs * outputs
        };
        let places = shape.weights().into_iter().map(place).collect();
        Self { places, len }
    }

    /// Elements of a flat buffer.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Weights.
    pub fn count(&self) -> usize {
        self.places.len()
    }

    /// Elements of a weight by its number.
    pub fn place(&self, weight: usize) -> Range<usize> {
        self.places[weight].clone()
    }

    /// Number of a weight of a block.
    pub fn part(block: usize, part: Part) -> usize {
        1 + block * PARTS + part as usize
    }

    /// Number of the last gain.
    pub fn norm(&self) -> usize {
        self.count() - 2
    }

    /// Where the gains begin, in the order of their normalizations.
    pub fn gains(&self) -> impl Iterator<Item = usize> + use<'_> {
        let blocks = (self.count() - 3) / PARTS;
        let of_block = |block| [Part::NormAttention, Part::NormMlp].map(|part| Self::part(block, part));
        (0..blocks).flat_map(of_block).chain([self.norm()]).map(|weight| self.places[weight].start)
    }

    /// Number of the unembedding.
    pub fn unembedding(&self) -> usize {
        self.count() - 1
    }
}

/// Memory that goes when this goes.
pub struct Arena<'g> {
    gpu: &'g dyn Gpu,
    taken: RefCell<Vec<(Address, usize)>>,
}

impl<'g> Arena<'g> {
    /// Nothing yet.
    pub fn new(gpu: &'g dyn Gpu) -> Self {
        Self { gpu, taken: RefCell::default() }
    }

    /// So many numbers of four bytes, all zero.
    pub fn words(&self, count: usize) -> Result<Address, TrainError> {
        self.bytes(4 * count)
    }

    /// So many numbers, all zero.
    pub fn numbers(&self, count: usize, number: Number) -> Result<Address, TrainError> {
        self.bytes(number.bytes() * count)
    }

    /// So many bytes, all zero.
    pub fn bytes(&self, bytes: usize) -> Result<Address, TrainError> {
        let at = self.gpu.allocate(bytes)?;
        self.taken.borrow_mut().push((at, bytes));
        Ok(at)
    }

    /// Bytes of all of it.
    pub fn taken(&self) -> usize {
        self.taken.borrow().iter().map(|(_, bytes)| bytes).sum()
    }
}

impl Drop for Arena<'_> {
    fn drop(&mut self) {
        for &(at, _) in self.taken.borrow().iter() {
            self.gpu.free(at);
        }
    }
}

/// What the forward pass of one normalization keeps.
#[derive(Clone, Copy)]
pub struct Normed {
    /// The residual stream before it, f32 `[rows, d]`.
    pub x: Address,
    /// 1 / rms of each row, f32 `[rows]`.
    pub rms: Address,
    /// What comes out, `[rows, d]`.
    pub out: Address,
}

/// What the forward pass of one block keeps.
#[derive(Clone, Copy)]
pub struct BlockActivations {
    /// Before attention.
    pub attention: Normed,
    /// Queries, keys, values `[rows, 3 d]`.
    pub qkv: Address,
    /// What attention mixes `[rows, d]`.
    pub mixed: Address,
    /// Logarithms of the softmax denominators, f32 `[rows, heads]` in the kernel's order.
    pub denominators: Address,
    /// Before the MLP.
    pub mlp: Normed,
    /// Before the activation `[rows, 4 d]`.
    pub wide: Address,
    /// After it.
    pub active: Address,
}

/// Activations and their gradients for so many rows.
pub struct Activations {
    /// Of each block.
    pub blocks: Vec<BlockActivations>,
    /// The last normalization.
    pub last: Normed,
    /// What a branch adds to the residual stream, and its gradient, `[rows, d]`.
    pub branch: Address,
    /// Gradient of the residual stream, f32 `[rows, d]`.
    pub grad_x: Address,
    /// Gradient of what a normalization gives or attention mixes, `[rows, d]`.
    pub grad_narrow: Address,
    /// Gradient of queries, keys and values, `[rows, 3 d]`.
    pub grad_qkv: Address,
    /// What the gradient of attention's softmax subtracts, f32 `[rows, heads]` in the kernel's order.
    pub deltas: Address,
    /// Gradient inside the MLP, `[rows, 4 d]`.
    pub grad_wide: Address,
    /// Logits of `logit_rows` rows, then their gradients.
    pub logits: Address,
    /// Rows of logits at a time.
    pub logit_rows: usize,
    /// Loss of each row of a whole step, f32.
    pub losses: Address,
    /// Pieces of the gradients of gains, f32 `[norms, pieces, d]`.
    pub partials: Address,
}

impl Activations {
    /// Memory for `rows` tokens of a shape, and the losses of a whole step of so many.
    pub fn new(
        arena: &Arena<'_>,
        shape: &Shape,
        [rows, step_rows]: [usize; 2],
        number: Number,
    ) -> Result<Self, TrainError> {
        let Shape { width: d, depth, heads, vocab, .. } = *shape;
        let act = |columns: usize| arena.numbers(rows * columns, number);
        let normed =
            || Ok::<_, TrainError>(Normed { x: arena.words(rows * d)?, rms: arena.words(rows)?, out: act(d)? });
        let block = |_| {
            Ok(BlockActivations {
                attention: normed()?,
                qkv: act(3 * d)?,
                mixed: act(d)?,
                denominators: arena.words(rows * heads)?,
                mlp: normed()?,
                wide: act(4 * d)?,
                active: act(4 * d)?,
            })
        };
        let logit_rows = logit_rows(rows, vocab, number);
        Ok(Self {
            blocks: (0..depth).map(block).collect::<Result<_, TrainError>>()?,
            last: normed()?,
            branch: act(d)?,
            grad_x: arena.words(rows * d)?,
            grad_narrow: act(d)?,
            grad_qkv: act(3 * d)?,
            deltas: arena.words(rows * heads)?,
            grad_wide: act(4 * d)?,
            logits: arena.numbers(logit_rows * vocab, number)?,
            logit_rows,
            losses: arena.words(rows.max(step_rows))?,
            partials: arena.words((2 * depth + 1) * most_pieces(rows) * d)?,
        })
    }
}

/// Most pieces of a sum over at most so many rows.
fn most_pieces(rows: usize) -> usize {
    // Fewer rows may be cut into more pieces, each as short as may be.
    rows.div_ceil(sum_rows(rows)).max(rows.div_ceil(SUM_ROWS[1]).min(ENOUGH_PIECES))
}

/// Rows of logits at a time: all of them, or as many as fit, cut evenly.
fn logit_rows(rows: usize, vocab: usize, number: Number) -> usize {
    let most = (LOGIT_BYTES / (vocab * number.bytes())).max(128);
    let pieces = rows.div_ceil(most);
    rows.div_ceil(pieces).next_multiple_of(128).min(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Parts;

    const SHAPE: Shape = Shape { width: 24, depth: 2, heads: 3, context: 16, vocab: 100, parts: Parts::FIRST };

    #[test]
    fn weights_lie_one_after_another_at_whole_multiples() {
        let flat = Flat::of(&SHAPE);
        let weights = SHAPE.weights();
        assert_eq!(flat.count(), weights.len());
        let mut end = 0;
        for (number, Weight { name, shape: [inputs, outputs], .. }) in weights.iter().enumerate() {
            let place = flat.place(number);
            assert_eq!((place.len(), place.start % ALIGNMENT), (inputs * outputs, 0), "{name}");
            assert!(place.start >= end && place.start < end + ALIGNMENT, "{name} leaves no hole");
            end = place.end;
        }
        assert_eq!(flat.len(), end.next_multiple_of(ALIGNMENT));
        let name = |number: usize| weights[number].name.as_str();
        assert_eq!(name(flat.norm()), "norm");
        assert_eq!(name(flat.unembedding()), "unembedding");
        let gains: Vec<usize> = flat.gains().collect();
        let named =
            (0..weights.len()).filter(|&number| name(number).contains("norm")).map(|number| flat.place(number).start);
        assert_eq!(gains, named.collect::<Vec<_>>());
        for (part, text) in [
            (Part::NormAttention, "blocks.1.norm_attention"),
            (Part::Qkv, "blocks.1.qkv"),
            (Part::AttentionOut, "blocks.1.attention_out"),
            (Part::NormMlp, "blocks.1.norm_mlp"),
            (Part::MlpIn, "blocks.1.mlp_in"),
            (Part::MlpOut, "blocks.1.mlp_out"),
        ] {
            assert_eq!(name(Flat::part(1, part)), text);
        }
    }

    #[test]
    fn no_number_of_rows_has_more_pieces_than_there_is_room_for() {
        for most in [1_usize, 16, 100, 4096, 9000, 32_768, 40_000, 100_000] {
            for rows in (1..=most).step_by(37).chain([most]) {
                assert!(rows.div_ceil(sum_rows(rows)) <= most_pieces(most), "{rows} of {most} rows");
            }
        }
        assert_eq!([35, 4096, 32_768, 100_000].map(sum_rows), [16, 16, 64, 64]);
    }

    #[test]
    fn logits_of_many_rows_are_cut_evenly() {
        assert_eq!(logit_rows(64, 256, Number::F32), 64);
        assert_eq!(logit_rows(4096, 512, Number::Bf16), 4096);
        let rows = logit_rows(32_768, 50_304, Number::Bf16);
        assert!(rows * 50_304 * 2 <= LOGIT_BYTES + 128 * 50_304 * 2 && rows.is_multiple_of(128), "{rows}");
        assert!(32_768_usize.div_ceil(rows) <= 14, "{rows}");
    }
}

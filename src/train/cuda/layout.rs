//! Where everything lies in the memory of the card: weights one after another in flat buffers, everything else in buffers of
//! its own, and how large some of them are.

use std::cell::{Cell, RefCell};
use std::ops::Range;

use super::gpu::{Address, Gpu, Number, Runs};
use crate::model::Shape;
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
    shapes: Vec<[usize; 2]>,
    len: usize,
}

impl Flat {
    /// The places of the weights of a shape.
    pub fn of(shape: &Shape) -> Self {
        let mut len = 0;
        let place = |[inputs, outputs]: &[usize; 2]| {
            let begin = len;
            len = (begin + inputs * outputs).next_multiple_of(ALIGNMENT);
            begin..begin + inputs * outputs
        };
        let shapes: Vec<[usize; 2]> = shape.weights().into_iter().map(|weight| weight.shape).collect();
        let places = shapes.iter().map(place).collect();
        Self { places, shapes, len }
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

    /// Inputs and outputs of a weight by its number.
    pub fn shape(&self, weight: usize) -> [usize; 2] {
        self.shapes[weight]
    }
}

/// Where memory comes from.
pub trait Room {
    /// So many bytes, all zero.
    fn bytes(&self, bytes: usize) -> Result<Address, TrainError>;

    /// These bytes.
    fn holding(&self, bytes: &[u8]) -> Result<Address, TrainError>;

    /// So many numbers of four bytes, all zero.
    fn words(&self, count: usize) -> Result<Address, TrainError> {
        self.bytes(4 * count)
    }

    /// So many numbers, all zero.
    fn numbers(&self, count: usize, number: Number) -> Result<Address, TrainError> {
        self.bytes(number.bytes() * count)
    }
}

/// No memory at all, for who only wants to know whether there are kernels, or how much memory it would be.
#[derive(Default)]
pub struct Nowhere {
    asked: Cell<usize>,
    lines: Cell<usize>,
}

impl Nowhere {
    /// Bytes that were asked for.
    pub fn taken(&self) -> usize {
        self.asked.get()
    }

    /// The same where each piece begins at a multiple of [`Runs::ALIGNMENT`].
    pub fn in_whole_lines(&self) -> usize {
        self.lines.get()
    }
}

impl Room for Nowhere {
    fn bytes(&self, bytes: usize) -> Result<Address, TrainError> {
        // Who has two pieces has two addresses.
        let at = self.asked.get();
        self.asked.set(at + bytes);
        self.lines.set(self.lines.get() + bytes.next_multiple_of(Runs::ALIGNMENT));
        Ok(1 + at as Address)
    }

    fn holding(&self, bytes: &[u8]) -> Result<Address, TrainError> {
        self.bytes(bytes.len())
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

    /// Bytes of all of it.
    pub fn taken(&self) -> usize {
        self.taken.borrow().iter().map(|(_, bytes)| bytes).sum()
    }
}

impl Room for Arena<'_> {
    fn bytes(&self, bytes: usize) -> Result<Address, TrainError> {
        let at = self.gpu.allocate(bytes)?;
        self.taken.borrow_mut().push((at, bytes));
        Ok(at)
    }

    fn holding(&self, bytes: &[u8]) -> Result<Address, TrainError> {
        let at = self.bytes(bytes.len())?;
        self.gpu.upload(at, bytes)?;
        Ok(at)
    }
}

impl Drop for Arena<'_> {
    fn drop(&mut self) {
        for &(at, _) in self.taken.borrow().iter() {
            self.gpu.free(at);
        }
        // Others have the memory at once, not only when this stream is waited for the next time.
        let _ = self.gpu.synchronize();
    }
}

/// Most pieces of a sum over at most so many rows.
pub fn most_pieces(rows: usize) -> usize {
    // Fewer rows may be cut into more pieces, each as short as may be.
    rows.div_ceil(sum_rows(rows)).max(rows.div_ceil(SUM_ROWS[1]).min(ENOUGH_PIECES))
}

/// Rows of logits at a time: all of them, or as many as fit, cut evenly.
pub fn logit_rows(rows: usize, vocab: usize, number: Number) -> usize {
    let most = (LOGIT_BYTES / (vocab * number.bytes())).max(128);
    let pieces = rows.div_ceil(most);
    rows.div_ceil(pieces).next_multiple_of(128).min(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Parts, Weight};

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
            assert_eq!(flat.shape(number), [*inputs, *outputs], "{name}");
            assert!(place.start >= end && place.start < end + ALIGNMENT, "{name} leaves no hole");
            end = place.end;
        }
        assert_eq!(flat.len(), end.next_multiple_of(ALIGNMENT));
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

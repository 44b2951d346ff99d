//! From what a model's parts compute (`src/model/`) to layers of the card: the parts run once, on tensors that are names of
//! memory, and each operation that the card has kernels for becomes a layer.

use std::cell::{RefCell, RefMut};
use std::ops::Range;

use super::gpu::{Address, Number};
use super::layers::{Activation, Attention, Function, Heads, Later, Linear, Normalized, Source, Stream};
use super::layout::Room;
use super::pass::{Layer, Scratch};
use super::state::Gains;
use super::watch::Watched;
use crate::model::{Norm, Ops, Positions, Shape, Site, Sizes};
use crate::trainer::TrainError;

/// What runs the parts.
pub struct Tracer<'a> {
    sizes: Sizes,
    positions: Positions,
    multipliers: &'a [f32],
    traced: RefCell<Traced<'a>>,
}

/// What they did.
pub struct Traced<'a> {
    room: &'a dyn Room,
    rows: usize,
    number: Number,
    width: usize,
    layers: Vec<Drawn>,
    tensors: Vec<Tensor>,
    watched: Vec<(Site, Seen)>,
    gains: [Vec<usize>; 2],
    scratch: Scratch<'a>,
    /// Gradient of the stream, and what attention's gradient subtracts: one for all layers.
    shared: [Address; 2],
    block: usize,
    lacks: bool,
    failed: Option<TrainError>,
}

/// A model on the card.
pub struct Model {
    /// In their order.
    pub layers: Vec<Box<dyn Layer>>,
    /// Activations that can be watched, each behind the layer of a number.
    pub watched: Vec<(usize, Site, Watched)>,
    /// Weights of the gains of the stream and of those of heads, in the order of their pieces.
    pub gains: [Vec<usize>; 2],
    /// What the last layer gives, and where its gradient lies.
    pub last: [Address; 2],
    /// The weight that makes logits of it, and whether it lies as rows of tokens.
    pub head: (usize, bool),
}

/// A layer. That of the stream may still learn what is done with it.
enum Drawn {
    Stream(Stream),
    Other(Box<dyn Layer>),
}

/// A tensor by its place among all of them.
type Name = usize;

/// A weight by its number.
#[derive(Clone, Copy)]
pub struct Numbered {
    number: usize,
    size: [usize; 2],
}

/// What a tensor is.
#[derive(Clone, Copy)]
enum Tensor {
    /// The stream, before anything reads it.
    Waiting(Source),
    /// The stream, as a layer has it.
    Stream { layer: usize },
    /// Rows that a layer gives, and what is multiplied where they are added to the stream.
    Rows { layer: usize, at: Address, columns: usize, multiplier: f32 },
    /// A weight, perhaps transposed.
    Weight { number: usize, turned: bool },
    /// What the card has no kernels for.
    Unknown,
}

/// What is watched.
enum Seen {
    Tensor(Name),
    Logits { layer: usize, qkv: Address },
}

/// The model of a shape for at most so many rows, or nothing where the card lacks kernels for them.
pub fn model<'a>(
    shape: &Shape,
    (rows, number): (usize, Number),
    multipliers: &'a [f32],
    room: &'a dyn Room,
) -> Result<Option<Model>, TrainError> {
    let sizes = shape.sizes();
    let shared = [room.words(rows * shape.width)?, room.words(rows * shape.heads)?];
    let traced = Traced {
        room,
        rows,
        number,
        width: shape.width,
        layers: Vec::new(),
        tensors: Vec::new(),
        watched: Vec::new(),
        gains: [Vec::new(), Vec::new()],
        scratch: Scratch::new(room, rows, number),
        shared,
        block: 0,
        lacks: false,
        failed: None,
    };
    let tracer = Tracer { sizes, positions: shape.parts.positions, multipliers, traced: RefCell::new(traced) };
    let numbered = |(number, weight): (usize, crate::model::Weight)| Numbered { number, size: weight.shape };
    let weights: Vec<Numbered> = shape.weights().into_iter().enumerate().map(numbered).collect();
    let last = crate::model::hidden(&tracer, shape, &weights);
    let head = crate::model::head(&tracer, shape, &weights);
    tracer.traced.into_inner().finish(last, head)
}

impl Traced<'_> {
    /// A new tensor.
    fn name(&mut self, tensor: Tensor) -> Name {
        self.tensors.push(tensor);
        self.tensors.len() - 1
    }

    /// What there are no kernels for.
    fn lack(&mut self) -> Name {
        self.lacks = true;
        self.name(Tensor::Unknown)
    }

    /// Memory, or the note that there is none.
    fn or_note(&mut self, taken: Result<Address, TrainError>) -> Address {
        taken.unwrap_or_else(|error| {
            self.failed.get_or_insert(error);
            0
        })
    }

    /// Memory for rows of so many columns that are kept until the way back.
    fn kept(&mut self, columns: usize) -> Address {
        let taken = self.room.numbers(self.rows * columns, self.number);
        self.or_note(taken)
    }

    /// So many f32 for each row.
    fn words(&mut self, of_each: usize) -> Address {
        let taken = self.room.words(self.rows * of_each);
        self.or_note(taken)
    }

    /// Adds a layer that gives rows.
    fn gives(&mut self, layer: impl Layer + 'static, at: Address, columns: usize, multiplier: f32) -> Name {
        self.layers.push(Drawn::Other(Box::new(layer)));
        let layer = self.layers.len() - 1;
        self.name(Tensor::Rows { layer, at, columns, multiplier })
    }

    /// Rows that a product or an activation reads: the stream comes out as it is where nothing normalizes it.
    fn rows_of(&mut self, x: Name) -> Option<(Address, usize)> {
        match self.tensors[x] {
            Tensor::Rows { at, columns, .. } => Some((at, columns)),
            Tensor::Waiting(source) => {
                let (layer, out) = self.stream(source, None);
                self.tensors[x] = Tensor::Rows { layer, at: out, columns: self.width, multiplier: 1.0 };
                Some((out, self.width))
            }
            Tensor::Stream { .. } | Tensor::Weight { .. } | Tensor::Unknown => None,
        }
    }

    /// Adds a layer of the stream: its number, and where its output lies.
    fn stream(&mut self, source: Source, norm: Option<Normalized>) -> (usize, Address) {
        let width = self.width;
        let of_each = if norm.is_some_and(|norm| norm.by == Norm::Layer) { 2 } else { 1 };
        let (x, inverse, out) = (self.words(width), self.words(of_each), self.kept(width));
        let (grad_x, gradients) = (self.shared[0], [0; 2]);
        let later = if norm.is_some() { Later::Nothing } else { Later::Output(x) };
        self.layers.push(Drawn::Stream(Stream { source, norm, x, inverse, out, later, width, grad_x, gradients }));
        (self.layers.len() - 1, out)
    }

    /// The stream in f32, to which something is added: its layer is told that it has a gradient from there.
    fn stream_of(&mut self, x: Name) -> Option<Address> {
        let (Tensor::Stream { layer } | Tensor::Rows { layer, .. }) = self.tensors[x] else { return None };
        let normalized_before = matches!(self.tensors[x], Tensor::Stream { .. });
        let width = self.width;
        let whole = match &self.layers[layer] {
            Drawn::Stream(stream) if normalized_before || stream.norm.is_none() => stream.x,
            Drawn::Stream(stream) if self.number == Number::F32 => stream.out,
            Drawn::Stream(_) => self.words(width),
            Drawn::Other(_) => return None,
        };
        if let Drawn::Stream(stream) = &mut self.layers[layer] {
            stream.later = if normalized_before { Later::Stream } else { Later::Output(whole) };
        }
        Some(whole)
    }

    fn normalize(&mut self, x: Name, by: Norm, gain: usize) -> Name {
        let Tensor::Waiting(source) = self.tensors[x] else { return self.lack() };
        let gains = &mut self.gains[Gains::STREAM];
        gains.push(gain);
        let norm = Normalized { by, gain, number: gains.len() - 1 };
        let (layer, at) = self.stream(source, Some(norm));
        self.tensors[x] = Tensor::Stream { layer };
        self.name(Tensor::Rows { layer, at, columns: self.width, multiplier: 1.0 })
    }

    /// A product whose result is `kept`, or only handed on to the stream.
    fn product(&mut self, x: Name, weight: Numbered, kept: bool, (alpha, later): (f32, f32)) -> Name {
        let Some((x, _)) = self.rows_of(x) else { return self.lack() };
        let Numbered { number, size } = weight;
        let out = if kept {
            self.kept(size[1])
        } else {
            let taken = self.scratch.beside(0, size[1]);
            self.or_note(taken)
        };
        self.gives(Linear { weight: number, size, alpha, x, out, gradients: [0; 2] }, out, size[1], later)
    }

    fn activate(&mut self, x: Name, function: Function) -> Name {
        let Some(x) = self.rows_of(x) else { return self.lack() };
        let columns = function.columns(x.1);
        let y = self.kept(columns);
        self.gives(Activation { function, x, y, gradients: [0; 2] }, y, columns, 1.0)
    }

    /// All layers with the places of their gradients.
    fn finish(mut self, last: Name, head: Name) -> Result<Option<Model>, TrainError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let (Tensor::Rows { at: last, .. }, Tensor::Weight { number, turned }) =
            (self.tensors[last], self.tensors[head])
        else {
            return Ok(None);
        };
        if self.lacks {
            return Ok(None);
        }
        let watched = self.watched.iter().filter_map(|(site, seen)| self.watched(*site, seen)).collect();
        let boxed = |drawn| match drawn {
            Drawn::Stream(stream) => Box::new(stream) as Box<dyn Layer>,
            Drawn::Other(layer) => layer,
        };
        let mut layers: Vec<Box<dyn Layer>> = self.layers.into_iter().map(boxed).collect();
        let of_last = self.scratch.beside(0, self.width)?;
        let mut gradient = of_last;
        for layer in layers.iter_mut().rev() {
            gradient = layer.place_gradients(gradient, &mut self.scratch)?;
        }
        Ok(Some(Model { layers, watched, gains: self.gains, last: [last, of_last], head: (number, turned) }))
    }

    /// What is seen at a site, and behind which layer.
    fn watched(&self, site: Site, seen: &Seen) -> Option<(usize, Site, Watched)> {
        match *seen {
            Seen::Logits { layer, qkv } => Some((layer, site, Watched::Logits(qkv))),
            Seen::Tensor(name) => match self.tensors[name] {
                Tensor::Rows { layer, at, columns, .. } => {
                    Some((layer, site, Watched::Numbers(at, self.number, columns)))
                }
                Tensor::Stream { layer } => match &self.layers[layer] {
                    Drawn::Stream(stream) => Some((layer, site, Watched::Numbers(stream.x, Number::F32, self.width))),
                    Drawn::Other(_) => None,
                },
                Tensor::Waiting(_) | Tensor::Weight { .. } | Tensor::Unknown => None,
            },
        }
    }
}

impl<'a> Tracer<'a> {
    fn traced(&self) -> RefMut<'_, Traced<'a>> {
        self.traced.borrow_mut()
    }

    fn lack(&self) -> Name {
        self.traced().lack()
    }
}

impl Ops for Tracer<'_> {
    type Tensor = Name;
    type Weight = Numbered;

    fn sizes(&self) -> &Sizes {
        &self.sizes
    }

    fn embed(&self, weight: &Numbered) -> Name {
        let table = (weight.number, self.multipliers[weight.number]);
        self.traced().name(Tensor::Waiting(Source::Embedding { table, positions: None }))
    }

    fn linear(&self, x: Name, weight: &Numbered) -> Name {
        self.traced().product(x, *weight, true, (self.multipliers[weight.number], 1.0))
    }

    fn product(&self, x: Name, weight: &Numbered) -> Name {
        self.traced().product(x, *weight, false, (1.0, self.multipliers[weight.number]))
    }

    fn add_branch(&self, x: Name, branch: Name) -> Name {
        let mut traced = self.traced();
        let Tensor::Rows { at: branch, multiplier, .. } = traced.tensors[branch] else { return traced.lack() };
        let Some(before) = traced.stream_of(x) else { return traced.lack() };
        traced.name(Tensor::Waiting(Source::Added { before, branch, multiplier }))
    }

    fn values(&self, weight: &Numbered) -> Name {
        self.traced().name(Tensor::Weight { number: weight.number, turned: false })
    }

    fn rms_norm(&self, x: Name, gain: &Numbered) -> Name {
        self.traced().normalize(x, Norm::Rms, gain.number)
    }

    fn layer_norm(&self, x: Name, gain: &Numbered) -> Name {
        self.traced().normalize(x, Norm::Layer, gain.number)
    }

    fn gelu(&self, x: Name) -> Name {
        self.traced().activate(x, Function::GELU)
    }

    fn squared_relu(&self, x: Name) -> Name {
        self.traced().activate(x, Function::SQUARED_RELU)
    }

    fn gated_silu(&self, x: Name) -> Name {
        self.traced().activate(x, Function::GATED_SILU)
    }

    fn gated_gelu(&self, x: Name, _: usize) -> Name {
        self.traced().activate(x, Function::GATED_GELU)
    }

    fn gated(&self, x: Name, _: usize) -> Name {
        self.traced().activate(x, Function::GATED)
    }

    fn heads(&self, packed: Name, gains: &[Numbered]) -> Name {
        let mut traced = self.traced();
        let Some((packed, _)) = traced.rows_of(packed) else { return traced.lack() };
        let Sizes { heads, kv_sharing, width, .. } = self.sizes;
        let sizes = [heads, heads / kv_sharing, self.sizes.head_dim()];
        let gains = match gains {
            [query, key] => {
                let of_heads = &mut traced.gains[Gains::HEADS];
                of_heads.extend([query.number, key.number]);
                Some(([query.number, key.number], of_heads.len() - 2))
            }
            _ => None,
        };
        let inverses = if gains.is_some() { traced.words(sizes[0] + sizes[1]) } else { 0 };
        let qkv = traced.kept(3 * width);
        traced.gives(Heads { sizes, gains, packed, inverses, qkv, gradients: [0; 2] }, qkv, 3 * width, 1.0)
    }

    fn attention(&self, qkv: Name) -> Name {
        let (mut traced, width) = (self.traced(), self.sizes.width);
        let Some((qkv, _)) = traced.rows_of(qkv) else { return traced.lack() };
        let (mixed, denominators) = (traced.kept(width), traced.words(self.sizes.heads));
        let site = Site::AttentionLogits(traced.block);
        let layer = traced.layers.len();
        traced.watched.push((site, Seen::Logits { layer, qkv }));
        let turns = self.positions == Positions::Rotary;
        let deltas = traced.shared[1];
        let attention = Attention { turns, qkv, mixed, denominators, deltas, width, gradients: [0; 2] };
        traced.gives(attention, mixed, width, 1.0)
    }

    fn lstm(&self, _: Name, _: &Numbered) -> Name {
        self.lack()
    }

    fn forgetting_mean(&self, _: Name) -> Name {
        self.lack()
    }

    fn add_positions(&self, x: Name, weight: &Numbered) -> Name {
        let mut traced = self.traced();
        let Tensor::Waiting(Source::Embedding { table, positions: None }) = traced.tensors[x] else {
            return traced.lack();
        };
        let positions = Some((weight.number, self.multipliers[weight.number]));
        traced.name(Tensor::Waiting(Source::Embedding { table, positions }))
    }

    fn transposed(&self, weight: &Numbered) -> Name {
        self.traced().name(Tensor::Weight { number: weight.number, turned: true })
    }

    fn columns(&self, _: &Name, _: Range<usize>) -> Name {
        self.lack()
    }

    fn concat(&self, _: Vec<Name>) -> Name {
        self.lack()
    }

    fn fold(&self, _: Name, _: usize) -> Name {
        self.lack()
    }

    fn add(&self, _: Name, _: Name) -> Name {
        self.lack()
    }

    fn multiply(&self, _: Name, _: Name) -> Name {
        self.lack()
    }

    fn softmax(&self, _: Name) -> Name {
        self.lack()
    }

    fn largest(&self, _: &Name, _: usize) -> Vec<Vec<usize>> {
        Vec::new()
    }

    fn kept_shares(&self, _: Name, _: &[Vec<usize>]) -> Name {
        self.lack()
    }

    fn pick(&self, _: &Name, _: &[usize]) -> Name {
        self.lack()
    }

    fn gather(&self, _: Vec<(Vec<usize>, Name)>) -> Name {
        self.lack()
    }

    fn penalize(&self, _: &Name, _: &[f64]) {}

    fn enter(&self, block: usize) {
        self.traced().block = block;
    }

    fn watch(&self, site: fn(usize) -> Site, x: &Name) {
        let mut traced = self.traced();
        let site = site(traced.block);
        traced.watched.push((site, Seen::Tensor(*x)));
    }
}

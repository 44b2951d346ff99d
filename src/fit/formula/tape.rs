//! A formula over rows of data as a list of operations, evaluated for many rows at once, with exact derivatives by every
//! unknown: forwards for the values, backwards for the slopes (reverse accumulation, Linnainmaa 1976).
//!
//! What depends on columns alone is computed once. A power of such a base is an exponential of its logarithm.

use std::ops::Range;

use super::data::Data;
use super::error::FormulaError;
use super::parse::{Function, Kind, Operator, Tree};

/// Rows that go through the operations together; their values stay in the first cache.
const LANES: usize = 64;

/// One operation on the results of earlier ones.
#[derive(Clone, Copy, Debug)]
enum Op {
    Number(f64),
    /// A column of what depends on data alone.
    Fixed(usize),
    /// An unknown; where it has groups, the first of its values and the column of groups.
    Unknown(usize, Option<usize>),
    Negate(usize),
    Add(usize, usize),
    Subtract(usize, usize),
    Multiply(usize, usize),
    Divide(usize, usize),
    Power(usize, usize),
    /// A power by a number.
    Raise(usize, f64),
    Exp(usize),
    /// A logarithm, by what the natural one is multiplied with.
    Log(usize, f64),
    Sqrt(usize),
    Abs(usize),
    Tanh(usize),
    Min(usize, usize),
    Max(usize, usize),
}

/// What an unknown is called on the tape: its first place among the values, and the index that it has.
pub(super) struct Slot {
    pub(super) name: String,
    pub(super) index: Option<String>,
    pub(super) first: usize,
}

/// The operations of a formula over the rows of a table.
pub(super) struct Tape {
    ops: Vec<Op>,
    places: Vec<Range<usize>>,
    fixed: Vec<Vec<f64>>,
    groups: Vec<Vec<u32>>,
    group_names: Vec<String>,
    rows: usize,
    unknowns: usize,
}

/// A part of the formula while it is written onto the tape.
enum Part {
    Number(f64),
    Fixed(Vec<f64>),
    Live(usize),
}

impl Tape {
    /// Writes a formula onto a tape. Every name is a column of `data` or among `slots`, which hold `unknowns` values.
    pub(super) fn new(
        text: &str,
        tree: &Tree,
        slots: &[Slot],
        unknowns: usize,
        data: &Data,
    ) -> Result<Self, FormulaError> {
        let mut tape = Self {
            ops: Vec::new(),
            places: Vec::new(),
            fixed: Vec::new(),
            groups: Vec::new(),
            group_names: Vec::new(),
            rows: data.len(),
            unknowns,
        };
        let root = tape.write(text, tree, slots, data)?;
        tape.live(root, &tree.place);
        Ok(tape)
    }

    fn write(&mut self, text: &str, tree: &Tree, slots: &[Slot], data: &Data) -> Result<Part, FormulaError> {
        let mut parts = Vec::with_capacity(2);
        for argument in &tree.arguments {
            parts.push(self.write(text, argument, slots, data)?);
        }
        match &tree.kind {
            Kind::Number(value) => Ok(Part::Number(*value)),
            Kind::Name { name, index } => self.name(text, tree, (name, index.as_ref()), slots, data),
            kind => self.operate(text, tree, kind, parts),
        }
    }

    fn name(
        &mut self,
        text: &str,
        tree: &Tree,
        (name, index): (&String, Option<&String>),
        slots: &[Slot],
        data: &Data,
    ) -> Result<Part, FormulaError> {
        let unknown = slots.iter().find(|slot| slot.name == *name && slot.index.as_ref() == index);
        match (unknown, data.columns.get(name)) {
            (Some(slot), _) => {
                let group = index.and_then(|index| data.groups.get(index).map(|grouping| (index, grouping)));
                let group = group.map(|(index, grouping)| self.group(index, &grouping.of));
                Ok(Part::Live(self.push(Op::Unknown(slot.first, group), &tree.place)))
            }
            (None, Some(values)) => Ok(Part::Fixed(values.clone())),
            (None, None) => {
                Err(FormulaError::new(text, tree.place.clone(), format!("'{name}' is neither a column nor an unknown")))
            }
        }
    }

    fn group(&mut self, name: &str, of: &[u32]) -> usize {
        let known = self.group_names.iter().position(|known| known == name);
        known.unwrap_or_else(|| {
            self.group_names.push(name.to_owned());
            self.groups.push(of.to_vec());
            self.groups.len() - 1
        })
    }

    fn push(&mut self, op: Op, place: &Range<usize>) -> usize {
        self.ops.push(op);
        self.places.push(place.clone());
        self.ops.len() - 1
    }

    /// A part as an operation.
    fn live(&mut self, part: Part, place: &Range<usize>) -> usize {
        match part {
            Part::Live(at) => at,
            Part::Number(value) => self.push(Op::Number(value), place),
            Part::Fixed(values) => {
                self.fixed.push(values);
                self.push(Op::Fixed(self.fixed.len() - 1), place)
            }
        }
    }

    /// An operation on parts: done at once where they are known.
    fn operate(&mut self, text: &str, tree: &Tree, kind: &Kind, parts: Vec<Part>) -> Result<Part, FormulaError> {
        if parts.iter().any(|part| matches!(part, Part::Live(_))) {
            return self.operate_live(text, tree, kind, parts);
        }
        let apply = |values: [f64; 2]| plain(kind, values);
        let numbers: Option<Vec<f64>> =
            parts.iter().map(|part| if let Part::Number(value) = part { Some(*value) } else { None }).collect();
        if let Some(numbers) = numbers {
            let value = apply([numbers[0], numbers.get(1).copied().unwrap_or(0.0)]);
            if !value.is_finite() {
                return Err(FormulaError::new(text, tree.place.clone(), format!("this is {value}, not a number")));
            }
            return Ok(Part::Number(value));
        }
        let at = |part: &Part, row: usize| match part {
            Part::Fixed(values) => values[row],
            Part::Number(value) => *value,
            Part::Live(_) => f64::NAN,
        };
        if *kind == Kind::Operator(Operator::Divide) {
            refuse_zero(text, &tree.arguments[1], &parts[1])?;
        }
        let value = |row| apply([at(&parts[0], row), parts.get(1).map_or(0.0, |part| at(part, row))]);
        let values: Vec<f64> = (0..self.rows).map(value).collect();
        if let Some(row) = values.iter().position(|value| !value.is_finite()) {
            let given: Vec<String> = parts.iter().map(|part| format!("{}", at(part, row))).collect();
            let what = format!("this is {} in row {} of the data, from {}", values[row], row + 1, given.join(" and "));
            return Err(FormulaError::new(text, tree.place.clone(), what));
        }
        Ok(Part::Fixed(values))
    }

    fn operate_live(&mut self, text: &str, tree: &Tree, kind: &Kind, parts: Vec<Part>) -> Result<Part, FormulaError> {
        let place = &tree.place;
        if *kind == Kind::Operator(Operator::Divide) {
            refuse_zero(text, &tree.arguments[1], &parts[1])?;
        }
        let mut parts = parts.into_iter();
        let (first, second) = (parts.next().unwrap_or(Part::Number(0.0)), parts.next());
        let op = match (kind, first, second) {
            (Kind::Operator(Operator::Power), base @ (Part::Fixed(_) | Part::Number(_)), Some(Part::Live(power))) => {
                return self.exponential(text, tree, base, power);
            }
            (Kind::Operator(Operator::Power), Part::Live(base), Some(Part::Number(power))) => Op::Raise(base, power),
            (Kind::Function(Function::Min | Function::Max) | Kind::Operator(_), first, Some(second)) => {
                let (a, b) = (self.live(first, place), self.live(second, place));
                match kind {
                    Kind::Operator(Operator::Add) => Op::Add(a, b),
                    Kind::Operator(Operator::Subtract) => Op::Subtract(a, b),
                    Kind::Operator(Operator::Multiply) => Op::Multiply(a, b),
                    Kind::Operator(Operator::Divide) => Op::Divide(a, b),
                    Kind::Operator(Operator::Power) => Op::Power(a, b),
                    Kind::Function(Function::Min) => Op::Min(a, b),
                    _ => Op::Max(a, b),
                }
            }
            (_, first, _) => {
                let a = self.live(first, place);
                match kind {
                    Kind::Function(Function::Exp) => Op::Exp(a),
                    Kind::Function(Function::Ln) => Op::Log(a, 1.0),
                    Kind::Function(Function::Log2) => Op::Log(a, std::f64::consts::LOG2_E),
                    Kind::Function(Function::Log10) => Op::Log(a, std::f64::consts::LOG10_E),
                    Kind::Function(Function::Sqrt) => Op::Sqrt(a),
                    Kind::Function(Function::Abs) => Op::Abs(a),
                    Kind::Function(Function::Tanh) => Op::Tanh(a),
                    _ => Op::Negate(a),
                }
            }
        };
        Ok(Part::Live(self.push(op, place)))
    }

    /// A power of a base that is known.
    fn exponential(&mut self, text: &str, tree: &Tree, base: Part, power: usize) -> Result<Part, FormulaError> {
        let wrong = |value: f64, row: usize| {
            let what = format!(
                "an unknown power of {value} (row {} of the data) is no number: the base must be above zero",
                row + 1
            );
            FormulaError::new(text, tree.arguments[0].place.clone(), what)
        };
        let logarithm = match base {
            Part::Number(value) if value > 0.0 => Part::Number(value.ln()),
            Part::Fixed(values) => match values.iter().position(|value| *value <= 0.0) {
                Some(row) => return Err(wrong(values[row], row)),
                None => Part::Fixed(values.iter().map(|value| value.ln()).collect()),
            },
            Part::Number(value) => return Err(wrong(value, 0)),
            Part::Live(_) => return Ok(Part::Live(power)),
        };
        let logarithm = self.live(logarithm, &tree.place);
        let product = self.push(Op::Multiply(power, logarithm), &tree.place);
        Ok(Part::Live(self.push(Op::Exp(product), &tree.place)))
    }

    /// Values of the formula for all rows; `slopes`, where given, gets the derivative by each unknown, one vector each.
    pub(super) fn run(&self, unknowns: &[f64], values: &mut Vec<f64>, slopes: Option<&mut [Vec<f64>]>) {
        let mut work = vec![0.0; self.ops.len() * LANES];
        let mut back = vec![0.0; if slopes.is_some() { work.len() } else { 0 }];
        values.clear();
        let mut slopes = slopes;
        if let Some(slopes) = slopes.as_deref_mut() {
            slopes.iter_mut().for_each(|slope| {
                slope.clear();
                slope.resize(self.rows, 0.0);
            });
        }
        let mut from = 0;
        while from < self.rows {
            let lanes = LANES.min(self.rows - from);
            for at in 0..self.ops.len() {
                self.forward(at, unknowns, from, lanes, &mut work);
            }
            let last = (self.ops.len() - 1) * LANES;
            values.extend_from_slice(&work[last..last + lanes]);
            if let Some(slopes) = slopes.as_deref_mut() {
                back.fill(0.0);
                back[last..last + lanes].fill(1.0);
                for at in (0..self.ops.len()).rev() {
                    self.backward(at, from, lanes, &work, &mut back, slopes);
                }
            }
            from += lanes;
        }
    }

    fn forward(&self, at: usize, unknowns: &[f64], from: usize, lanes: usize, work: &mut [f64]) {
        let (before, rest) = work.split_at_mut(at * LANES);
        let out = &mut rest[..lanes];
        let of = |k: usize| &before[k * LANES..k * LANES + lanes];
        let one = |out: &mut [f64], a: usize, f: &dyn Fn(f64) -> f64| {
            out.iter_mut().zip(of(a)).for_each(|(out, a)| *out = f(*a));
        };
        match self.ops[at] {
            Op::Number(value) => out.fill(value),
            Op::Fixed(column) => out.copy_from_slice(&self.fixed[column][from..from + lanes]),
            Op::Unknown(first, None) => out.fill(unknowns[first]),
            Op::Unknown(first, Some(group)) => {
                let groups = &self.groups[group][from..from + lanes];
                out.iter_mut().zip(groups).for_each(|(out, group)| *out = unknowns[first + *group as usize]);
            }
            Op::Negate(a) => out.iter_mut().zip(of(a)).for_each(|(out, a)| *out = -a),
            Op::Add(a, b) => pairs(out, of(a), of(b), |a, b| a + b),
            Op::Subtract(a, b) => pairs(out, of(a), of(b), |a, b| a - b),
            Op::Multiply(a, b) => pairs(out, of(a), of(b), |a, b| a * b),
            Op::Divide(a, b) => pairs(out, of(a), of(b), |a, b| a / b),
            Op::Power(a, b) => pairs(out, of(a), of(b), f64::powf),
            Op::Min(a, b) => pairs(out, of(a), of(b), f64::min),
            Op::Max(a, b) => pairs(out, of(a), of(b), f64::max),
            Op::Raise(a, power) => one(out, a, &|a| a.powf(power)),
            Op::Exp(a) => one(out, a, &f64::exp),
            Op::Log(a, factor) => one(out, a, &|a| factor * a.ln()),
            Op::Sqrt(a) => one(out, a, &f64::sqrt),
            Op::Abs(a) => one(out, a, &f64::abs),
            Op::Tanh(a) => one(out, a, &f64::tanh),
        }
    }

    /// Adds to the slopes of the operands what an operation has of its own.
    fn backward(&self, at: usize, from: usize, lanes: usize, work: &[f64], back: &mut [f64], slopes: &mut [Vec<f64>]) {
        let (before, rest) = back.split_at_mut(at * LANES);
        let own = &rest[..lanes];
        let value = |k: usize| &work[k * LANES..k * LANES + lanes];
        let mut add = |k: usize, f: &dyn Fn(usize) -> f64| {
            let to = &mut before[k * LANES..k * LANES + lanes];
            to.iter_mut().zip(own).enumerate().for_each(|(lane, (to, own))| {
                // Nothing flows where nothing is asked, whatever the slope would be.
                if *own != 0.0 {
                    *to += own * f(lane);
                }
            });
        };
        let out = value(at);
        match self.ops[at] {
            Op::Number(_) | Op::Fixed(_) => {}
            Op::Unknown(first, None) => {
                slopes[first][from..from + lanes].iter_mut().zip(own).for_each(|(slope, own)| *slope += own);
            }
            Op::Unknown(first, Some(group)) => {
                for (lane, own) in own.iter().enumerate() {
                    slopes[first + self.groups[group][from + lane] as usize][from + lane] += own;
                }
            }
            Op::Negate(a) => add(a, &|_| -1.0),
            Op::Add(a, b) => [a, b].iter().for_each(|k| add(*k, &|_| 1.0)),
            Op::Subtract(a, b) => [(a, 1.0), (b, -1.0)].iter().for_each(|(k, sign)| add(*k, &|_| *sign)),
            Op::Multiply(a, b) => {
                add(a, &|lane| value(b)[lane]);
                add(b, &|lane| value(a)[lane]);
            }
            Op::Divide(a, b) => {
                add(a, &|lane| 1.0 / value(b)[lane]);
                add(b, &|lane| -out[lane] / value(b)[lane]);
            }
            Op::Power(a, b) => {
                add(a, &|lane| value(b)[lane] * value(a)[lane].powf(value(b)[lane] - 1.0));
                add(b, &|lane| if out[lane] == 0.0 { 0.0 } else { out[lane] * value(a)[lane].ln() });
            }
            Op::Raise(a, power) => add(a, &|lane| power * value(a)[lane].powf(power - 1.0)),
            Op::Exp(a) => add(a, &|lane| out[lane]),
            Op::Log(a, factor) => add(a, &|lane| factor / value(a)[lane]),
            Op::Sqrt(a) => add(a, &|lane| 0.5 / out[lane]),
            Op::Abs(a) => add(a, &|lane| value(a)[lane].signum()),
            Op::Tanh(a) => add(a, &|lane| 1.0 - out[lane] * out[lane]),
            Op::Min(a, b) => {
                add(a, &|lane| share(value(a)[lane] <= value(b)[lane]));
                add(b, &|lane| share(value(a)[lane] > value(b)[lane]));
            }
            Op::Max(a, b) => {
                add(a, &|lane| share(value(a)[lane] >= value(b)[lane]));
                add(b, &|lane| share(value(a)[lane] < value(b)[lane]));
            }
        }
    }

    /// The first place whose value is no finite number, with the row; nothing where all are.
    pub(super) fn breaks(&self, unknowns: &[f64]) -> Option<(Range<usize>, usize)> {
        let mut work = vec![0.0; self.ops.len() * LANES];
        for from in (0..self.rows).step_by(LANES) {
            let lanes = LANES.min(self.rows - from);
            for at in 0..self.ops.len() {
                self.forward(at, unknowns, from, lanes, &mut work);
                let out = &work[at * LANES..at * LANES + lanes];
                if let Some(lane) = out.iter().position(|value| !value.is_finite()) {
                    return Some((self.places[at].clone(), from + lane));
                }
            }
        }
        None
    }

    /// Number of unknowns, those of groups counted one by one.
    pub(super) fn unknowns(&self) -> usize {
        self.unknowns
    }
}

/// The slope by an operand that is taken, or is not.
fn share(is_taken: bool) -> f64 {
    f64::from(u8::from(is_taken))
}

fn pairs(out: &mut [f64], a: &[f64], b: &[f64], f: impl Fn(f64, f64) -> f64) {
    out.iter_mut().zip(a.iter().zip(b)).for_each(|(out, (a, b))| *out = f(*a, *b));
}

/// An operation on numbers.
fn plain(kind: &Kind, [a, b]: [f64; 2]) -> f64 {
    match kind {
        Kind::Number(value) => *value,
        Kind::Name { .. } | Kind::Call(_) => f64::NAN,
        Kind::Minus => -a,
        Kind::Operator(Operator::Add) => a + b,
        Kind::Operator(Operator::Subtract) => a - b,
        Kind::Operator(Operator::Multiply) => a * b,
        Kind::Operator(Operator::Divide) => a / b,
        Kind::Operator(Operator::Power) => a.powf(b),
        Kind::Function(Function::Exp) => a.exp(),
        Kind::Function(Function::Ln) => a.ln(),
        Kind::Function(Function::Log2) => a.log2(),
        Kind::Function(Function::Log10) => a.log10(),
        Kind::Function(Function::Sqrt) => a.sqrt(),
        Kind::Function(Function::Abs) => a.abs(),
        Kind::Function(Function::Tanh) => a.tanh(),
        Kind::Function(Function::Min) => a.min(b),
        Kind::Function(Function::Max) => a.max(b),
    }
}

/// A division by data that are zero in a row, or that cross zero between rows.
fn refuse_zero(text: &str, divisor: &Tree, part: &Part) -> Result<(), FormulaError> {
    let values = match part {
        Part::Number(value) => std::slice::from_ref(value),
        Part::Fixed(values) => &values[..],
        Part::Live(_) => return Ok(()),
    };
    let what = if let Some(row) = values.iter().position(|value| *value == 0.0) {
        format!("a division by zero in row {} of the data", row + 1)
    } else if values.iter().any(|value| *value < 0.0) && values.iter().any(|value| *value > 0.0) {
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let greatest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        format!("a division by what goes through zero within the data, from {least:.4e} to {greatest:.4e}")
    } else {
        return Ok(());
    };
    Err(FormulaError::new(text, divisor.place.clone(), what))
}

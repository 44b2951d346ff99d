//! The unknowns of a formula: their bounds and starts, which must be positive, and in which the law is linear.

use std::ops::Range;

use super::error::FormulaError;
use super::parse::{Function, Kind, Operator, Tree};

/// A number that a fit looks for.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::struct_excessive_bools)] // Each is a property by itself.
pub struct Unknown {
    /// Its name.
    pub name: String,
    /// The column by whose values it differs, where it has an index.
    pub index: Option<String>,
    /// Where it first stands in the formula.
    pub place: Range<usize>,
    /// Least value, infinite where it has none.
    pub low: f64,
    /// Greatest value, likewise.
    pub high: f64,
    /// Values to start from, where they were said.
    pub starts: Vec<f64>,
    /// Whether it is 1 in the first group, and relative to it in the others.
    pub relative: bool,
    /// Whether the law is linear in it, with the others that say so.
    pub(super) linear: bool,
    /// Whether it multiplies something with unknowns of its own: it keeps its sign, and moves by factors.
    pub(super) coefficient: bool,
    /// Whether it stands in an exponent over data.
    pub(super) exponent: bool,
}

/// What is said of an unknown: `alpha in 0..2`, `A > 0`, `q any`, `k = 0.5`, `alpha in 0..2 from 0.2,0.4`.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// The unknown.
    pub name: String,
    /// Its bounds, where they were said.
    pub bounds: Option<(f64, f64)>,
    /// Whether it is 1 in the first group.
    pub relative: bool,
    /// Where to start.
    pub starts: Vec<f64>,
}

impl Asked {
    /// Reads one.
    pub fn parse(text: &str) -> Result<Self, String> {
        let usage = "write NAME in LOW..HIGH, NAME > 0, NAME any, NAME = VALUE, or NAME relative for 1 in the first group; where to start is `from 0.1,0.5` behind it";
        let wrong = |what: String| format!("'{text}': {what}; {usage}");
        let number = |word: &str| {
            let value: Option<f64> = word.trim().parse().ok();
            value.filter(|value| !value.is_nan()).ok_or_else(|| wrong(format!("'{}' is not a number", word.trim())))
        };
        let (rest, starts) = match text.split_once(" from ") {
            Some((rest, list)) => (rest, list.split(',').map(number).collect::<Result<Vec<f64>, _>>()?),
            None => (text, Vec::new()),
        };
        let rest = rest.trim();
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.')).unwrap_or(rest.len());
        let (name, rest) = (rest[..end].to_owned(), rest[end..].trim());
        let relative = rest == "relative";
        let bounds = if relative {
            Some((0.0, f64::INFINITY))
        } else if let Some(range) = rest.strip_prefix("in ") {
            let (low, high) = range.split_once("..").ok_or_else(|| wrong("a range has two dots".to_owned()))?;
            if high.starts_with('.') {
                return Err(wrong("a range has two dots, and a number begins with a digit".to_owned()));
            }
            Some((number(low)?, number(high)?))
        } else if let Some(value) = rest.strip_prefix('=') {
            let value = number(value)?;
            Some((value, value))
        } else if let Some(low) = rest.strip_prefix('>') {
            Some((number(low)?, f64::INFINITY))
        } else if let Some(high) = rest.strip_prefix('<') {
            Some((f64::NEG_INFINITY, number(high)?))
        } else if rest == "any" {
            Some((f64::NEG_INFINITY, f64::INFINITY))
        } else if rest.is_empty() && !name.is_empty() {
            None
        } else {
            return Err(wrong(format!("'{rest}' is not understood")));
        };
        if let Some((low, high)) = bounds.filter(|(low, high)| low > high) {
            return Err(wrong(format!("{low} is above {high}")));
        }
        if let (Some((low, high)), Some(outside)) =
            (bounds, starts.iter().find(|start| bounds.is_some_and(|(low, high)| **start < low || **start > high)))
        {
            return Err(wrong(format!("the start {outside} is not within {low}..{high}")));
        }
        Ok(Self { name, bounds, relative, starts })
    }
}

/// The unknowns of a tree, in the order in which they first stand.
pub(super) fn find(
    text: &str,
    tree: &Tree,
    is_column: &dyn Fn(&str) -> bool,
    asked: &[Asked],
) -> Result<Vec<Unknown>, FormulaError> {
    let mut found = names(text, tree, is_column)?;
    mark_positive(tree, &mut found);
    mark_linear(tree, &mut found);
    mark_exponents(tree, &mut found);
    for asked in asked {
        let name = &asked.name;
        let Some(unknown) = found.iter_mut().find(|unknown| unknown.name == *name) else {
            let known = found.iter().map(|unknown| unknown.name.as_str()).collect::<Vec<_>>().join(", ");
            let what = if is_column(name) {
                format!("--unknown {name}: this is a column of the table")
            } else {
                format!("--unknown {name}: the formula has no such unknown; it has {known}")
            };
            return Err(FormulaError::new(text, tree.place.clone(), what));
        };
        if asked.relative && unknown.index.is_none() {
            let what = format!("--unknown {name} relative: only an unknown with an index has groups to be relative to");
            return Err(FormulaError::new(text, unknown.place.clone(), what));
        }
        unknown.take(asked);
    }
    Ok(found)
}

/// The names that are no columns.
fn names(text: &str, tree: &Tree, is_column: &dyn Fn(&str) -> bool) -> Result<Vec<Unknown>, FormulaError> {
    let mut found: Vec<Unknown> = Vec::new();
    let mut wrong = None;
    tree.walk(&mut |node| {
        let Kind::Name { name, index } = &node.kind else { return };
        let mut refuse = |what: String| _ = wrong.get_or_insert(FormulaError::new(text, node.place.clone(), what));
        let known = found.iter().find(|known| known.name == *name);
        match known {
            _ if is_column(name) && index.is_some() => {
                refuse(format!("'{name}' is a column, and an index belongs to an unknown"));
            }
            _ if is_column(name) => {}
            Some(known) if known.index != *index => {
                refuse(format!("'{name}' has another index elsewhere: give one of them another name"));
            }
            Some(_) => {}
            None => found.push(Unknown::named(name, index.as_ref(), &node.place)),
        }
    });
    wrong.map_or(Ok(found), Err)
}

impl Unknown {
    /// One of which nothing is said.
    fn named(name: &str, index: Option<&String>, place: &Range<usize>) -> Self {
        Self {
            name: name.to_owned(),
            index: index.cloned(),
            place: place.clone(),
            low: f64::NEG_INFINITY,
            high: f64::INFINITY,
            starts: Vec::new(),
            relative: false,
            linear: false,
            coefficient: false,
            exponent: false,
        }
    }

    /// What was said of it.
    fn take(&mut self, asked: &Asked) {
        if let Some((low, high)) = asked.bounds {
            (self.low, self.high) = (low, high);
        }
        if !asked.starts.is_empty() {
            self.starts.clone_from(&asked.starts);
        }
        self.relative |= asked.relative;
    }
}

fn place_of(found: &[Unknown], node: &Tree) -> Option<usize> {
    let Kind::Name { name, .. } = &node.kind else { return None };
    found.iter().position(|unknown| unknown.name == *name)
}

fn contains(found: &[Unknown], node: &Tree, is: &dyn Fn(&Unknown) -> bool) -> bool {
    let mut seen = false;
    node.walk(&mut |node| seen |= place_of(found, node).is_some_and(|at| is(&found[at])));
    seen
}

/// Marks what a power or a logarithm needs above zero.
fn mark_positive(tree: &Tree, found: &mut [Unknown]) {
    let mut needs: Vec<usize> = Vec::new();
    tree.walk(&mut |node| {
        let whole = |exponent: &Tree| matches!(exponent.kind, Kind::Number(value) if value.fract() == 0.0);
        match &node.kind {
            Kind::Operator(Operator::Power) if !whole(&node.arguments[1]) => {
                factors(&node.arguments[0], found, &mut needs);
            }
            Kind::Function(Function::Ln | Function::Log2 | Function::Log10 | Function::Sqrt) => {
                factors(&node.arguments[0], found, &mut needs);
            }
            _ => {}
        }
    });
    for at in needs {
        found[at].low = 0.0;
    }
}

/// The unknowns of a product or sum, all of which are above zero where the whole must be.
fn factors(node: &Tree, found: &[Unknown], needs: &mut Vec<usize>) {
    use Operator::{Add, Divide, Multiply};
    match &node.kind {
        Kind::Name { .. } => needs.extend(place_of(found, node)),
        Kind::Operator(Add | Multiply | Divide) | Kind::Function(Function::Min | Function::Max) => {
            node.arguments.iter().for_each(|argument| factors(argument, found, needs));
        }
        _ => {}
    }
}

/// Marks unknowns in which the law is linear all at once, and those of them that multiply other unknowns.
fn mark_linear(tree: &Tree, found: &mut [Unknown]) {
    let mut linear: Vec<bool> = vec![true; found.len()];
    restrict(tree, found, &mut linear);
    for (unknown, linear) in found.iter_mut().zip(linear) {
        unknown.linear = linear;
    }
    let mut coefficients = Vec::new();
    tree.walk(&mut |node| {
        if let (Kind::Operator(Operator::Multiply | Operator::Divide), [left, right]) =
            (&node.kind, &node.arguments[..])
        {
            for (one, other) in [(left, right), (right, left)] {
                if contains(found, other, &|unknown| !unknown.linear) {
                    one.walk(&mut |node| coefficients.extend(place_of(found, node)));
                }
            }
        }
    });
    for at in coefficients {
        found[at].coefficient = found[at].linear;
    }
}

/// Takes out of `linear` what a node makes otherwise.
fn restrict(node: &Tree, found: &[Unknown], linear: &mut [bool]) {
    node.arguments.iter().for_each(|argument| restrict(argument, found, linear));
    let mut strike = |part: &Tree| {
        part.walk(&mut |node| {
            if let Some(at) = place_of(found, node) {
                linear[at] = false;
            }
        });
    };
    match (&node.kind, &node.arguments[..]) {
        (Kind::Number(_) | Kind::Name { .. } | Kind::Minus | Kind::Operator(Operator::Add | Operator::Subtract), _) => {
        }
        (Kind::Operator(Operator::Divide), [_, divisor]) => strike(divisor),
        (Kind::Operator(Operator::Multiply), [left, right]) => {
            let has = |part: &Tree| {
                let mut seen = false;
                part.walk(&mut |node| seen |= place_of(found, node).is_some());
                seen
            };
            // Of a product only one side may be linear: that with fewer unknowns is the coefficient.
            if has(left) && has(right) {
                let count = |part: &Tree| {
                    let mut count = 0;
                    part.walk(&mut |node| count += usize::from(place_of(found, node).is_some()));
                    count
                };
                strike(if count(left) <= count(right) { right } else { left });
            }
        }
        (_, arguments) => arguments.iter().for_each(strike),
    }
}

/// Marks what stands in an exponent.
fn mark_exponents(tree: &Tree, found: &mut [Unknown]) {
    let mut exponents = Vec::new();
    tree.walk(&mut |node| {
        if node.kind == Kind::Operator(Operator::Power) {
            node.arguments[1].walk(&mut |node| exponents.extend(place_of(found, node)));
        }
    });
    for at in exponents {
        found[at].exponent = true;
    }
}

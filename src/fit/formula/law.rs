//! A law: a formula with its unknowns, and the same over the rows of a table.

use std::collections::BTreeMap;
use std::ops::Range;

use super::data::Data;
use super::error::FormulaError;
use super::parse::{self, Kind, Tree};
use super::tape::{Slot, Tape};
use super::unknowns::{self, Asked, Unknown};

/// A formula whose names are columns or unknowns.
#[derive(Clone, Debug, PartialEq)]
pub struct Law {
    /// As it was written.
    pub formula: String,
    /// The column that it predicts.
    pub target: String,
    /// The columns that it needs.
    pub columns: Vec<String>,
    /// The columns that are indices.
    pub indices: Vec<String>,
    /// What is looked for.
    pub unknowns: Vec<Unknown>,
    tree: Tree,
}

/// Names with the place where each first stands.
type Places = Vec<(String, Range<usize>)>;

/// The names in a formula, before it is known which of them are columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Names {
    /// What the formula predicts.
    pub target: (String, Range<usize>),
    /// Names on its right side, each once, with the place where it first stands.
    pub used: Vec<(String, Range<usize>)>,
    /// The indices among them.
    pub indices: Vec<(String, Range<usize>)>,
}

/// A formula that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Formula {
    text: String,
    tree: Tree,
    /// The names in it.
    pub names: Names,
}

/// Begins the formula of a cost.
pub const COST: &str = "cost = ";

impl Formula {
    /// Reads what a run costs, such as `6*N*D`.
    pub fn of_cost(text: &str) -> Result<Self, FormulaError> {
        Self::parse(&format!("{COST}{text}"))
    }

    /// Reads `loss = E + A/N^alpha`.
    pub fn parse(text: &str) -> Result<Self, FormulaError> {
        // Names between backticks may hold anything.
        let mut quoted = false;
        let mut is_plain = |c: char| {
            quoted ^= c == '`';
            !quoted
        };
        let sides: Vec<usize> =
            text.char_indices().filter(|(_, c)| is_plain(*c) && *c == '=').map(|(at, _)| at).collect();
        let [equals] = sides[..] else {
            let place = sides.get(1).map_or(0..text.len(), |at| *at..at + 1);
            return Err(FormulaError::new(
                text,
                place,
                "a law is an equation with one '=', such as loss = E + A/N^alpha",
            ));
        };
        let target = text[..equals].trim();
        let start = text.find(target).unwrap_or(0);
        let plain = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
        let named = parse::unquoted(target);
        if named.is_empty() || (named == target && !target.chars().all(plain)) {
            let what = "the left side is the name of one column; what is done to it belongs to the right side, as in loss = exp(...)";
            return Err(FormulaError::new(text, start..start + target.len().max(1), what));
        }
        let tree = parse::parse(text, equals + 1)?;
        let (mut used, mut indices) = (Places::new(), Places::new());
        let note = |list: &mut Places, name: &str, place: &Range<usize>| {
            if !list.iter().any(|(known, _)| known == name) {
                list.push((name.to_owned(), place.clone()));
            }
        };
        tree.walk(&mut |node| {
            if let Kind::Name { name, index } = &node.kind {
                note(&mut used, name, &node.place);
                if let Some(index) = index {
                    note(&mut indices, index, &node.place);
                }
            }
        });
        if let Some((_, place)) = used.iter().find(|(name, _)| name == named) {
            let what = format!("'{named}' stands on both sides: a law predicts it from other columns");
            return Err(FormulaError::new(text, place.clone(), what));
        }
        let names = Names { target: (named.to_owned(), start..start + target.len()), used, indices };
        Ok(Self { text: text.to_owned(), tree, names })
    }

    /// An error at a place of this formula.
    pub fn wrong(&self, place: &Range<usize>, what: impl Into<String>) -> FormulaError {
        FormulaError::new(&self.text, place.clone(), what)
    }

    /// What a formula without unknowns says of every row.
    pub fn values(&self, columns: &BTreeMap<String, Vec<f64>>, rows: usize) -> Result<Vec<f64>, FormulaError> {
        if let Some((name, place)) = self.names.used.iter().find(|(name, _)| !columns.contains_key(name)) {
            return Err(self.wrong(place, format!("'{name}' is no column of the table")));
        }
        let data = Data { columns: columns.clone(), loss: vec![1.0; rows], ..Data::default() };
        let tape = Tape::new(&self.text, &self.tree, &[], 0, &data)?;
        let mut out = Vec::new();
        tape.run(&[], &mut out, None);
        Ok(out)
    }

    /// The law where `is_column` tells the names of data from those of unknowns.
    pub fn law(&self, is_column: &dyn Fn(&str) -> bool, asked: &[Asked]) -> Result<Law, FormulaError> {
        let unknowns = unknowns::find(&self.text, &self.tree, is_column, asked)?;
        let used = self.names.used.iter().map(|(name, _)| name.clone());
        let columns: Vec<String> = used.filter(|name| is_column(name)).collect();
        if unknowns.is_empty() || columns.is_empty() {
            let what = if unknowns.is_empty() {
                "every name is a column: there is no unknown to fit"
            } else {
                "no name is a column of the table: there is nothing that the loss could depend on"
            };
            return Err(FormulaError::new(&self.text, self.tree.place.clone(), what));
        }
        Ok(Law {
            formula: self.text.clone(),
            target: self.names.target.0.clone(),
            columns,
            indices: self.names.indices.iter().map(|(name, _)| name.clone()).collect(),
            unknowns,
            tree: self.tree.clone(),
        })
    }
}

/// A number among those that a fit looks for: an unknown, or its value in one group.
#[derive(Clone, Debug, PartialEq)]
pub struct Number {
    /// Its name, with the group where there are several: `A[muon]`.
    pub label: String,
    /// Which unknown of the law it belongs to.
    pub unknown: usize,
    /// Least and greatest value; equal where it is set.
    pub range: (f64, f64),
}

impl Number {
    /// Whether it is looked for.
    pub fn is_free(&self) -> bool {
        self.range.0 < self.range.1
    }
}

/// A law over the rows of a table.
pub struct Bound<'a> {
    /// The law.
    pub law: &'a Law,
    /// What is looked for, in the order of every list of values.
    pub numbers: Vec<Number>,
    /// The rows.
    pub data: &'a Data,
    tape: Tape,
}

impl Law {
    /// The law over some rows.
    pub fn bind<'a>(&'a self, data: &'a Data) -> Result<Bound<'a>, FormulaError> {
        let mut numbers = Vec::new();
        let mut slots = Vec::new();
        for (unknown, Unknown { name, index, place, low, high, relative, .. }) in self.unknowns.iter().enumerate() {
            slots.push(Slot { name: name.clone(), index: index.clone(), first: numbers.len() });
            let Some(index) = index else {
                numbers.push(Number { label: name.clone(), unknown, range: (*low, *high) });
                continue;
            };
            let grouping = data.groups.get(index).ok_or_else(|| {
                FormulaError::new(
                    &self.formula,
                    place.clone(),
                    format!("the index '{index}' is no column of the table"),
                )
            })?;
            numbers.extend(grouping.labels.iter().enumerate().map(|(group, label)| Number {
                label: format!("{name}[{label}]"),
                unknown,
                range: if *relative && group == 0 { (1.0, 1.0) } else { (*low, *high) },
            }));
        }
        let tape = Tape::new(&self.formula, &self.tree, &slots, numbers.len(), data)?;
        Ok(Bound { law: self, numbers, data, tape })
    }

    /// The law written so that laws which differ in names alone are the same.
    pub fn canonical(&self) -> String {
        shape(&ordered(&self.tree, &self.columns), &self.columns, &mut Some(Vec::new()))
    }

    /// The place of the whole right side.
    pub fn right_side(&self) -> Range<usize> {
        self.tree.place.clone()
    }
}

/// A tree as text, unknowns without their names, or by the numbers of `names`.
fn shape(tree: &Tree, columns: &[String], names: &mut Option<Vec<String>>) -> String {
    let parts: Vec<String> = tree.arguments.iter().map(|part| shape(part, columns, names)).collect();
    let own = match &tree.kind {
        Kind::Number(value) => format!("{value}"),
        Kind::Name { name, .. } if columns.contains(name) => format!("`{name}`"),
        Kind::Name { name, index } => {
            let number = names.as_mut().map(|names| {
                names.iter().position(|known| known == name).unwrap_or_else(|| {
                    names.push(name.clone());
                    names.len() - 1
                })
            });
            format!(
                "?{}{}",
                number.map_or_else(String::new, |number| number.to_string()),
                index.as_deref().unwrap_or("")
            )
        }
        kind => format!("{kind:?}"),
    };
    format!("{own}({})", parts.join(","))
}

/// The operands of sums and products in an order that names of unknowns do not change.
fn ordered(tree: &Tree, columns: &[String]) -> Tree {
    use parse::Operator::{Add, Multiply};
    let mut tree = tree.clone();
    tree.arguments = tree.arguments.iter().map(|part| ordered(part, columns)).collect();
    if let Kind::Operator(operator @ (Add | Multiply)) = tree.kind {
        let mut parts: Vec<Tree> = Vec::new();
        for part in std::mem::take(&mut tree.arguments) {
            if part.kind == Kind::Operator(operator) { parts.extend(part.arguments) } else { parts.push(part) }
        }
        parts.sort_by_cached_key(|part| shape(part, columns, &mut None));
        tree.arguments = parts;
    }
    tree
}

impl Bound<'_> {
    /// What the law predicts for every row.
    pub fn predict(&self, values: &[f64]) -> Vec<f64> {
        let mut out = Vec::new();
        self.tape.run(values, &mut out, None);
        out
    }

    /// The same, and its derivative by each number: one vector each.
    pub fn slopes(&self, values: &[f64], slopes: &mut Vec<Vec<f64>>) -> Vec<f64> {
        slopes.resize(self.tape.unknowns(), Vec::new());
        let mut out = Vec::new();
        self.tape.run(values, &mut out, Some(slopes));
        out
    }

    /// How many numbers are looked for.
    pub fn free(&self) -> usize {
        self.numbers.iter().filter(|number| number.is_free()).count()
    }

    /// Weights by which every row counts as much as the others.
    pub(in crate::fit) fn even(&self) -> Vec<f64> {
        vec![1.0; self.data.len()]
    }

    /// The unknown of a number.
    pub fn unknown(&self, number: usize) -> &Unknown {
        &self.law.unknowns[self.numbers[number].unknown]
    }

    /// Where the law is no finite number for these values, as an error at that place.
    pub(in crate::fit) fn breaks(&self, values: &[f64]) -> Option<FormulaError> {
        let (place, row) = self.tape.breaks(values)?;
        let given: Vec<String> =
            self.numbers.iter().zip(values).map(|(number, value)| format!("{} = {value:.3e}", number.label)).collect();
        let what = format!(
            "this is no finite number in row {} of the data, for instance with {}: say with --unknown in which range an \
             unknown lies, or divide the column by a number of its size",
            row + 1,
            given.join(", ")
        );
        Some(FormulaError::new(&self.law.formula, place, what))
    }
}

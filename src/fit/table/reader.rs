//! Columns of a table by name, and their cells as numbers, with errors that say where.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use csv::StringRecord;

use super::error::{At, TableError};
use super::field::{Columns, Field};
use super::habits::{Habits, Place, is_missing};
use super::headers::{self, Candidate};
use super::number::{Commas, unit, written};
use super::source::Source;
use crate::columns::AXIS;

/// Similarity of names, from 0 to 1, above which one may be meant for the other; the measure is Jaro and Winkler's.
const NEAR: f64 = 0.85;

/// Finds columns and reads their cells.
pub(super) struct Reader<'a> {
    source: &'a Source,
    pub(super) headers: StringRecord,
    columns: &'a Columns,
    /// The columns that were found.
    used: RefCell<Vec<Place>>,
    /// What a comma is, once a number has asked.
    commas: OnceCell<Commas>,
    /// Which of them were found by names that are not those of this program.
    recognised: RefCell<Vec<String>>,
    /// What else is to be said.
    notes: RefCell<Vec<String>>,
    /// Where to find what the table lacks.
    advice: &'static str,
}

impl<'a> Reader<'a> {
    pub(super) fn new(source: &'a Source, headers: StringRecord, columns: &'a Columns, is_chart: bool) -> Self {
        let advice = match headers.len() {
            _ if is_chart => {
                ". It is the export of a chart; W&B's table of runs, exported as CSV, has settings and last values"
            }
            1 => ". Its cells stand between commas, semicolons or tabs, or it has one column only",
            _ => "",
        };
        Self {
            source,
            headers,
            columns,
            used: RefCell::default(),
            commas: OnceCell::new(),
            recognised: RefCell::default(),
            notes: RefCell::default(),
            advice,
        }
    }

    /// The column of a field, or nothing where it has none.
    pub(super) fn find(&self, field: Field) -> Result<Option<Place>, TableError> {
        let found = match self.columns.named(field) {
            Some(asked) => Some(self.asked(field, asked)?.ok_or_else(|| self.missing(field, ""))?),
            None => self.known(field)?,
        };
        self.used.borrow_mut().extend(found.clone());
        Ok(found)
    }

    /// The column that `--columns` names: `Model Size`, or `N[M]` with its unit.
    fn asked(&self, field: Field, asked: &str) -> Result<Option<Place>, TableError> {
        if let Some(index) = self.index(asked)? {
            if field == Field::Loss && headers::is_perplexity(asked) {
                return Err(TableError::Perplexity { asked: asked.to_owned() });
            }
            // The unit that the header itself tells; `N [M][1]` says another one, and what is a footnote says none.
            let counts = |factor: &f64| *factor >= 1e3 || field == Field::Loss;
            let told = match headers::in_brackets(asked) {
                Some((_, inner)) => unit(inner).filter(|_| !inner.starts_with(|c: char| c.is_ascii_digit())),
                // `tokens_B`, where a count is asked for.
                None => headers::with_unit(asked).map(|(_, factor)| factor).filter(|_| field.is_count()),
            };
            let factor = told.filter(counts).filter(|factor| (factor - 1.0).abs() > 0.0);
            if let Some(factor) = factor {
                self.recognised.borrow_mut().push(format!("{} = '{asked}' times {factor}", field.names()[0]));
            }
            return Ok(Some(Place { index, column: asked.to_owned(), field, unit: factor }));
        }
        let Some((base, inner)) = asked.strip_suffix(']').and_then(|rest| rest.rsplit_once('[')) else {
            return Ok(None);
        };
        let Some(index) = self.index(base.trim())? else { return Ok(None) };
        let factor = unit(inner).ok_or_else(|| TableError::Unit { asked: asked.to_owned(), unit: inner.to_owned() })?;
        Ok(Some(Place { index, column: base.trim().to_owned(), field, unit: Some(factor) }))
    }

    /// The column of a field by the names of this program, or by those of other people.
    fn known(&self, field: Field) -> Result<Option<Place>, TableError> {
        for name in field.names() {
            if let Some(index) = self.index(name)?.filter(|_| !self.columns.takes(name)) {
                // Beside a loss of another name `loss` may be that of training.
                let others = headers::recognise(&self.headers, field).into_iter().filter(|other| other.index != index);
                if *name == "loss" && others.count() > 0 {
                    break;
                }
                return Ok(Some(Place { index, column: (*name).to_owned(), field, unit: None }));
            }
        }
        let header = |candidate: &Candidate| self.headers[candidate.index].trim();
        let found: Vec<Candidate> = headers::recognise(&self.headers, field)
            .into_iter()
            .filter(|candidate| !self.columns.takes(header(candidate)))
            .collect();
        match &found[..] {
            [] => Ok(None),
            [one] => {
                let column = header(one).to_owned();
                self.index(&column)?;
                let factor = Some(one.unit).filter(|factor| (*factor - 1.0).abs() > 0.0);
                let times = factor.map_or_else(String::new, |factor| format!(" times {factor}"));
                self.recognised.borrow_mut().push(format!("{} = '{column}'{times}", field.names()[0]));
                Ok(Some(Place { index: one.index, column, field, unit: factor }))
            }
            several => {
                let name = field.names()[0];
                let listed = several.iter().map(|one| format!("'{}'", header(one))).collect::<Vec<_>>();
                let ways =
                    several.iter().map(|one| format!("--columns \"{name}={}\"", header(one))).collect::<Vec<_>>();
                let (at, path) = (self.source.names_at(), self.source.path.clone());
                let (choices, ways) = (listed.join(" and "), ways.join(" or "));
                Err(TableError::Ambiguous { path, at, choices, field: name, ways })
            }
        }
    }

    /// The column of exactly this name, read as the field that such a name means, or as any number.
    pub(super) fn exactly(&self, name: &str) -> Result<Option<Place>, TableError> {
        let Some(index) = self.index(name)? else { return Ok(None) };
        let meant = Field::ALL.into_iter().find_map(|field| {
            if field.names().contains(&name) {
                return Some((field, None));
            }
            let candidates = headers::recognise(&self.headers, field);
            let unit = candidates.iter().find(|candidate| candidate.index == index)?.unit;
            Some((field, Some(unit).filter(|unit| (*unit - 1.0).abs() > 0.0)))
        });
        let (field, unit) = meant.unwrap_or((Field::Other, None));
        let place = Place { index, column: name.to_owned(), field, unit };
        self.used.borrow_mut().push(place.clone());
        Ok(Some(place))
    }

    /// The column of a field that need not be read: nothing is said of how it was found.
    pub(super) fn beside(&self, field: Field) -> Option<Place> {
        if let Some(asked) = self.columns.named(field) {
            return self.asked(field, asked).ok().flatten();
        }
        let own = field.names().iter().find_map(|name| {
            let index = self.index(name).ok().flatten().filter(|_| !self.columns.takes(name))?;
            Some(Place { index, column: (*name).to_owned(), field, unit: None })
        });
        own.or_else(|| {
            let one = headers::recognise(&self.headers, field).into_iter().next()?;
            let column = self.headers[one.index].trim().to_owned();
            let unit = Some(one.unit).filter(|factor| (*factor - 1.0).abs() > 0.0);
            (!self.columns.takes(&column)).then_some(Place { index: one.index, column, field, unit })
        })
    }

    /// The column that `--columns` names for a name in a formula.
    pub(super) fn renamed(&self, name: &str) -> Result<Option<Place>, TableError> {
        let Some(column) = self.columns.column(name) else { return Ok(None) };
        self.exactly(column)?.map(Some).ok_or_else(|| self.without(name, Some(column), ""))
    }

    /// An error where the column that a formula predicts is not there.
    pub(super) fn lacks(&self, column: &str) -> TableError {
        TableError::Target {
            path: self.source.path.clone(),
            at: self.source.names_at(),
            column: column.to_owned(),
            found: self.listed(),
        }
    }

    /// What is to be said of how the table was read.
    pub(super) fn notes(&self) -> Vec<String> {
        let recognised = self.recognised.borrow();
        let columns = (!recognised.is_empty())
            .then(|| format!("columns by their names: {}; --columns says otherwise", recognised.join(", ")));
        columns.into_iter().chain(self.notes.borrow().iter().cloned()).collect()
    }

    /// A warning where the loss is by its name that of training, and nobody asked for it.
    pub(super) fn of_training(&self) -> Option<String> {
        let at = self.place(Field::Loss).filter(|_| self.columns.named(Field::Loss).is_none())?;
        let column = self.headers[at].trim();
        headers::training_loss(column)?;
        Some(format!(
            "'{column}' is by its name a loss of training, and stands in for that of validation, which no column tells{}",
            self.other_measures()
        ))
    }

    /// A warning where the loss that was asked for is by its name one per byte, character or word.
    pub(super) fn of_text(&self) -> Option<String> {
        let column = self.headers[self.place(Field::Loss)?].trim();
        headers::is_another_measure(column).then(|| {
            format!(
                "'{column}' is by its name no loss per token: all that is said of losses is in its unit, also where nats are named. \
                 Sizes, tokens and exponents do not depend on the unit"
            )
        })
    }

    /// The columns that are by their names other measures than a loss per token, as the end of a sentence.
    fn other_measures(&self) -> String {
        let others = self.headers.iter().map(str::trim).filter(|header| headers::is_another_loss(header));
        let others: Vec<&str> = others.collect();
        let quoted: Vec<String> = others.iter().map(|header| format!("'{header}'")).collect();
        let as_it_is = others
            .iter()
            .find(|header| !headers::is_perplexity(header))
            .map(|header| format!(", or fit it as it is with --columns 'val_loss={header}'"))
            .unwrap_or_default();
        match &quoted[..] {
            [] => String::new(),
            all => format!(
                ". By its name {} is no loss per token: convert it to nats per token, as val_loss{as_it_is}",
                all.join(" and ")
            ),
        }
    }

    /// The column of the first of some fields that has one with a value in some row; where none has, the first one.
    pub(super) fn first(&self, fields: &[Field]) -> Result<Place, TableError> {
        let mut empty = None;
        for field in fields {
            if let Some(place) = self.find(*field)? {
                if fields.len() == 1 || !self.is_empty(&place)? {
                    return Ok(place);
                }
                empty = empty.or(Some(place));
            }
        }
        empty.ok_or_else(|| self.missing(fields[0], ""))
    }

    /// Where a field is, of those that were found so far.
    pub(super) fn place(&self, field: Field) -> Option<usize> {
        self.used.borrow().iter().find(|place| place.field == field).map(|place| place.index)
    }

    /// Where a field is, whether it is read or not.
    pub(super) fn likely(&self, field: Field) -> Option<usize> {
        self.place(field).or_else(|| headers::recognise(&self.headers, field).first().map(|one| one.index))
    }

    /// By line or row, the settings by which runs of one size, length and seed may differ, as they are written.
    pub(super) fn settings(&self) -> Result<BTreeMap<u64, Vec<String>>, TableError> {
        let settings = [Field::LearningRate, Field::Batch, Field::UniqueTokens, Field::Epochs, Field::Keep];
        let mut columns: BTreeSet<usize> = settings.into_iter().filter_map(|field| self.likely(field)).collect();
        let headers = self.headers.iter().enumerate();
        columns.extend(headers.filter(|(_, header)| header.trim().starts_with(AXIS)).map(|(index, _)| index));
        let mut found = BTreeMap::new();
        if columns.is_empty() {
            return Ok(found);
        }
        self.each(|row, line| {
            found.insert(line, columns.iter().map(|index| row[*index].trim().to_owned()).collect());
        })?;
        Ok(found)
    }

    /// Columns of words that nothing is read from, of few values, in which the two rows of each pair differ.
    pub(super) fn tells_apart(&self, pairs: &[[u64; 2]]) -> Result<Vec<String>, TableError> {
        const FEW: usize = 20;
        let wanted: BTreeSet<u64> = pairs.iter().flatten().copied().collect();
        let mut rows: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        let mut values: Vec<BTreeSet<String>> = vec![BTreeSet::new(); self.headers.len()];
        self.each(|row, line| {
            for (values, cell) in values.iter_mut().zip(row) {
                if values.len() <= FEW {
                    values.insert(cell.trim().to_owned());
                }
            }
            if wanted.contains(&line) {
                rows.insert(line, row.iter().map(|cell| cell.trim().to_owned()).collect());
            }
        })?;
        let is_word = |cell: &String| !cell.is_empty() && cell.parse::<f64>().is_err();
        let differs = |index: usize| {
            pairs.iter().all(|pair| {
                let [a, b] = pair.map(|line| &rows[&line][index]);
                is_word(a) && is_word(b) && a != b
            })
        };
        let tells = |index: &usize| values[*index].len() <= FEW && !self.is_read(*index) && differs(*index);
        let found = (0..self.headers.len()).filter(tells);
        Ok(found.map(|index| self.headers[index].trim().to_owned()).collect())
    }

    /// Whether a column is read.
    pub(super) fn is_read(&self, index: usize) -> bool {
        self.used.borrow().iter().any(|place| place.index == index)
    }

    /// The columns that are called so, in lower case without punctuation, but for those that are the user's `own`.
    pub(super) fn called(&self, names: &[&str], own: &[&str]) -> Vec<(usize, String)> {
        let headers = self.headers.iter().map(str::trim).enumerate();
        let is = |header: &str| names.contains(&headers::plain(header).as_str()) && !own.contains(&header);
        headers.filter(|(_, header)| is(header)).map(|(index, header)| (index, header.to_owned())).collect()
    }

    /// Shows every row, with the line or row in which it stands.
    pub(super) fn each(&self, mut see: impl FnMut(&StringRecord, u64)) -> Result<(), TableError> {
        let (mut rows, mut row) = (self.source.rows()?.rows, StringRecord::new());
        while rows.next(&mut row)? {
            see(&row, row.position().map_or(0, csv::Position::line));
        }
        Ok(())
    }

    /// Whether no row has a value there.
    fn is_empty(&self, place: &Place) -> Result<bool, TableError> {
        let mut empty = true;
        self.each(|row, _| empty &= is_missing(row[place.index].trim()))?;
        Ok(empty)
    }

    /// Where the one column of this name is.
    fn index(&self, column: &str) -> Result<Option<usize>, TableError> {
        let mut found = self.headers.iter().enumerate().filter(|(_, header)| header.trim() == column);
        let Some((index, _)) = found.next() else { return Ok(None) };
        if found.next().is_some() {
            let (path, at) = (self.source.path.clone(), self.source.names_at());
            return Err(TableError::Duplicate { path, at, column: column.to_owned() });
        }
        Ok(Some(index))
    }

    pub(super) fn require(&self, field: Field, hint: &str) -> Result<Place, TableError> {
        self.find(field)?.ok_or_else(|| self.missing(field, hint))
    }

    pub(super) fn missing(&self, field: Field, hint: &str) -> TableError {
        self.without(field.names()[0], self.columns.named(field), hint)
    }

    /// An error where a name has no column, or not the one that `--columns` names for it.
    fn without(&self, name: &str, asked: Option<&str>, hint: &str) -> TableError {
        let column = asked.unwrap_or(name);
        let is_loss = asked.is_none() && Field::Loss.names().contains(&name);
        let others = if is_loss { self.other_measures() } else { String::new() };
        TableError::Missing {
            path: self.source.path.clone(),
            at: self.source.names_at(),
            column: column.into(),
            sought: asked.map_or_else(String::new, |_| format!(", which --columns takes for {name}")).into(),
            found: self.listed().into(),
            close: self.close_to(column).into(),
            remedy: format!("--columns {name}=NAME{hint}{}{others}", self.advice).into(),
        }
    }

    /// The columns whose names are nearly this one, as the end of a sentence.
    fn close_to(&self, column: &str) -> String {
        let plain = |name: &str| name.to_lowercase().replace([' ', '-', '.', '/'], "_");
        let base = plain(column.rsplit_once('[').map_or(column, |(base, _)| base).trim());
        // A ratio is never what its parts are.
        let is_ratio = |name: &str| name.split('_').any(|word| word == "per");
        let is_near = |header: &&str| {
            let header = plain(header);
            strsim::jaro_winkler(&header, &base) > NEAR && is_ratio(&header) == is_ratio(&base)
        };
        let near: Vec<String> =
            self.headers.iter().map(str::trim).filter(is_near).map(|header| format!("'{header}'")).collect();
        if near.is_empty() { String::new() } else { format!(", of which {} is close", near.join(" or ")) }
    }

    fn listed(&self) -> String {
        self.headers.iter().map(|header| format!("'{}'", header.trim())).collect::<Vec<_>>().join(", ")
    }

    /// The index of the column by which rows are grouped, which may be any one.
    pub(super) fn by(&self, column: &str) -> Result<usize, TableError> {
        self.index(column)?.ok_or_else(|| TableError::By {
            path: self.source.path.clone(),
            at: self.source.names_at(),
            column: column.to_owned(),
            found: self.listed(),
        })
    }

    pub(super) fn too_many_groups(&self, column: &str, most: usize) -> TableError {
        TableError::Groups { path: self.source.path.clone(), column: column.to_owned(), most }
    }

    pub(super) fn empty(&self, what: String) -> TableError {
        TableError::Empty { path: self.source.path.clone(), what }
    }

    /// Where a row is.
    pub(super) fn at(&self, row: &StringRecord) -> At {
        self.source.at(row)
    }

    pub(super) fn cell_error(&self, row: &StringRecord, place: &Place, what: impl fmt::Display) -> TableError {
        TableError::Cell {
            path: self.source.path.clone(),
            at: self.at(row),
            column: place.column.clone(),
            what: what.to_string(),
        }
    }

    /// A number, or nothing where the cell is empty or says that there is none.
    fn optional(&self, row: &StringRecord, place: &Place) -> Result<Option<f64>, TableError> {
        let text = row[place.index].trim();
        if is_missing(text) {
            return Ok(None);
        }
        let value = match text.parse::<f64>() {
            Ok(value) => value,
            Err(_) => self.unusual(row, place, text)?,
        };
        Ok(Some(place.unit.map_or(value, |unit| value * unit)))
    }

    /// A number with a suffix, or with marks between its digits.
    fn unusual(&self, row: &StringRecord, place: &Place, text: &str) -> Result<f64, TableError> {
        let wrong = |what: fmt::Arguments<'_>| self.cell_error(row, place, what);
        let number = written(text).filter(|number| number.suffix.is_none() || place.field.is_count());
        let number = number.ok_or_else(|| wrong(format_args!("'{text}' is not a number")))?;
        if number.suffix.is_some() && place.unit.is_some() {
            return Err(wrong(format_args!(
                "'{text}' has a unit of its own, and so has the column: write one of them"
            )));
        }
        let asks = number.asks() || number.suffix.is_some();
        let commas = if asks { self.commas()? } else { Commas::Thousands };
        number.value(commas).ok_or_else(|| wrong(format_args!("'{text}' is not a number")))
    }

    /// What a comma is in this table, by all numbers of it that a fit reads.
    fn commas(&self) -> Result<Commas, TableError> {
        if let Some(known) = self.commas.get() {
            return Ok(*known);
        }
        let used = self.used.borrow();
        let mut habits = Habits::of(&used);
        self.each(|row, _| habits.see(row, self.at(row)))?;
        let commas = habits.commas().map_err(|clash| TableError::Cell {
            path: self.source.path.clone(),
            at: clash.at,
            column: clash.column,
            what: clash.what,
        })?;
        if commas == Commas::Decimal {
            self.notes.borrow_mut().push("commas in numbers begin their decimals".to_owned());
        }
        Ok(*self.commas.get_or_init(|| commas))
    }

    /// A positive finite number, or nothing where the cell is empty.
    pub(super) fn maybe(&self, row: &StringRecord, place: Option<&Place>) -> Result<Option<f64>, TableError> {
        let Some(place) = place else { return Ok(None) };
        match self.optional(row, place)? {
            Some(value) if !(value.is_finite() && value > 0.0) => Err(self.not_positive(row, place, &value)),
            value => Ok(value),
        }
    }

    fn not_positive(&self, row: &StringRecord, place: &Place, what: &dyn fmt::Display) -> TableError {
        self.cell_error(row, place, format_args!("{what} is not above zero and finite"))
    }

    /// A number that a fit needs. Where there is none the error is one of those that may be left out.
    pub(super) fn required(&self, row: &StringRecord, place: &Place) -> Result<f64, TableError> {
        let incomplete = |error| TableError::Incomplete { first: Box::new(error), also: Vec::new() };
        match self.optional(row, place)? {
            Some(value) if value.is_finite() && value > 0.0 => Ok(value),
            Some(value) if !value.is_finite() => Err(incomplete(self.not_positive(row, place, &value))),
            Some(value) => Err(self.not_positive(row, place, &value)),
            None => Err(incomplete(match row[place.index].trim() {
                "" => self.cell_error(row, place, "is empty"),
                text if text.parse::<f64>().is_ok() => self.not_positive(row, place, &text),
                text => self.cell_error(row, place, format_args!("'{text}' is not a number")),
            })),
        }
    }

    /// The group of a row. Where there is none the error is one of those that may be left out.
    pub(super) fn label(&self, row: &StringRecord, name: &str, index: usize) -> Result<String, TableError> {
        let text = row[index].trim();
        if !text.is_empty() {
            return Ok(text.to_owned());
        }
        let first = TableError::Cell {
            path: self.source.path.clone(),
            at: self.at(row),
            column: name.to_owned(),
            what: "is empty, and it is to tell the group of the row".to_owned(),
        };
        Err(TableError::Incomplete { first: Box::new(first), also: Vec::new() })
    }

    /// Any finite number. Where there is none the error is one of those that may be left out.
    pub(super) fn number(&self, row: &StringRecord, place: &Place) -> Result<f64, TableError> {
        let lacks = |what: &str| {
            let first = Box::new(self.cell_error(row, place, what));
            TableError::Incomplete { first, also: Vec::new() }
        };
        match self.optional(row, place)? {
            Some(value) if value.is_finite() => Ok(value),
            Some(value) => Err(lacks(&format!("{value} is not finite"))),
            None => Err(lacks("has no number")),
        }
    }

    /// A standard error: zero or more, or nothing where the cell is empty.
    pub(super) fn standard_error(&self, row: &StringRecord, place: &Place) -> Result<Option<f64>, TableError> {
        match self.optional(row, place)? {
            Some(x) if !x.is_finite() || x < 0.0 => {
                Err(self.cell_error(row, place, format_args!("{x} is not a standard error; leave it empty")))
            }
            value => Ok(value),
        }
    }

    /// A whole number, or nothing where the cell is empty. Programs write 1.0 where other cells of a column are empty.
    pub(super) fn whole(&self, row: &StringRecord, place: &Place) -> Result<Option<u64>, TableError> {
        let text = row[place.index].trim();
        if is_missing(text) {
            return Ok(None);
        }
        let whole =
            |value: f64| (value >= 0.0 && value < 2_f64.powi(53) && value.fract() == 0.0).then_some(value as u64);
        let value = text.parse().ok().or_else(|| text.parse().ok().and_then(whole));
        value.map(Some).ok_or_else(|| self.cell_error(row, place, format_args!("'{text}' is not a whole number")))
    }
}

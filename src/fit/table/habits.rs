//! How the numbers of one table are written: what a comma is, and whether those of a column have their units.

use csv::StringRecord;

use super::error::At;
use super::field::Field;
use super::number::{Commas, Evidence, Written, written};

/// What people and programs write where there is no number.
const MISSING: [&str; 10] = ["nan", "none", "na", "n/a", "#n/a", "<na>", "null", "nil", "-", "--"];
/// How a run that ended well is called; other words are counted and left out.
const FINISHED: [&str; 6] = ["finished", "completed", "complete", "done", "success", "succeeded"];
/// Below this a count without a suffix lacks the one that others of its column have: 1.3 beside 125M.
const BARE: f64 = 1e3;

/// Where one field is.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) index: usize,
    pub(super) column: String,
    pub(super) field: Field,
    /// What its numbers are multiplied by.
    pub(super) unit: Option<f64>,
}

impl Place {
    /// As `--columns` calls it: the field and the name of the column.
    pub(super) fn named(&self) -> (&'static str, &str) {
        (self.field.names()[0], &self.column)
    }
}

/// Whether a cell says that there is no number.
pub(super) fn is_missing(text: &str) -> bool {
    text.is_empty() || MISSING.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// Whether a status is that of a run that ended well.
pub(super) fn is_finished(status: &str) -> bool {
    FINISHED.iter().any(|word| status.eq_ignore_ascii_case(word))
}

/// The loss of a run that has none by its status: infinite where it diverged, not a number where it failed.
pub(super) fn lost(status: &str) -> Option<f64> {
    let is = |words: &[&str]| words.iter().any(|word| status.eq_ignore_ascii_case(word));
    match () {
        () if is(&["diverged"]) => Some(f64::INFINITY),
        () if is(&["failed", "crashed"]) => Some(f64::NAN),
        () => None,
    }
}

/// The same of a row, where the table has a column for it.
pub(super) fn lost_by(status: Option<&Place>, row: &StringRecord) -> Option<f64> {
    status.and_then(|place| lost(row[place.index].trim()))
}

/// What the numbers of a table say together.
pub(super) struct Habits<'a> {
    columns: Vec<Column<'a>>,
    /// The first number that can only be read with commas for thousands, and with commas for decimals.
    only: [Option<Sample>; 2],
    /// The first one that says nothing by itself.
    open: Option<Sample>,
    /// The first count that has commas for thousands unless its column has a unit, with what `--columns` calls it.
    count: Option<(Sample, &'static str)>,
}

/// What was seen of one column.
struct Column<'a> {
    place: &'a Place,
    /// A number with a suffix.
    suffixed: Option<Sample>,
    /// A small number without one.
    bare: Option<Sample>,
}

/// A number as it was written, and where.
#[derive(Clone, Debug)]
struct Sample {
    text: String,
    column: String,
    at: At,
}

/// Two numbers that cannot be written in one way, or one that may be written in two.
#[derive(Debug)]
pub(super) struct Clash {
    pub(super) at: At,
    pub(super) column: String,
    pub(super) what: String,
}

impl<'a> Habits<'a> {
    pub(super) fn of(used: &'a [Place]) -> Self {
        let column = |place| Column { place, suffixed: None, bare: None };
        Self { columns: used.iter().map(column).collect(), only: [None, None], open: None, count: None }
    }

    /// Notes the numbers of a row.
    pub(super) fn see(&mut self, row: &StringRecord, at: At) {
        for seen in &mut self.columns {
            let (place, text) = (seen.place, row[seen.place.index].trim());
            let Some(number) = written(text).filter(|_| !is_missing(text)) else { continue };
            let sample = || Sample { text: text.to_owned(), column: place.column.clone(), at };
            match commas(&number, place) {
                Evidence::Only(Commas::Thousands) if number.evidence() == Evidence::Either => {
                    self.count.get_or_insert_with(|| (sample(), place.named().0));
                }
                Evidence::Only(Commas::Thousands) => _ = self.only[0].get_or_insert_with(sample),
                Evidence::Only(Commas::Decimal) => _ = self.only[1].get_or_insert_with(sample),
                Evidence::Either => _ = self.open.get_or_insert_with(sample),
                Evidence::Nothing => {}
            }
            if place.field.is_count() && place.unit.is_none() {
                let small = || text.parse::<f64>().is_ok_and(|value| 0.0 < value && value < BARE);
                if number.suffix.is_some() {
                    seen.suffixed.get_or_insert_with(sample);
                } else if seen.bare.is_none() && small() {
                    seen.bare = Some(sample());
                }
            }
        }
    }

    /// What a comma is, where all agree.
    pub(super) fn commas(self) -> Result<Commas, Clash> {
        for Column { suffixed, bare, .. } in self.columns {
            if let (Some(suffixed), Some(bare)) = (suffixed, bare) {
                let (bare_text, suffixed) = (&bare.text, &suffixed.text);
                let what = format!("'{bare_text}' has no unit, and '{suffixed}' of the same column has one; write it");
                return Err(bare.clash(what));
            }
        }
        let [thousands, decimal] = self.only;
        match (thousands, decimal, self.open) {
            (None, Some(decimal), _) if self.count.is_some() => {
                let (count, field) = self.count.expect("there is one");
                let what = format!(
                    "commas begin decimals here, as '{}' in column '{}' shows, and '{}' is then no whole number: say the \
                     unit of its column, as in --columns \"{field}={}[B]\"",
                    decimal.text, decimal.column, count.text, count.column
                );
                Err(count.clash(what))
            }
            (Some(thousands), Some(decimal), _) => {
                let other = format!("'{}' in column '{}'{}", thousands.text, thousands.column, thousands.at.told());
                let what = format!(
                    "the comma of '{}' begins decimals, which {other} contradicts; write numbers one way",
                    decimal.text
                );
                Err(decimal.clash(what))
            }
            (None, None, Some(open)) if self.count.is_none() => {
                let what =
                    format!("the comma of '{}' may group thousands or begin decimals; write it without one", open.text);
                Err(open.clash(what))
            }
            (None, Some(_), _) => Ok(Commas::Decimal),
            _ => Ok(Commas::Thousands),
        }
    }
}

/// What a number says of commas. One comma before three digits says something by what is counted: a loss has no thousands,
/// and a count of parameters no thousandths, unless it is one of millions.
fn commas(number: &Written, place: &Place) -> Evidence {
    match number.evidence() {
        Evidence::Either if !place.field.is_count() => Evidence::Only(Commas::Decimal),
        Evidence::Either if number.suffix.is_none() && place.unit.is_none() => Evidence::Only(Commas::Thousands),
        evidence => evidence,
    }
}

impl Sample {
    fn clash(self, what: String) -> Clash {
        Clash { at: self.at, column: self.column, what }
    }
}

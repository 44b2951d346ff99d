//! What a figure is: axes, series of marks, and the table behind them. Drawing it, embedding its data and writing its
//! CSV all start from this one value.

use serde::{Serialize, Serializer};

use super::words;
use crate::fit::Estimate;
use crate::units::Flops;

/// A figure: what is drawn, and the table of everything behind it.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// Stem of its files.
    pub id: String,
    /// What it shows.
    pub title: String,
    /// How to read it, in a sentence or two.
    pub note: String,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// What is drawn, each with its own entry in the legend.
    pub series: Vec<Series>,
    /// Figures drawn side by side instead of `series`, each with axes of its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub panels: Vec<Figure>,
    /// The CSV: all counting conventions, also those that are not drawn.
    #[serde(skip)]
    pub table: Table,
}

impl Figure {
    /// Whether a reader may have an axis the other way.
    pub fn is_switchable(&self) -> bool {
        self.x.switchable || self.y.switchable
    }

    /// The figure with its switchable axes the other way, in its panels as well.
    #[must_use]
    pub fn switched(&self) -> Self {
        let flip = |axis: &Axis| Axis { log: axis.log != axis.switchable, ..axis.clone() };
        let panels = self.panels.iter().map(Self::switched).collect();
        Self { x: flip(&self.x), y: flip(&self.y), panels, ..self.clone() }
    }

    /// The table as CSV text.
    pub fn csv(&self) -> csv::Result<String> {
        let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
        writer.write_record(self.table.header)?;
        for row in &self.table.rows {
            writer.write_record(row)?;
        }
        let bytes = writer.into_inner().map_err(csv::IntoInnerError::into_error)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// Rows under a header, as text.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Names of the columns.
    pub header: &'static [&'static str],
    /// One cell a column.
    pub rows: Vec<Vec<String>>,
}

/// One axis.
#[derive(Clone, Debug, Serialize)]
pub struct Axis {
    /// What it measures, with its unit.
    pub label: String,
    /// How its numbers print.
    pub unit: Unit,
    /// Whether it is logarithmic.
    pub log: bool,
    /// Whether a reader of the page may have it the other way.
    #[serde(skip)]
    pub switchable: bool,
}

impl Axis {
    /// The axis that a unit usually has.
    pub fn new(label: impl Into<String>, unit: Unit) -> Self {
        Self { label: label.into(), unit, log: unit.is_log(), switchable: false }
    }

    /// The same for a reader who may have it logarithmic or linear.
    pub fn switchable(self) -> Self {
        Self { switchable: true, ..self }
    }
}

/// What is measured along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Parameters, tokens or their ratio; logarithmic.
    Count,
    /// Training FLOPs; logarithmic.
    Flops,
    /// Nats per token; linear.
    Loss,
    /// A difference of losses in nats per token; linear, with its sign.
    Difference,
}

impl Unit {
    /// Whether its axis is logarithmic unless told otherwise.
    pub fn is_log(self) -> bool {
        matches!(self, Self::Count | Self::Flops)
    }

    /// A value as text: `1.25M`, `3e12`, `3.215`.
    pub fn print(self, value: f64) -> String {
        match self {
            Self::Count => words::amount(value),
            Self::Flops => Flops(value).to_string(),
            Self::Loss => format!("{value:.3}"),
            Self::Difference => format!("{value:+.4}"),
        }
    }
}

/// Marks that belong together: one colour, one shape, one entry in the legend.
#[derive(Clone, Debug, Serialize)]
pub struct Series {
    /// Text of the legend.
    pub label: String,
    /// Colour.
    pub color: Color,
    /// Shape of its points, so that colour is never the only difference.
    pub shape: Shape,
    /// What a reader shows and hides it by in all figures at once, such as its budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// What is drawn.
    pub marks: Vec<Mark>,
}

impl Series {
    /// A series of no group.
    pub fn new(label: impl Into<String>, color: Color, shape: Shape, marks: Vec<Mark>) -> Self {
        Self { label: label.into(), color, shape, group: None, marks }
    }

    /// The same as a member of a group.
    pub fn of_group(self, group: impl Into<String>) -> Self {
        Self { group: Some(group.into()), ..self }
    }
}

/// Something drawn. Lines of a band and points of a line come in the order in which they are joined.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// Single runs.
    Runs(Vec<Point>),
    /// Fitted values with their intervals.
    Estimates(Vec<Point>),
    /// A curve through (x, y).
    Line {
        /// The vertices.
        points: Vec<[f64; 2]>,
        /// Dashed where it leaves the data.
        dashed: bool,
    },
    /// The area between two curves, as (x, low, high).
    Band(Vec<[f64; 3]>),
    /// A horizontal line over the whole width.
    Level(f64),
    /// Text at (x, y).
    Text {
        /// Where its middle is.
        at: [f64; 2],
        /// What it says.
        text: String,
    },
}

/// One point.
#[derive(Clone, Debug, Serialize)]
pub struct Point {
    /// Horizontal place.
    pub x: f64,
    /// Vertical place.
    pub y: f64,
    /// 95% interval of x.
    pub x_interval: Option<[f64; 2]>,
    /// 95% interval of y.
    pub y_interval: Option<[f64; 2]>,
    /// What a reader sees who points at it.
    pub title: String,
}

/// Colours have roles; the style sheet gives each a value for light and one for dark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// A step of the scale of budgets, 0 the smallest and 9 the largest.
    Budget(usize),
    /// Parameters.
    Params,
    /// Tokens.
    Tokens,
    /// A reference from elsewhere, or points that belong to no curve.
    Muted,
}

impl Color {
    /// The colour of budget `index` of `count`: ordered, and spread over the whole scale.
    pub fn budget(index: usize, count: usize) -> Self {
        // A single budget takes a step from the middle, which reads well on either background.
        if count < 2 { Self::Budget(4) } else { Self::Budget((index * 9 + (count - 1) / 2) / (count - 1)) }
    }

    /// The class that the style sheet colours.
    pub fn class(self) -> &'static str {
        const STEPS: [&str; 10] = ["b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7", "b8", "b9"];
        match self {
            Self::Budget(step) => STEPS[step.min(9)],
            Self::Params => "params",
            Self::Tokens => "tokens",
            Self::Muted => "muted",
        }
    }
}

impl Serialize for Color {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.class())
    }
}

/// Shapes of points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// A circle.
    Circle,
    /// A square.
    Square,
    /// A triangle.
    Triangle,
    /// A diamond.
    Diamond,
}

impl Shape {
    /// All shapes, in the order in which series take them.
    pub const ALL: [Self; 4] = [Self::Circle, Self::Square, Self::Triangle, Self::Diamond];

    /// The shape of series `index`.
    pub fn of(index: usize) -> Self {
        Self::ALL[index % 4]
    }
}

/// A number as a cell: the shortest text that reads back as the same number, empty for none.
pub fn cell(value: impl Into<Option<f64>>) -> String {
    value.into().filter(|x| x.is_finite()).map_or_else(String::new, |x| x.to_string())
}

/// Value, low and high as three cells.
pub fn cells(estimate: Option<Estimate>) -> [String; 3] {
    [estimate.map(|e| e.value), estimate.map(|e| e.low), estimate.map(|e| e.high)].map(cell)
}

/// The interval of an estimate, where it has one.
pub fn interval(estimate: Estimate) -> Option<[f64; 2]> {
    (estimate.low.is_finite() && estimate.high.is_finite()).then_some([estimate.low, estimate.high])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_of_budgets_are_ordered_and_reach_both_ends() {
        let steps = |count| (0..count).map(|i| Color::budget(i, count).class()).collect::<Vec<_>>();
        assert_eq!(steps(3), ["b0", "b5", "b9"]);
        assert_eq!(steps(10).len(), 10);
        assert!(steps(10).windows(2).all(|w| w[0] < w[1]));
        assert!(steps(25).is_sorted());
        assert_eq!(steps(1), ["b4"]);
    }

    #[test]
    fn a_cell_without_a_finite_number_is_empty() {
        assert_eq!(cell(None), "");
        assert_eq!(cell(f64::NAN), "");
        assert_eq!(cell(1e13), "10000000000000");
        assert_eq!(cell(0.1).parse::<f64>(), Ok(0.1));
    }
}

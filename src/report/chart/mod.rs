//! Drawing a figure as SVG: for a file of its own, or inline in the page.
//!
//! Colours come from `templates/chart.css` by class, so that light and dark are the reader's choice and nothing needs
//! a style attribute, which the page's Content-Security-Policy forbids.

mod extents;
mod frame;
mod marks;
mod scale;
mod text;

use super::figure::Figure;
use frame::Canvas;

/// The style sheet of every chart.
pub const STYLE: &str = include_str!("../../../templates/chart.css");

/// A whole SVG file, with its title, legend, note and style sheet. `name` is the sweep's.
pub fn standalone(figure: &Figure, name: &str) -> String {
    let canvas = Canvas { width: 720.0, plot_height: 380.0, heading: Some(name) };
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}\n", frame::draw(figure, &canvas, STYLE))
}

/// For a page that brings [`STYLE`] and tells title and note itself.
pub fn inline(figure: &Figure) -> String {
    frame::draw(figure, &Canvas { width: 860.0, plot_height: 420.0, heading: None }, "")
}

/// The same for a phone: text of the same size on less room.
pub fn inline_narrow(figure: &Figure) -> String {
    frame::draw(figure, &Canvas { width: 360.0, plot_height: 280.0, heading: None }, "")
}

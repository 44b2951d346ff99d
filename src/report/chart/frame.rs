//! The frame of a chart: axes, grid, legend, and the marks within.

use std::fmt::Write as _;

use super::extents::Extents;
use super::marks::{self, outline};
use super::scale::{Scale, Tick};
use super::text::{escape, px, width, wrap};
use crate::report::figure::{Figure, Mark, Series};

/// Size of text in user units.
const TEXT: f64 = 13.0;
const LINE: f64 = 18.0;
const MARGIN: f64 = 12.0;
/// Length of a legend's sample.
const SAMPLE: f64 = 28.0;
/// The least width of a panel.
const PANEL: f64 = 280.0;

/// What there is to draw on.
pub struct Canvas<'a> {
    /// Width in user units.
    pub width: f64,
    /// Height of the plot itself; heading, axes and legend come on top.
    pub plot_height: f64,
    /// The name of the sweep, where the drawing must tell its own title and note.
    pub heading: Option<&'a str>,
}

/// Draws a figure; `style` is embedded unless empty. Panels stand side by side where each has room, or below each other.
pub fn draw(figure: &Figure, canvas: &Canvas<'_>, style: &str) -> String {
    let mut body = String::new();
    let mut y = MARGIN;
    if let Some(name) = canvas.heading {
        let heading = format!("{} ({name})", figure.title);
        y = lines(&mut body, "heading", &wrap(&heading, 1.2 * TEXT, canvas.width - 2.0 * MARGIN), [MARGIN, y]) + 6.0;
    }
    y = if figure.panels.is_empty() {
        y = plot(&mut body, figure, canvas, y, &Extents::of(figure));
        legend(&mut body, figure, canvas, y)
    } else {
        panels(&mut body, figure, canvas, y)
    };
    if canvas.heading.is_some() {
        let note = wrap(&figure.note, TEXT, canvas.width - 2.0 * MARGIN);
        y = lines(&mut body, "note", &note, [MARGIN, y + 6.0]);
    }
    let [w, h] = [canvas.width, y + MARGIN].map(px);
    let style = if style.is_empty() { String::new() } else { format!("<style>{style}</style>") };
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" class="chart" role="img" aria-label="{title}" viewBox="0 0 {w} {h}" width="{w}" height="{h}">{style}<rect class="paper" width="{w}" height="{h}"/>{body}</svg>"#,
        title = escape(&figure.title),
    )
}

/// The panels of a figure, each under its own title and all with the same axes; returns where they end.
fn panels(out: &mut String, figure: &Figure, canvas: &Canvas<'_>, top: f64) -> f64 {
    let (panels, extents) = (&figure.panels, Extents::of(figure));
    let columns = ((canvas.width / PANEL).floor() as usize).clamp(1, panels.len());
    let width = canvas.width / columns as f64;
    let mut y = top;
    for row in panels.chunks(columns) {
        let mut end = y;
        for (i, panel) in row.iter().enumerate() {
            let canvas = Canvas { width, plot_height: canvas.plot_height, heading: None };
            let mut body = String::new();
            let below = lines(&mut body, "heading", std::slice::from_ref(&panel.title), [MARGIN, 0.0]) + 6.0;
            let below = plot(&mut body, panel, &canvas, below, &extents);
            let below = legend(&mut body, panel, &canvas, below);
            let [x, at, w, h] = [i as f64 * width, y, width, below].map(px);
            let _ = write!(out, r#"<svg x="{x}" y="{at}" width="{w}" height="{h}">{body}</svg>"#);
            end = end.max(y + below);
        }
        y = end + 10.0;
    }
    y
}

/// Axes, grid and marks; returns where they end.
fn plot(out: &mut String, figure: &Figure, canvas: &Canvas<'_>, top: f64, extents: &Extents) -> f64 {
    let top = lines(out, "axis", std::slice::from_ref(&figure.y.label), [MARGIN, top]) + 6.0;
    // A frame with nothing in it need not be tall.
    let height = if extents.x.is_empty() || extents.y.is_empty() { 4.0 * LINE } else { canvas.plot_height };
    let y = Scale::new(&figure.y, &extents.y, &extents.y_intervals, [height, 0.0]);
    let y_ticks = y.as_ref().map_or_else(Vec::new, |y| y.ticks(|_| 2.4 * TEXT));
    let left = MARGIN + y_ticks.iter().map(|t| width(&t.label, TEXT)).fold(0.0, f64::max) + 8.0;
    let plot_width = canvas.width - left - MARGIN - 8.0;
    let x = Scale::new(&figure.x, &extents.x, &extents.x_intervals, [0.0, plot_width]);
    let x_ticks = x.as_ref().map_or_else(Vec::new, |x| x.ticks(|label| width(label, TEXT) + 2.0 * TEXT));
    grid(out, [left, top, plot_width, height], &x_ticks, &y_ticks);
    // A nested svg cuts what leaves the plot, and needs no identifier that another chart could have too.
    let [a, b, w, h] = [left, top, plot_width, height].map(px);
    let ruler = |scale: &Option<Scale>| scale.as_ref().map_or_else(String::new, Scale::ruler);
    let [x_ruler, y_ruler] = [ruler(&x), ruler(&y)];
    let _ = write!(out, r#"<svg class="plot" x="{a}" y="{b}" width="{w}" height="{h}" "#);
    let _ = write!(out, r#"data-x-ruler="{x_ruler}" data-y-ruler="{y_ruler}">"#);
    let _ = write!(out, r#"<rect class="sheet" width="{w}" height="{h}"/>"#);
    if let (Some(x), Some(y)) = (&x, &y) {
        figure.series.iter().for_each(|s| marks::series(out, s, x, y, plot_width));
    } else {
        let [x, y] = [plot_width / 2.0, height / 2.0].map(px);
        let _ = write!(out, r#"<text class="empty" x="{x}" y="{y}">nothing to draw</text>"#);
    }
    let _ = write!(out, r#"</svg><rect class="frame" x="{a}" y="{b}" width="{w}" height="{h}"/>"#);
    let bottom = top + height + 8.0 + LINE;
    let x_label = wrap(&figure.x.label, TEXT, plot_width);
    let middle = px(left + plot_width / 2.0);
    for (i, line) in x_label.iter().enumerate() {
        let y = px(bottom + TEXT + LINE * i as f64);
        let _ = write!(out, r#"<text class="axis x" x="{middle}" y="{y}">{}</text>"#, escape(line));
    }
    bottom + LINE * x_label.len() as f64 + 10.0
}

fn grid(out: &mut String, [left, top, w, h]: [f64; 4], x_ticks: &[Tick], y_ticks: &[Tick]) {
    for tick in x_ticks {
        let [x, y0, y1] = [left + tick.place, top, top + h + 5.0].map(px);
        let _ = write!(out, r#"<path class="grid" d="M{x} {y0}V{y1}"/>"#);
        let y = px(top + h + 6.0 + TEXT);
        let _ = write!(out, r#"<text class="tick x" x="{x}" y="{y}">{}</text>"#, escape(&tick.label));
    }
    for tick in y_ticks {
        let [x0, x1, y] = [left - 5.0, left + w, top + tick.place].map(px);
        let _ = write!(out, r#"<path class="grid" d="M{x0} {y}H{x1}"/>"#);
        let [x, y] = [left - 8.0, top + tick.place + 0.35 * TEXT].map(px);
        let _ = write!(out, r#"<text class="tick y" x="{x}" y="{y}">{}</text>"#, escape(&tick.label));
    }
}

/// One entry a series, in two columns where all of them are short; returns where it ends.
fn legend(out: &mut String, figure: &Figure, canvas: &Canvas<'_>, top: f64) -> f64 {
    let room = canvas.width - 2.0 * MARGIN;
    let column = room / 2.0 - 10.0;
    let short = figure.series.iter().all(|s| width(&s.label, TEXT) + SAMPLE + 8.0 <= column);
    let columns = if short { 2 } else { 1 };
    let text_room = if short { column } else { room } - SAMPLE - 8.0;
    let mut y = top;
    for row in figure.series.chunks(columns) {
        let mut end = y;
        for (i, series) in row.iter().enumerate() {
            let x = MARGIN + i as f64 * (column + 20.0);
            let group = series.group.as_ref().map_or_else(String::new, |g| format!(r#" data-group="{}""#, escape(g)));
            let _ = write!(out, r#"<g class="entry"{group}>"#);
            sample(out, series, [x, y + LINE / 2.0]);
            let label = wrap(&series.label, TEXT, text_room);
            end = end.max(lines(out, "legend", &label, [x + SAMPLE + 8.0, y]));
            out.push_str("</g>");
        }
        y = end + 2.0;
    }
    y
}

/// What a series looks like: its line, its shape, or both.
fn sample(out: &mut String, series: &Series, [x, y]: [f64; 2]) {
    let has = |wanted: fn(&Mark) -> bool| series.marks.iter().any(wanted);
    let _ = write!(out, r#"<g class="{}">"#, series.color.class());
    let d = format!("M{} {}h{}", px(x), px(y), px(SAMPLE));
    if has(|m| matches!(m, Mark::Level(_))) {
        let _ = write!(out, r#"<path class="line dotted" d="{d}"/>"#);
    } else if has(|m| matches!(m, Mark::Line { .. })) {
        let _ = write!(out, r#"<path class="line" d="{d}"/>"#);
    }
    let centre = [x + SAMPLE / 2.0, y];
    if has(|m| matches!(m, Mark::Runs(_))) {
        let _ = write!(out, r#"<path class="key" d="{}"/>"#, outline(series.shape, centre, 4.0));
    } else if has(|m| matches!(m, Mark::Estimates(_))) {
        let _ = write!(out, r#"<path class="estimate" d="{}"/>"#, outline(series.shape, centre, 5.0));
    }
    out.push_str("</g>");
}

/// Lines of text from a corner downwards; returns where they end.
fn lines(out: &mut String, class: &str, lines: &[String], [x, y]: [f64; 2]) -> f64 {
    let x = px(x);
    for (i, line) in lines.iter().enumerate() {
        let y = px(y + TEXT + LINE * i as f64);
        let _ = write!(out, r#"<text class="{class}" x="{x}" y="{y}">{}</text>"#, escape(line));
    }
    y + LINE * lines.len() as f64
}

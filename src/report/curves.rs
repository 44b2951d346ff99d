//! The figure of loss curves: training loss against compute, a line for each run.

use super::figure::{Axis, Color, Figure, Mark, Series, Shape, Table, Unit, cell};
use super::words;

/// The training loss of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct LossCurve {
    /// Name of the run.
    pub run: String,
    /// The panel that it belongs to, such as its parameterization.
    pub panel: String,
    /// Its budget, or its width, or whatever tells its colour.
    pub key: Key,
    /// Number of all parameters.
    pub params: f64,
    /// Tokens, training FLOPs, mean training loss in nats per token since the last point.
    pub points: Vec<[f64; 3]>,
}

/// What curves of one colour have in common.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Key {
    /// A budget in FLOPs.
    Budget(f64),
    /// A width.
    Width(f64),
}

impl Key {
    pub(super) fn value(self) -> f64 {
        let (Self::Budget(value) | Self::Width(value)) = self;
        value
    }

    pub(super) fn label(self) -> String {
        match self {
            Self::Budget(flops) => words::budget(flops),
            Self::Width(width) => format!("width {width}"),
        }
    }
}

/// Vertices drawn at most; beyond, every second, third, ... point of each curve is.
const MOST: usize = 6000;
/// Panels at most: beyond, all curves share one.
const PANELS: usize = 4;

/// The curves of all runs; nothing where none was recorded.
pub fn curves(curves: &[LossCurve]) -> Option<Figure> {
    let known = |curve: &&LossCurve| curve.points.iter().any(|p| p[2].is_finite());
    let curves: Vec<&LossCurve> = curves.iter().filter(known).collect();
    let every = curves.iter().map(|curve| curve.points.len()).sum::<usize>().div_ceil(MOST).max(1);
    let mut names: Vec<&str> = Vec::new();
    for curve in &curves {
        if !names.contains(&curve.panel.as_str()) {
            names.push(&curve.panel);
        }
    }
    let split = (2..=PANELS).contains(&names.len());
    let panel = |name: &&str| {
        let of: Vec<&LossCurve> = curves.iter().copied().filter(|curve| curve.panel == **name).collect();
        figure(name, series(&of, every))
    };
    let rows = curves.iter().flat_map(|curve| {
        curve.points.iter().map(|[tokens, flops, loss]| {
            let mut row = vec![curve.run.clone(), curve.panel.clone(), curve.key.label()];
            row.extend([curve.params, *tokens, *flops, *loss].map(cell));
            row
        })
    });
    let header = &["run", "panel", "group", "params", "tokens", "flops", "train_loss"];
    (!curves.is_empty()).then(|| Figure {
        id: "loss_curves".to_owned(),
        title: "Loss curves".to_owned(),
        note: "Training loss against training compute, one line per run, averaged between the points of its curve. \
               Fits use the validation loss instead. Within a run the learning rate has not yet decayed."
            .to_owned(),
        panels: if split { names.iter().map(panel).collect() } else { Vec::new() },
        table: Table { header, rows: rows.collect() },
        ..figure("", if split { Vec::new() } else { series(&curves, every) })
    })
}

fn figure(title: &str, series: Vec<Series>) -> Figure {
    Figure {
        id: String::new(),
        title: title.to_owned(),
        note: String::new(),
        x: Axis::new("training compute so far (FLOPs)", Unit::Flops).switchable(),
        y: Axis::new("training loss (nats per token)", Unit::Loss),
        series,
        panels: Vec::new(),
        table: Table::default(),
    }
}

/// One series for each key, ascending.
fn series(curves: &[&LossCurve], every: usize) -> Vec<Series> {
    let mut keys: Vec<Key> = curves.iter().map(|curve| curve.key).collect();
    keys.sort_by(|a, b| a.value().total_cmp(&b.value()));
    keys.dedup();
    let one = |(i, key): (usize, &Key)| {
        let mut of: Vec<&&LossCurve> = curves.iter().filter(|curve| curve.key == *key).collect();
        of.sort_by(|a, b| a.params.total_cmp(&b.params).then(a.run.cmp(&b.run)));
        let line = |curve: &&&LossCurve| {
            let last = curve.points.len() - 1;
            let kept =
                curve.points.iter().enumerate().filter(|(i, p)| (i % every == 0 || *i == last) && p[2].is_finite());
            Mark::Line { points: kept.map(|(_, p)| [p[1], p[2]]).collect(), dashed: false }
        };
        let marks = of.iter().map(line).collect();
        Series::new(key.label(), Color::budget(i, keys.len()), Shape::of(i), marks).of_group(key.label())
    };
    keys.iter().enumerate().map(one).collect()
}

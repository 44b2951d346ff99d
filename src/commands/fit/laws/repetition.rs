//! `--law repetition`: the surface that knows how data wear out.

use super::asked::{Asked, LENGTH, LOSS, Plain, Reading, SIZE, any};
use super::draw;
use crate::commands::fit::finding::Finding;
use crate::commands::fit::request::Request;
use crate::fit::approaches::approach3;
use crate::fit::laws::repetition::{self, Run};
use crate::fit::named::Dot;
use crate::fit::table::resample::Resample;
use crate::fit::table::{self, Field};

pub(super) const LAW: Asked =
    Asked { takes: &["--starts", "--delta"], read, draw: |told| vec![draw::runs(&draw::tokens(), "parameters", told)] };

/// Unique tokens are a column, or follow from that of epochs where it alone is there.
fn read<'a>(request: &'a Request<'a>) -> anyhow::Result<Reading<'a>> {
    let tells = |field| table::tells(&request.args.runs, &request.columns, field);
    let dot = |[params, x, _, loss]: &[f64; 4]| Dot { x: *x, loss: *loss, series: Some(*params) };
    if !tells(Field::UniqueTokens)? && tells(Field::Epochs)? {
        let plain = Plain {
            fields: [SIZE, LENGTH, &[Field::Epochs], LOSS],
            check: any,
            fit: |rows, request| {
                tell!(
                    "note: no column of unique tokens: they are tokens / epochs, and all tokens where epochs are below 1"
                );
                let run = |[params, tokens, epochs, loss]: [f64; 4]| Run {
                    params,
                    tokens,
                    unique_tokens: tokens / epochs.max(1.0),
                    loss,
                };
                fit(rows.into_iter().map(run), request)
            },
            dot,
        };
        plain.read(request)
    } else {
        let plain = Plain {
            fields: [SIZE, LENGTH, &[Field::UniqueTokens], LOSS],
            check: any,
            fit: |rows, request| {
                let run = |[params, tokens, unique_tokens, loss]: [f64; 4]| Run { params, tokens, unique_tokens, loss };
                fit(rows.into_iter().map(run), request)
            },
            dot,
        };
        plain.read(request)
    }
}

fn fit(runs: impl Iterator<Item = Run>, request: &Request) -> Box<dyn Finding> {
    let options = approach3::Options {
        delta: request.args.delta.unwrap_or(approach3::DELTA),
        starts: request.starts.clone(),
        bootstrap: request.bootstrap,
        resample: Resample::Runs,
    };
    Box::new(repetition::fit(&runs.collect::<Vec<_>>(), &options))
}

//! `--law pruning`: laws of pruned data for each way of pruning, and those ways against each other.

use super::asked::{Asked, LENGTH, LOSS, Reading};
use super::contrast::against;
use super::curve::selection;
use super::draw;
use crate::commands::fit::finding::{Finding as _, finding, foot, number};
use crate::commands::fit::fit_of_rows::FitOfRows;
use crate::commands::fit::request::Request;
use crate::commands::fit::rows::{Group, groups};
use crate::commands::shared::sheet::{Room, Sheet, Worth};
use crate::fit::laws::contrast;
use crate::fit::laws::pruning::{self, Pruning, Run};
use crate::fit::named::Dot;
use crate::fit::table::{self, Field};

pub(super) const LAW: Asked =
    Asked { takes: &[], read, draw: |told| vec![draw::runs(&draw::tokens(), "share kept", told)] };

/// Rows of the envelope that are printed.
const MOST_ROWS: usize = 20;

fn read<'a>(request: &'a Request<'a>) -> anyhow::Result<Reading<'a>> {
    let args = request.args;
    let check = |[keep, ..]: &[f64; 3]| {
        (*keep > 1.0).then(|| (0, format!("{keep} is not a share: write a number above 0 and up to 1")))
    };
    let fields = [&[Field::Keep], LENGTH, LOSS];
    let table = table::numbers(&args.runs, &request.columns, fields, &request.table, check)?;
    Ok(Box::new(move || {
        let mut groups = groups(table, &args.runs, args.drop_highest, |[.., loss]| *loss)?;
        // Runs that keep everything are those without pruning, whatever they would have been pruned by.
        let is_whole = |[keep, ..]: &[f64; 3]| *keep >= 1.0;
        let whole: Vec<[f64; 3]> =
            groups.iter().flat_map(|group| &group.rows).filter(|row| is_whole(row)).copied().collect();
        for group in groups.iter_mut().filter(|group| !group.rows.iter().any(is_whole)) {
            group.rows.extend(&whole);
        }
        let several = groups.len() > 1;
        let mut told: Vec<FitOfRows> = groups.into_iter().map(|group| fit(request, group)).collect();
        if several
            && let (table, names) = table::placed(&args.runs, &request.columns, &request.table)?
            && let Some((settings, made)) = against(request, table)?
        {
            told.push(FitOfRows::new(None, Box::new(contrast::fit(&settings, &names)), &made, Vec::new()));
        }
        Ok(told)
    }))
}

fn fit(request: &Request, Group { name, rows, made, .. }: Group<[f64; 3]>) -> FitOfRows {
    let points = rows.iter().map(|[keep, x, loss]| Dot { x: *x, loss: *loss, series: Some(*keep) }).collect();
    let runs: Vec<Run> = rows.into_iter().map(|[keep, tokens, loss]| Run { keep, tokens, loss }).collect();
    FitOfRows::new(name, Box::new(pruning::fit(&runs, &request.bootstrap)), &made, points)
}

finding!(Pruning, text);

/// The best share to keep, with the laws at it and without pruning.
fn text(fit: &Pruning, room: Room) -> String {
    let mut text = String::new();
    if !fit.envelope.is_empty() {
        let mut table = Sheet::new(["examples kept", "best share to keep", "loss"].map(|name| (name, Worth::Must)));
        for best in fit.envelope.iter().step_by(fit.envelope.len().div_ceil(MOST_ROWS).max(1)) {
            table.add_row([number(best.tokens), number(best.keep), number(best.loss)]);
        }
        text += &table.text(room);
    }
    text += &fit.shares.text(room);
    text += "At the best share. ";
    text += &selection(&fit.pruned, "examples kept", room);
    text += "At the largest share. ";
    text += &selection(&fit.unpruned, "examples kept", room);
    text + &foot(fit.status, fit.points, None, "points of the envelope", &fit.conclusion)
}

//! `--law tuning`: the rules of learning rate and batch size.

use std::fmt::Write as _;

use super::asked::{Asked, BATCH, LENGTH, LOSS, Plain, any};
use super::draw;
use crate::commands::fit::finding::{finding, number};
use crate::commands::fit::print::cell;
use crate::commands::shared::sheet::{Room, Sheet, Worth};
use crate::fit::named::Dot;
use crate::fit::table::Field;
use crate::fit::transfer::tuning::{self, Run, Tuning};
use crate::report::figure::{Axis, Unit};

pub(super) const LAW: Asked = Asked {
    takes: &[],
    read: |request| RUNS.read(request),
    draw: |told| vec![draw::runs(&Axis::new("peak learning rate", Unit::Count), "parameters", told)],
};

const RUNS: Plain<5> = Plain {
    // The rules of a spec follow parameters of blocks and unembedding.
    fields: [&[Field::ParamsBlocksAndUnembedding, Field::Params], LENGTH, &[Field::LearningRate], BATCH, LOSS],
    check: any,
    fit: |rows, request| {
        let run =
            |[params, tokens, learning_rate, batch, loss]: [f64; 5]| Run { params, tokens, learning_rate, batch, loss };
        Box::new(tuning::fit(&rows.into_iter().map(run).collect::<Vec<_>>(), &request.bootstrap))
    },
    dot: |[params, _, x, _, loss]| Dot { x: *x, loss: *loss, series: Some(*params) },
};

finding!(Tuning, text);

/// The best learning rate and batch size of each size, and the rules as a spec takes them.
fn text(tuning: &Tuning, room: Room) -> String {
    let mut table = Sheet::new([
        ("params", Worth::Must),
        ("tokens", Worth::More(2)),
        ("best learning rate", Worth::Must),
        ("status", Worth::Must),
        ("best batch", Worth::More(1)),
        ("best trained", Worth::More(3)),
        ("status of batch", Worth::More(3)),
        ("loss", Worth::More(2)),
    ]);
    for size in &tuning.sizes {
        table.add_row([
            number(size.params),
            number(size.tokens),
            cell(size.learning_rate, number),
            size.status.name().to_owned(),
            cell(size.batch, number),
            size.batch_trained.map_or_else(|| "-".to_owned(), number),
            size.batch_status.name().to_owned(),
            cell(size.loss, |loss| format!("{loss:.4}")),
        ]);
    }
    let mut text = table.text(room);
    let rules = [("learning_rate", "at_params", tuning.learning_rate), ("batch_tokens", "at_tokens", tuning.batch)];
    for (key, at, rule) in rules.into_iter().filter_map(|(key, at, rule)| Some((key, at, rule?))) {
        let _ = writeln!(
            text,
            "{key} = {{ value = {:.3e}, {at} = {:.3e}, exponent = {:.3} }}",
            rule.value.value, rule.at, rule.exponent.value
        );
    }
    text + &format!("status {}\n{}\n\n", tuning.status.name(), tuning.conclusion)
}

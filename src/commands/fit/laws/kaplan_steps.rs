//! `--law kaplan-steps`: L(N, S), from steps as they are or turned into the least steps.

use anyhow::ensure;

use super::asked::{Asked, BATCH, LOSS, Plain, Reading, STEPS, any};
use super::draw;
use crate::commands::fit::finding::Finding;
use crate::commands::fit::request::Request;
use crate::fit::laws::critical_batch::AgainstLoss;
use crate::fit::laws::kaplan;
use crate::fit::named::Dot;
use crate::fit::table::Field;
use crate::fit::table::resample::Units;
use crate::report::figure::{Axis, Unit};

pub(super) const LAW: Asked = Asked {
    takes: &["--critical-batch"],
    read,
    draw: |told| vec![draw::runs(&Axis::new("steps", Unit::Count), "parameters", told)],
};

const SIZE: &[Field] = &[Field::ParamsNonEmbedding, Field::Params];

fn read<'a>(request: &'a Request<'a>) -> anyhow::Result<Reading<'a>> {
    let given = &request.args.critical_batch;
    ensure!(
        [0, 2].contains(&given.len()) && given.iter().all(|x| x.is_finite() && *x > 0.0),
        "--critical-batch: write a number of tokens and an exponent, B,ALPHA, both above zero"
    );
    if given.is_empty() {
        let plain = Plain {
            fields: [SIZE, STEPS, LOSS],
            check: any,
            fit: |rows, request| {
                tell!("note: steps are taken as they are; --critical-batch B,ALPHA turns them into the least steps");
                fit(&rows, request)
            },
            dot: |[params, x, loss]| Dot { x: *x, loss: *loss, series: Some(*params) },
        };
        plain.read(request)
    } else {
        let plain = Plain {
            fields: [SIZE, STEPS, BATCH, LOSS],
            check: any,
            fit: |rows, request| {
                let law =
                    AgainstLoss { b_star: request.args.critical_batch[0], alpha_b: request.args.critical_batch[1] };
                let least = |[n, s, batch, loss]: &[f64; 4]| [*n, law.least_steps(*s, *batch, *loss), *loss];
                fit(&rows.iter().map(least).collect::<Vec<_>>(), request)
            },
            dot: |[params, x, _, loss]| Dot { x: *x, loss: *loss, series: Some(*params) },
        };
        plain.read(request)
    }
}

fn fit(rows: &[[f64; 3]], request: &Request) -> Box<dyn Finding> {
    let units = Units::of_repeats(rows.iter().map(|[params, steps, _]| [*params, *steps]));
    Box::new(kaplan::params_and_steps(rows, &units, &request.bootstrap))
}

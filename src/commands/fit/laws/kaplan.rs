//! `--law kaplan`: Kaplan's L(N, D) under every convention of counting that the table tells.

use super::asked::{Asked, Reading};
use super::draw;
use crate::commands::fit::fit_of_rows::FitOfRows;
use crate::commands::fit::request::{Request, require_budgets};
use crate::commands::fit::rows::{Group, groups};
use crate::fit::laws::{kaplan, power};
use crate::fit::named::Dot;
use crate::fit::table;
use crate::fit::table::resample::Units;
use crate::observation::{Counting, Observation};

pub(super) const LAW: Asked = Asked {
    takes: &["--resample budgets", "--budget-tolerance", "--tokens-from-flops"],
    read,
    draw: |told| vec![draw::runs(&draw::tokens(), "parameters", told)],
};

fn read<'a>(request: &'a Request<'a>) -> anyhow::Result<Reading<'a>> {
    let args = request.args;
    let table = table::read(&args.runs, &request.columns, &request.table)?;
    Ok(Box::new(move || {
        let mut told = Vec::new();
        for mut group in groups(table, &args.runs, args.drop_highest, |run| run.loss)? {
            group.share_budgets(request);
            let countings: Vec<Counting> = group.countings().collect();
            if group.rows.len() > power::MOST {
                let all = group.rows.len();
                tell!("note: the law is fitted to an even share of at most {} of the {all} rows", power::MOST);
            }
            require_budgets(request, group.rows.iter().map(Observation::budget))?;
            group.rows.sort_by(|a, b| a.flops.total_cmp(&b.flops).then(a.params.total_cmp(&b.params)));
            told.extend(countings.into_iter().map(|counting| fit(request, &group, counting)));
        }
        Ok(told)
    }))
}

fn fit(request: &Request, Group { name, rows, made, .. }: &Group<Observation>, counting: Counting) -> FitOfRows {
    let share = rows.len().div_ceil(power::MOST).max(1);
    let counted = rows.iter().step_by(share).filter_map(|run| Some((run.params_by(counting)?, run)));
    let (places, budgets): (Vec<kaplan::Point>, Vec<f64>) =
        counted.map(|(params, run)| ([params, run.tokens, run.loss], run.budget())).unzip();
    let units =
        Units::new(request.args.resample, &budgets, places.iter().map(|[params, tokens, _]| [*params, *tokens]));
    let points = rows.iter().map(|run| Dot { x: run.tokens, loss: run.loss, series: Some(run.params) }).collect();
    let fit = kaplan::params_and_tokens(&places, &units, &request.bootstrap);
    let mut told = FitOfRows::new(name.clone(), Box::new(fit), made, points);
    told.labels.push(("counting", Some(counting.name().to_owned())));
    told.title = format!("Parameters counted as {}\n", counting.name());
    told
}

//! `--law composition`: from the columns of shares and losses to the mixtures that are compared.

use anyhow::ensure;

use super::request::Request;
use super::rows::{Group, Made, groups};
use crate::fit::laws::composition::{self, Composition, Run};
use crate::fit::named::Dot;
use crate::fit::table::named::{self, Wanted};
use crate::fit::table::{self, PART_LOSS, SHARE};

/// Ends the columns of standard errors.
const ERROR: &str = "_se";

/// The mixtures of one group of rows.
pub(super) struct Compared {
    pub(super) group: Option<String>,
    pub(super) fit: Composition,
    pub(super) made: Made,
    /// What is drawn of its rows.
    pub(super) points: Vec<Dot>,
}

/// A table of mixtures.
pub(super) struct Mixtures {
    read: named::Read,
    /// Its columns of shares.
    shares: Vec<String>,
    /// Its columns of losses on parts.
    losses: Vec<String>,
}

/// The table as this law reads it.
pub(super) fn table(request: &Request) -> anyhow::Result<Mixtures> {
    let args = request.args;
    let headers = named::headers(&args.runs)?;
    let begin =
        |prefix: &str| -> Vec<String> { headers.iter().filter(|header| header.starts_with(prefix)).cloned().collect() };
    let shares = begin(SHARE);
    ensure!(
        shares.len() > 1,
        "{}: {} columns begin with '{SHARE}', and a mixture has two or more parts",
        args.runs.display(),
        shares.len()
    );
    let losses: Vec<String> = begin(PART_LOSS).into_iter().filter(|header| !header.ends_with(ERROR)).collect();
    let scale = ["N", "D"].map(str::to_owned);
    let wanted = Wanted { target: "L".to_owned(), names: [&scale[..], &shares, &losses].concat(), ..Wanted::default() };
    let options = table::Options { by: args.by.clone(), ..request.table.clone() };
    let read = named::read(&args.runs, &request.columns, &wanted, &options)?;
    let missing = scale.iter().zip(["params", "tokens"]).find(|(name, _)| !read.found.contains(name));
    ensure!(
        missing.is_none(),
        "{}: no column of {}, and mixtures are compared size by size; name it with --columns",
        args.runs.display(),
        missing.map_or("", |(_, noun)| noun)
    );
    Ok(Mixtures { read, shares, losses })
}

/// The best mixtures of each group of rows.
pub(super) fn fits(request: &Request) -> anyhow::Result<Vec<Compared>> {
    let args = request.args;
    let Mixtures { read, shares, losses } = table(request)?;
    let plain = |columns: &[String], prefix: &str| -> Vec<String> {
        columns.iter().map(|column| column[prefix.len()..].to_owned()).collect()
    };
    let parts = plain(&shares, SHARE);
    let mut fits = Vec::new();
    let measured = if losses.is_empty() { vec!["the loss".to_owned()] } else { plain(&losses, PART_LOSS) };
    for Group { name, rows, made, .. } in groups(read.table, &args.runs, args.drop_highest, |row| row.target)? {
        let run = |row: &named::Named| {
            let (shares, losses) = row.numbers[2..].split_at(parts.len());
            Run {
                params: row.numbers[0],
                tokens: row.numbers[1],
                shares: shares.to_vec(),
                losses: if losses.is_empty() { vec![row.target] } else { losses.to_vec() },
            }
        };
        let runs: Vec<Run> = rows.iter().map(run).collect();
        let sums = runs.iter().map(|run| run.shares.iter().sum::<f64>());
        if let Some(sum) = sums.into_iter().find(|sum| (sum - 1.0).abs() > 1e-3) {
            anyhow::bail!(
                "{}: the shares of a row add up to {sum}; write shares that add up to 1",
                args.runs.display()
            );
        }
        let points = rows.iter().map(|row| Dot { x: row.numbers[0], loss: row.target, series: None }).collect();
        let fit = composition::fit(&parts, &measured, &runs, &request.bootstrap);
        fits.push(Compared { group: name, fit, made, points });
    }
    Ok(fits)
}

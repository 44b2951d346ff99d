//! What laws of measures read: columns of what was measured of models beside their loss.

use anyhow::bail;

use crate::columns;
use crate::commands::fit::request::Request;
use crate::fit::named::Law;
use crate::fit::table;
use crate::fit::table::named::{self, Read, Wanted};

/// The table with these columns as numbers, and their places in its rows; and with the columns of `labels` beside them, and
/// the size, as far as all rows have these. A measure has in `runs.csv` a column for its value beside that for its error.
pub(super) fn read(
    request: &Request,
    law: Law,
    names: &[String],
    labels: fn(&str) -> bool,
) -> anyhow::Result<(Read, Vec<usize>)> {
    let args = request.args;
    let headers = named::headers(&args.runs)?;
    let column = |name: &String| {
        let [value, ..] = columns::evaluated(name);
        if headers.contains(&value) { value } else { name.clone() }
    };
    let names: Vec<String> = names.iter().map(column).collect();
    let wanted = Wanted { target: "L".to_owned(), names: names.clone(), whole: true, ..Wanted::default() };
    // What the law is about is a number, not a name of groups.
    let options = table::Options { by: None, ..request.table.clone() };
    let read = |wanted: &Wanted| named::read(&args.runs, &request.columns, wanted, &options);
    let labels: Vec<String> = headers.iter().filter(|header| labels(header)).cloned().collect();
    let read = if labels.is_empty() {
        read(&wanted)?
    } else {
        // A row that lacks one of them has a loss and a measure all the same.
        let with = Wanted { indices: labels, beside: vec!["N".to_owned()], ..wanted.clone() };
        read(&with).or_else(|_| read(&wanted))?
    };
    let place = |name: &String| read.found.iter().position(|found| found == name);
    let Some(places) = names.iter().map(place).collect::<Option<Vec<_>>>() else {
        let lacking = names.iter().filter(|name| place(name).is_none()).cloned().collect::<Vec<_>>().join(", ");
        let (path, columns) = (args.runs.display(), read.headers.join(", "));
        bail!("{path} has no column {lacking}, which --law {} needs; it has {columns}", law.name());
    };
    Ok((read, places))
}

//! `runner fit --formula`, and the laws of the literature that are formulas.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};

use super::columns::{add_up, left_out, mixed_sizes, of_dense_models};
use super::outliers::warn_of_contradicted;
use super::print_formula::{self, Said};
use super::request::{Request, require_budgets};
use super::rows::{Group, Made, groups};
use crate::cli;
use crate::columns::SHARE;
use crate::commands::positive;
use crate::fit::Bootstrap;
use crate::fit::approaches::approach3;
use crate::fit::formula::{self, Asked, Data, Formula, FormulaError, Grouping, Measure, Residual};
use crate::fit::laws::forms::{self, Form, mixtures};
use crate::fit::laws::written::ranking::{self, Candidate, Ranking};
use crate::fit::laws::written::{self, Written, outside};
use crate::fit::named::{Dot, Law};
use crate::fit::table::named::{self, Named, Read, Wanted};
use crate::fit::table::resample::Resample;
use crate::fit::table::{Columns, TableError};

/// A formula with its name and what is said of its unknowns.
struct Asking {
    name: String,
    formula: Formula,
    unknowns: Vec<Asked>,
    /// The names that must be columns; whatever is one where nothing is said.
    columns: Option<&'static [&'static str]>,
    /// Whether its indices are columns that are read.
    grouped: bool,
}

/// Rows above which an even share is fitted.
const MOST: usize = 4000;
/// Starts of the laws beside the one that was asked for.
const BESIDE: usize = 24;

/// The laws of a request with the table that they read.
pub(super) struct Prepared {
    asking: Vec<Asking>,
    /// How many of the laws were asked for; the others stand beside them.
    count: usize,
    laws: Vec<Candidate>,
    cost: Option<Formula>,
    read: Read,
}

impl Prepared {
    /// The laws that were asked for, with those of the literature `beside` them where these are wanted too.
    fn of(request: &Request, law: Option<Law>, beside: bool) -> anyhow::Result<Self> {
        Self::with(request, law, beside, false)
    }

    /// The same where losses may be missing if they are `open`.
    fn with(request: &Request, law: Option<Law>, beside: bool, open: bool) -> anyhow::Result<Self> {
        let args = request.args;
        let mut asking = own(request, law)?;
        let count = asking.len();
        let target = asking.first().map_or("loss", |one| one.formula.names.target.0.as_str()).to_owned();
        let mut notes = Vec::new();
        if beside {
            let others = others(request, law, &target, &asking)?;
            asking.extend(others);
        }
        let of_mixtures = asking.iter().find(|one| one.name == mixtures::NAME && !one.grouped);
        if let Some(left_out) = of_mixtures.and_then(|law| left_out(request, &law.formula)) {
            notes.push(left_out);
        }
        let mut columns = request.columns.clone();
        if asking[..count].iter().any(|one| one.columns.is_some_and(|must| must.contains(&"experts"))) {
            notes.extend(of_dense_models(&named::headers(&args.runs)?, &mut columns));
        }
        let cost = args.formula.cost.as_deref().map(Formula::of_cost).transpose()?;
        let mut read = read(request, &columns, &asking, count, (&target, open), cost.as_ref())?;
        let laws = laws(&asking, count, &read)?;
        ensure!(!laws.is_empty(), "{}: no law of losses has all of its columns here", args.runs.display());
        let asked = laws.iter().take(count);
        let used: Vec<String> = asked.flat_map(|one| one.law.columns.iter().chain(&one.law.indices)).cloned().collect();
        if count > 0 {
            let told: Vec<String> = args.by.iter().chain(&args.tuned).cloned().collect();
            notes.extend(read.note_of_unused(&used, &told));
        }
        if !open {
            read.table.warnings.extend(mixed_sizes(&laws[..count.min(laws.len())], &read));
            read.table.notes.extend(notes);
        }
        Ok(Self { asking, count, laws, cost, read })
    }

    /// The rows of a group by column.
    fn data(&self, request: &Request, rows: Vec<Named>) -> anyhow::Result<Data> {
        let data = data(request, &self.read.found, &self.asking, rows, self.cost.as_ref())?;
        require_costs(request, &data)?;
        Ok(data)
    }

    /// The groups of rows, each once.
    fn groups(&mut self, request: &Request) -> anyhow::Result<Vec<Group<Named>>> {
        let args = request.args;
        groups(std::mem::take(&mut self.read.table), &args.runs, args.drop_highest, |row| row.target)
    }

    /// One law alone, as a spec asks for it, fitted to each group of rows; of all laws the best.
    pub(super) fn alone(mut self, request: &Request) -> anyhow::Result<Vec<Alone>> {
        let options = options(request)?;
        let mut fits = Vec::new();
        for Group { name: group, rows, made, .. } in self.groups(request)? {
            let data = self.data(request, rows)?;
            let ranking =
                (request.args.law == Some(Law::All)).then(|| ranking::rank(&self.laws, &data, &options, &options));
            let one = match &ranking {
                Some(ranking) => best(ranking, &self.laws).context(NONE)?,
                None => self.laws.first().context("no law was asked for")?,
            };
            let fit = written::fit(&one.law, &data, &options)?;
            warn_of_contradicted(group.as_deref(), &one.law, &data, &fit, &options);
            let won = ranking.map(|ranking| {
                let rivals = outside::rivals(&fit, &one.name, &ranking);
                Ok::<_, serde_json::Error>(Won {
                    ranking,
                    name: one.name.clone(),
                    rivals: serde_json::to_value(rivals)?,
                })
            });
            let columns = [0, one.law.columns.len().min(2) - 1].map(|at| one.law.columns[at].clone());
            let [series, x] = [&data.columns[&columns[0]], &data.columns[&columns[1]]];
            let several = columns[0] != columns[1];
            let dot = |row: usize| Dot { x: x[row], loss: data.loss[row], series: several.then(|| series[row]) };
            let points = (0..data.len()).map(dot).collect();
            fits.push(Alone { group, fit, made, points, columns, won: won.transpose()? });
        }
        Ok(fits)
    }
}

/// Fits the formulas that were asked for and returns what is to be printed.
pub(super) fn run(request: &Request, law: Option<Law>) -> anyhow::Result<String> {
    refuse(request)?;
    let options = options(request)?;
    let mut asked = Prepared::of(request, law, true)?;
    let mut text = String::new();
    for Group { name, rows, made, .. } in asked.groups(request)? {
        let data = asked.data(request, rows)?;
        let said = Said { request, name: name.as_deref(), made: &made };
        text += &group(&said, &asked.laws, asked.count, &data, &options)?;
    }
    Ok(text)
}

/// Reads the table of a request as one law alone needs it: a law of the literature, the formula of the request, or all laws.
pub(super) fn prepare(request: &Request) -> anyhow::Result<Prepared> {
    refuse(request)?;
    options(request)?;
    let law = request.args.law;
    let asked = Prepared::of(request, law, law == Some(Law::All))?;
    for (_, rows) in asked.read.table.groups.split(asked.read.table.rows.clone()) {
        let data = asked.data(request, rows)?;
        asked.laws.iter().take(asked.count).try_for_each(|one| written::require(&one.law, &data))?;
        // Of all laws one is enough.
        ensure!(asked.laws.iter().any(|one| written::require(&one.law, &data).is_ok()), NONE);
    }
    Ok(asked)
}

/// The laws of the literature beside those that were asked for. They are laws of losses: beside a formula of a rate or of a
/// batch they mean nothing.
fn others(request: &Request, law: Option<Law>, target: &str, asking: &[Asking]) -> anyhow::Result<Vec<Asking>> {
    if !named::is_loss(target) {
        return Ok(Vec::new());
    }
    let all = law == Some(Law::All);
    // Those with a fit of their own take part where every law was asked for: beside one law they would only take time.
    let further = forms::FURTHER.iter().filter(|_| all);
    let known = |form: &Form| asking.iter().any(|one| one.name == form.name);
    // The index of a law of the literature is the column of --by, which otherwise splits the table.
    let has_groups = |form: &Form| !form.has_groups() || (all && request.args.by.is_some());
    let wanted = forms::ALL.iter().chain(further).filter(|form| !known(form) && has_groups(form));
    let mut others = wanted.map(|form| of_form(form, target, request)).collect::<anyhow::Result<Vec<_>>>()?;
    if all {
        let headers = named::headers(&request.args.runs)?;
        if let Some(text) = mixtures::formula(&headers, add_up(request, target, &headers)) {
            others.push(of_mixtures(&text, Vec::new())?);
        }
    }
    Ok(others)
}

/// A law fitted to one group of rows, as a spec asks for it.
pub(super) struct Alone {
    pub(super) group: Option<String>,
    pub(super) fit: Written,
    pub(super) made: Made,
    /// What is drawn of its rows.
    pub(super) points: Vec<Dot>,
    /// The columns that tell the series apart and the place of a row.
    pub(super) columns: [String; 2],
    /// The ranking that it won, where every law was asked for.
    pub(super) won: Option<Won>,
}

/// Several laws, of which one won.
pub(super) struct Won {
    pub(super) ranking: Ranking,
    /// The law that won.
    pub(super) name: String,
    /// Those that fit as well, as JSON says them.
    pub(super) rivals: serde_json::Value,
}

/// What is said where no law of a ranking has numbers.
const NONE: &str = "no law of losses could be fitted to these rows: there are too few of them, or they do not differ";

/// The law that a ranking puts first.
fn best<'a>(ranking: &Ranking, laws: &'a [Candidate]) -> Option<&'a Candidate> {
    let first = ranking.laws.first().filter(|law| law.failure.is_none())?;
    laws.iter().find(|law| law.name == first.name)
}

/// One group of rows and the law of them, where it is not fitted here.
pub(in crate::commands) struct Unfitted {
    pub(in crate::commands) group: Option<String>,
    pub(in crate::commands) name: String,
    pub(in crate::commands) law: formula::Law,
    pub(in crate::commands) data: Data,
}

/// The rows of a table with the law that was asked for; losses that are `open` may be missing.
pub(super) fn unfitted(request: &Request, law: Option<Law>, open: bool) -> anyhow::Result<Vec<Unfitted>> {
    ensure!(law != Some(Law::All), "--law all is several laws: name one");
    let mut asked = Prepared::with(request, law, false, open)?;
    let Candidate { name, law } = asked.laws[0].clone();
    let mut parts = Vec::new();
    for Group { name: group, rows, .. } in asked.groups(request)? {
        let data = asked.data(request, rows)?;
        parts.push(Unfitted { group, name: name.clone(), law: law.clone(), data });
    }
    Ok(parts)
}

/// One group of rows: the law that was asked for beside its rivals, or several laws ranked.
fn group(
    said: &Said<'_>,
    laws: &[Candidate],
    count: usize,
    data: &Data,
    options: &written::Options,
) -> anyhow::Result<String> {
    let beside = written::Options { starts: options.starts.min(BESIDE), ..*options };
    let alone = count == 1;
    let ranking = ranking::rank(laws, data, options, if alone { &beside } else { options });
    let mut text = String::new();
    let first = if alone { Some(&laws[0]) } else { best(&ranking, laws) };
    if !alone {
        text += &said.ranking(&ranking)?;
    }
    // What could not be fitted is told by the ranking, law by law.
    let Some(first) = first else { return Ok(text) };
    let fit = written::fit(&first.law, data, options)?;
    warn_of_contradicted(said.name, &first.law, data, &fit, options);
    let rivals = outside::rivals(&fit, &first.name, &ranking);
    text += &said.law(first, &fit, &rivals)?;
    if alone && ranking.laws.len() > 1 {
        text += &said.ranking(&ranking)?;
    }
    if let Some(path) = &said.request.args.formula.figure {
        let as_good = |rival: &outside::Rival| laws.iter().find(|law| law.name == rival.name).map(|law| &law.law);
        let beside: Vec<(&formula::Law, &[f64])> =
            rivals.iter().filter_map(|rival| Some((as_good(rival)?, rival.values.as_slice()))).collect();
        print_formula::write_figures(path, first, data, &fit, &beside)?;
    }
    Ok(text)
}

/// Flags that would be ignored.
fn refuse(request: &Request) -> anyhow::Result<()> {
    let args = request.args;
    let unused = [
        ("--against", args.against.is_some()),
        ("--target-loss", !args.target_loss.is_empty()),
        ("--budget-tolerance", args.budget_tolerance.is_some()),
        ("--tokens-from-flops", args.tokens_from_flops),
        ("--starts", !args.starts.is_empty()),
        ("--critical-batch", !args.critical_batch.is_empty()),
        ("--recount", args.recount.is_some()),
        ("--exclude-outliers", args.exclude_outliers),
    ];
    for (flag, given) in unused {
        ensure!(!given, "{flag} means nothing with a law that is a formula: leave it out");
    }
    let robust = args.formula.objective == cli::Objective::Huber;
    ensure!(args.delta.is_none() || robust, "--delta: only a Huber loss has it, so write --objective huber too");
    if let Some(figure) = &args.formula.figure {
        print_formula::check_figure(figure, &args.runs)?;
    }
    Ok(())
}

/// Flags of formulas where no law is one.
pub(super) fn refuse_alone(args: &cli::FormulaArgs) -> anyhow::Result<()> {
    let unused = [
        ("--unknown", !args.unknown.is_empty()),
        ("--cost", args.cost.is_some()),
        ("--figure", args.figure.is_some()),
        ("--residuals plain", args.residuals == Residual::Plain),
        ("--objective huber", args.objective == cli::Objective::Huber),
        ("--overestimates", (args.overestimates - 1.0).abs() > 0.0),
    ];
    for (flag, given) in unused {
        ensure!(!given, "{flag} belongs to --formula or a law that is a formula, such as --law farseer");
    }
    Ok(())
}

/// Whole budgets can be drawn where rows tell what they cost.
fn require_costs(request: &Request, data: &Data) -> anyhow::Result<()> {
    let costs = data.cost.as_deref();
    ensure!(
        request.args.resample != Resample::Budgets || costs.is_some(),
        "--resample budgets draws rows of one cost together, and nothing tells the cost here: write --cost, or a column of FLOPs"
    );
    require_budgets(request, costs.unwrap_or_default().iter().copied())
}

/// What is minimised, and how often.
fn options(request: &Request) -> anyhow::Result<written::Options> {
    let args = &request.args.formula;
    let huber = args.objective == cli::Objective::Huber;
    let delta = if huber { request.args.delta.unwrap_or(approach3::DELTA) } else { f64::INFINITY };
    let residual = if request.is_plain() { Residual::Plain } else { Residual::Log };
    let measure = Measure { residual, delta, above: positive("overestimates", args.overestimates)? };
    let bootstrap: Bootstrap = request.bootstrap;
    Ok(written::Options { measure, starts: args.multistart as usize, bootstrap, resample: request.args.resample })
}

/// What was asked for: formulas, or one of the literature.
fn own(request: &Request, law: Option<Law>) -> anyhow::Result<Vec<Asking>> {
    let args = request.args;
    let unknowns = asked(&args.formula.unknown)?;
    for (at, one) in unknowns.iter().enumerate() {
        let twice = unknowns[..at].iter().any(|other| other.name == one.name);
        ensure!(!twice, "--unknown {}: it is said twice: write one of the two", one.name);
    }
    let written = |(at, text): (usize, &String)| -> anyhow::Result<Asking> {
        let name = if args.formula.formula.len() == 1 { "formula".to_owned() } else { format!("formula {}", at + 1) };
        Ok(Asking { name, formula: Formula::parse(text)?, unknowns: unknowns.clone(), columns: None, grouped: true })
    };
    let form = match law {
        None => return args.formula.formula.iter().enumerate().map(written).collect(),
        Some(Law::All) => return Ok(Vec::new()),
        Some(Law::Mixtures) => {
            let headers = named::headers(&args.runs)?;
            let text = mixtures::formula(&headers, add_up(request, "loss", &headers)).with_context(|| {
                format!("{}: no column begins with '{SHARE}', as those of shares do", args.runs.display())
            })?;
            return Ok(vec![of_mixtures(&text, unknowns)?]);
        }
        Some(law) => forms::named(law.name()).context("not a law that is a formula")?,
    };
    let mut asking = of_form(form, "loss", request)?;
    asking.unknowns.extend(unknowns);
    Ok(vec![asking])
}

fn of_mixtures(text: &str, unknowns: Vec<Asked>) -> anyhow::Result<Asking> {
    let (name, formula) = (mixtures::NAME.to_owned(), Formula::parse(text)?);
    Ok(Asking { name, formula, unknowns, columns: None, grouped: false })
}

fn of_form(form: &Form, target: &str, request: &Request) -> anyhow::Result<Asking> {
    let group = request.args.by.as_deref().unwrap_or("group");
    let texts: Vec<String> = form.unknowns.iter().map(|text| (*text).to_owned()).collect();
    Ok(Asking {
        name: form.name.to_owned(),
        formula: Formula::parse(&form.written(target, group))?,
        unknowns: asked(&texts)?,
        columns: Some(form.columns),
        grouped: form.has_groups(),
    })
}

fn asked(texts: &[String]) -> anyhow::Result<Vec<Asked>> {
    texts.iter().map(|text| Asked::parse(text).map_err(|what| anyhow::anyhow!("--unknown {what}"))).collect()
}

/// The table with the columns that any of the formulas names.
///
/// What only the laws beside those that were asked for need, the ones after the first `count`, may be missing or in part.
fn read(
    request: &Request,
    columns: &Columns,
    asking: &[Asking],
    count: usize,
    (target, open): (&str, bool),
    cost: Option<&Formula>,
) -> anyhow::Result<Read> {
    let mut wanted = Wanted { target: target.to_owned(), open, ..Wanted::default() };
    let add = |list: &mut Vec<String>, name: &str| {
        if !list.iter().any(|known| known == name) {
            list.push(name.to_owned());
        }
    };
    for (at, one) in asking.iter().enumerate() {
        let must = one.columns;
        let list = if at < count { &mut wanted.names } else { &mut wanted.beside };
        let used = one.formula.names.used.iter().map(|(name, _)| name.as_str());
        used.filter(|name| must.is_none_or(|must| must.contains(name))).for_each(|name| add(list, name));
        if one.name == mixtures::NAME && !one.grouped {
            for share in mixtures::shares(&named::headers(&request.args.runs)?) {
                add(list, &share);
            }
        }
        if one.grouped {
            one.formula.names.indices.iter().for_each(|(name, _)| add(&mut wanted.indices, name));
        }
    }
    cost.iter().flat_map(|cost| &cost.names.used).for_each(|(name, _)| add(&mut wanted.names, name));
    for one in asking.iter().filter(|one| one.columns.is_none()) {
        if let Some((name, place)) = &one.formula.names.indices.iter().find(|(name, _)| wanted.names.contains(name)) {
            return Err(one
                .formula
                .wrong(place, format!("'{name}' is an index and a number too: it can be one of them"))
                .into());
        }
        let other = &one.formula.names.target;
        if other.0 != target {
            let what = format!("formulas that are compared predict the same column, and the first predicts '{target}'");
            return Err(one.formula.wrong(&other.1, what).into());
        }
    }
    // Groups that a law tells apart itself are no parts of the table.
    let splits = !wanted.indices.iter().any(|index| Some(index) == request.args.by.as_ref());
    let table = crate::fit::table::Options { by: request.args.by.clone().filter(|_| splits), ..request.table.clone() };
    let read = named::read(&request.args.runs, columns, &wanted, &table);
    read.map_err(|error| match error {
        TableError::Named { name, cell } => in_formula(
            asking,
            &name,
            format!("{cell}. For groups write the column as an index of an unknown, as in A{{{name}}}"),
        ),
        TableError::Predicted { ref name, .. } => in_formula(asking, name, error.to_string()),
        TableError::Target { .. } => match asking.iter().find(|one| one.formula.names.target.0 == target) {
            Some(one) => one.formula.wrong(&one.formula.names.target.1, error.to_string()).into(),
            None => error.into(),
        },
        TableError::By { ref column, ref found, .. } if Some(column) != request.args.by.as_ref() => {
            let what = format!("the index '{column}' is no column of the table; the columns are {found}");
            let index = asking.iter().find_map(|one| {
                let (_, place) = one.formula.names.indices.iter().find(|(name, _)| name == column)?;
                Some(one.formula.wrong(place, what.clone()))
            });
            index.map_or_else(|| error.into(), Into::into)
        }
        other => other.into(),
    })
}

/// What is wrong with a column, with the place in the formula that names it.
fn in_formula(asking: &[Asking], name: &str, what: String) -> anyhow::Error {
    let place = asking.iter().find_map(|one| {
        let (_, place) = one.formula.names.used.iter().find(|(used, _)| used == name)?;
        Some(one.formula.wrong(place, what.clone()))
    });
    place.map_or_else(|| anyhow::anyhow!(what), Into::into)
}

/// The laws of the formulas: those that were asked for, the first `count`, and others whose columns are there.
fn laws(asking: &[Asking], count: usize, read: &Read) -> anyhow::Result<Vec<Candidate>> {
    let is_column = |name: &str| read.found.iter().any(|found| found == name);
    let mut laws: Vec<Candidate> = Vec::new();
    for (at, one) in asking.iter().enumerate() {
        if let Some(must) = one.columns {
            let missing: Vec<&str> = must.iter().copied().filter(|name| !is_column(name)).collect();
            if !missing.is_empty() {
                ensure!(
                    at >= count,
                    "--law {}: the table has no column for {}; --columns {}=NAME says which one it is. The columns are {}",
                    one.name,
                    missing.join(", "),
                    missing[0],
                    read.headers.join(", ")
                );
                continue;
            }
        } else if at < count {
            refuse_slips(one, read)?;
        }
        let must = |name: &str| is_column(name) && one.columns.is_none_or(|must| must.contains(&name));
        let named = |asked: &&Asked| {
            one.columns.is_some() || one.formula.names.used.iter().any(|(used, _)| *used == asked.name)
        };
        // With several formulas what is said of unknowns belongs to those that have them.
        let unknowns: Vec<Asked> = one.unknowns.iter().filter(|asked| count < 2 || named(asked)).cloned().collect();
        let law = match one.formula.law(&must, &unknowns) {
            // Nobody asked for it, and its columns are there in part.
            Err(_) if at >= count => continue,
            law => law?,
        };
        if let Some(same) = laws.iter().find(|same| same.law.canonical() == law.canonical()) {
            if at < count {
                let what = format!("this is the law '{}' with other names: leave one of them out", same.name);
                return Err(one.formula.wrong(&law.right_side(), what).into());
            }
            continue;
        }
        laws.push(Candidate { name: one.name.clone(), law });
    }
    Ok(laws)
}

/// Names that are nearly columns.
fn refuse_slips(one: &Asking, read: &Read) -> Result<(), FormulaError> {
    let plain =
        |text: &str| text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>();
    let names = &one.formula.names.used;
    let is_column = |name: &str| read.found.iter().any(|found| found == name);
    for (name, place) in names.iter().filter(|(name, _)| !is_column(name)) {
        if one.unknowns.iter().any(|asked| asked.name == *name) {
            continue;
        }
        let letter = |upper: &str| !names.iter().any(|(used, _)| used == upper);
        let near = match name.as_str() {
            "n" if letter("N") => Some("N"),
            "d" if letter("D") => Some("D"),
            "c" if letter("C") && read.headers.iter().any(|header| header == "C") => Some("C"),
            _ => read.headers.iter().map(String::as_str).find(|header| {
                let (a, b) = (plain(name), plain(header));
                (a == b && a.len() > 1) || (a.len() > 3 && strsim::normalized_damerau_levenshtein(&a, &b) > 0.75)
            }),
        };
        if let Some(near) = near {
            let what = format!(
                "'{name}' is no column, so it would be looked for; is '{near}' meant? If it is an unknown, say --unknown {name}"
            );
            return Err(one.formula.wrong(place, what));
        }
    }
    Ok(())
}

/// Rows by column, at most so many of them.
fn data(
    request: &Request,
    found: &[String],
    asking: &[Asking],
    mut rows: Vec<Named>,
    cost: Option<&Formula>,
) -> anyhow::Result<Data> {
    let plain = request.is_plain();
    if let Some(row) = rows.iter().find(|row| row.target <= 0.0 && !plain) {
        let first = asking.first().context("no law")?;
        let what = format!("a row has {}, which has no logarithm: fit --residuals plain", row.target);
        return Err(first.formula.wrong(&first.formula.names.target.1, what).into());
    }
    if rows.len() > MOST {
        tell!("note: laws are fitted to an even share of at most {MOST} of the {} rows", rows.len());
        let share = rows.len().div_ceil(MOST);
        rows = rows.into_iter().step_by(share).collect();
    }
    let column = |at: usize| rows.iter().map(|row| row.numbers[at]).collect::<Vec<f64>>();
    let columns: BTreeMap<String, Vec<f64>> =
        found.iter().enumerate().map(|(at, name)| (name.clone(), column(at))).collect();
    let mut indices: Vec<&String> = Vec::new();
    for (name, _) in asking.iter().filter(|one| one.grouped).flat_map(|one| &one.formula.names.indices) {
        if !indices.contains(&name) {
            indices.push(name);
        }
    }
    let grouping =
        |(at, name): (usize, &&String)| ((*name).clone(), Grouping::of(rows.iter().map(|row| row.labels[at].as_str())));
    let costs = match cost {
        Some(cost) => Some(cost.values(&columns, rows.len())?),
        None => rows.iter().map(|row| row.cost).collect(),
    };
    Ok(Data {
        groups: indices.iter().enumerate().map(grouping).collect(),
        columns,
        loss: rows.iter().map(|row| row.target).collect(),
        cost: costs,
    })
}

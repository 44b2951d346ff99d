//! `runner`: how language-model loss scales, measured on your own machine.
//!
//! ```text
//! spec (TOML) -> plan (grid of runs, FLOPs counted) -> execute (train each run, one result each)
//!             -> fit (laws with intervals) -> report (figures, page)
//! ```
//!
//! ```
//! use runner::units::Flops;
//!
//! let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/sweeps/quickstart.toml"));
//! let longer = runner::spec::edit(text, &["sweep.budgets=[1e12, 2e12, 4e12]".to_owned()])?;
//! let spec = runner::spec::parse(&longer, "quickstart.toml")?;
//! assert_eq!(spec.sweep.unwrap().budgets.unwrap().len(), 3);
//! assert_eq!(Flops(4e12).to_string(), "4e12");
//! # Ok::<(), runner::spec::SpecError>(())
//! ```
//!
//! Data flows one way. A stage is a function from value to value; results are printed by
//! [`commands`] alone; progress and warnings of a device or a program go to stderr from where they arise.
//!
//! | module | owns | uses |
//! |---|---|---|
//! | [`units`] | parameters, tokens, FLOPs and how they print | nothing |
//! | [`parameterization`] | THE table: init, learning rate, multiplier, decay by role | nothing |
//! | [`model`] | the parts of models: weights, roles, FLOPs, what they compute, how they are exported | parameterization |
//! | [`optimizer`] | THE table of optimizers: keys, what is kept, the step | parameterization |
//! | [`foreign`] | what a file is that somebody gives by mistake | nothing |
//! | [`lines`] | lines of text files that end as on Unix, and JSON as Python prints it | nothing |
//! | [`shell`] | words as a shell takes them | nothing |
//! | [`whole`] | files that are whole or absent | nothing |
//! | [`goal`] | what a sweep that chooses or stops its runs goes by | nothing |
//! | [`observation`] | one measured point, the noun shared by ledger and fits | nothing |
//! | [`provenance`] | what this program was built from | nothing |
//! | [`spec`] | TOML to validated structs, errors with file, line and key | parameterization, model, optimizer, goal, fit (the names of laws) |
//! | [`plan`] | shapes, parameter counts, FLOPs, the grid, run identity | spec, parameterization, model, optimizer, observation, units |
//! | [`trainer`] | the seam between orchestration and training | plan, model |
//! | [`data`] | corpora, tokenizer, splits, the sampler, the built-in language | spec, plan (the facts of a corpus), foreign, whole |
//! | [`checkpoint`] | the weights of a run as a file, whole or refused | plan, model, optimizer |
//! | `train` | training; the only place that knows burn and cudarc | spec, plan, model, optimizer, parameterization, data, checkpoint, provenance, trainer, units |
//! | [`ledger`] | run folders, first-wins results, derived tables | goal, plan, observation, provenance, trainer, whole |
//! | [`execute`] | worker processes, claims, progress, Slurm, which run next and which not to its end | spec (`[launcher]` `[sweep]` and `[fit]`), plan, ledger, trainer, observation, goal, fit (what to train next), units, lines, shell, whole; never burn |
//! | [`fit`] | scaling laws with intervals, and which run would narrow them most | units, observation, goal, foreign, lines |
//! | [`report`] | figures (CSV and SVG) and the page | fit, goal, observation, units, whole |
//! | [`tensorboard`] | event files: their messages and records | nothing |
//! | [`export`] | what other programs read: tables, event files, models | ledger, plan, model, parameterization, checkpoint, lines, tensorboard, whole, data (the tokenizer) |
//! | [`import`] | runs that were trained elsewhere as a sweep's folder | ledger, plan, spec, observation, fit (tables), lines, tensorboard, trainer |
//! | [`serve`] | serving a report while a sweep runs | report |
//! | [`cli`] | flags and help, no logic | provenance, units, observation, fit (the names of laws), spec (the kinds of specs) |
//! | [`commands`] | one file or folder a command: load, call a stage, print | everything |

pub mod checkpoint;
pub mod cli;
pub mod commands;
pub mod data;
pub mod execute;
pub mod export;
pub mod fit;
pub mod foreign;
pub mod goal;
pub mod import;
pub mod ledger;
pub mod lines;
pub mod model;
pub mod observation;
pub mod optimizer;
pub mod parameterization;
pub mod plan;
pub mod provenance;
pub mod report;
pub mod serve;
pub mod shell;
pub mod spec;
pub mod tensorboard;
#[cfg(feature = "train")]
pub mod train;
pub mod trainer;
pub mod units;
pub mod whole;

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;
    use std::path::{Path, PathBuf};

    type Uses = BTreeMap<String, BTreeSet<String>>;

    /// The third column of the table above, without what is said in brackets and after semicolons.
    fn told() -> Uses {
        let rows = include_str!("lib.rs").lines().filter_map(|line| line.strip_prefix("//! | "));
        let row = |row: &str| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let uses = cells[2].split(';').next().unwrap_or_default().split(',');
            let uses = uses.filter_map(|name| name.split_whitespace().next()).filter(|name| *name != "nothing");
            (cells[0].trim_matches(['[', ']', '`']).to_owned(), uses.map(str::to_owned).collect())
        };
        rows.skip(1).map(row).collect()
    }

    /// What each module names of the others, tests and comments apart.
    fn named() -> Uses {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut uses: Uses = BTreeMap::new();
        let is_rust = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "rs");
        for path in files(&sources).into_iter().filter(is_rust) {
            let inside = path.strip_prefix(&sources).unwrap().with_extension("");
            let module = inside.iter().next().unwrap().to_str().unwrap();
            if ["lib", "main"].contains(&module) || inside.ends_with("tests") || inside.ends_with("testing") {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("\nmod tests {").next().unwrap();
            let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            let names = lines.flat_map(|line| line.split("crate::").skip(1));
            let names = names.map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap());
            let others = names.filter(|name| *name != module).map(str::to_owned);
            uses.entry(module.to_owned()).or_default().extend(others);
        }
        uses
    }

    fn files(dir: &Path) -> Vec<PathBuf> {
        let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        let of = |path: PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
        // The kernels of cards are no modules.
        paths.flat_map(of).filter(|path| path.extension().is_some_and(|kind| kind == "rs")).collect()
    }

    #[test]
    fn the_table_of_modules_tells_what_each_uses() {
        let (mut told, mut named) = (told(), named());
        let everything = told.remove("commands");
        assert_eq!(everything, Some(BTreeSet::from(["everything".to_owned()])));
        named.remove("commands");
        assert_eq!(named, told);
    }
}

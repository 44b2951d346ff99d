//! `runner init`: a commented spec to begin with, one of those in `sweeps/`.

use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::ValueEnum as _;
use toml_edit::{DocumentMut, Item, value};

use super::STDOUT;
use crate::cli::{InitArgs, SpecKind};
use crate::spec::{self, Source};

/// Runs the command.
pub fn run(args: &InitArgs) -> anyhow::Result<ExitCode> {
    let InitArgs { kind, out, name, text, set } = args;
    let kind_name = kind.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let name = name.clone().unwrap_or_else(|| kind_name.clone());
    let adapted = adapt(template(*kind), &name, text.as_deref())?;
    let adapted = spec::edit(&adapted, set)?;
    let file = out.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.toml")));
    // Refused before a file of it is written.
    let spec = spec::parse(&adapted, &format!("{kind_name} as it would be written"))?;
    if file == Path::new("-") {
        io::stdout().write_all(adapted.as_bytes()).context(STDOUT)?;
        return Ok(ExitCode::SUCCESS);
    }
    write_new(&file, &adapted)?;
    let command = match kind {
        SpecKind::CoordCheck | SpecKind::CoordCheckDepth => "coord-check",
        SpecKind::Run => "train",
        _ => "sweep",
    };
    let shown = file.display();
    eprintln!("wrote {shown}: `runner plan {shown}` shows what it trains, `runner {command} {shown}` trains it");
    match spec.data.path {
        Some(path) if spec.data.source == Source::Text && !path.exists() => eprintln!(
            "its text {} is not there yet; `--text PATH` takes another, and scripts/corpus-rfc.sh of the repository \
             writes corpora/rfc.txt",
            path.display()
        ),
        _ => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes a file that must not be there yet.
pub(super) fn write_new(file: &Path, text: &str) -> anyhow::Result<()> {
    let shown = file.display();
    let mut created = File::create_new(file).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => anyhow::anyhow!("{shown} exists and is left as it is; give another with --out"),
        _ => anyhow::Error::new(error).context(format!("cannot create {shown}")),
    })?;
    created.write_all(text.as_bytes()).with_context(|| format!("cannot write {shown}"))
}

/// The spec of a kind, as it is in the repository.
fn template(kind: SpecKind) -> &'static str {
    match kind {
        SpecKind::Quickstart => include_str!("../../sweeps/quickstart.toml"),
        SpecKind::Isoflop => include_str!("../../sweeps/isoflop.toml"),
        SpecKind::IsoflopMup => include_str!("../../sweeps/isoflop-mup.toml"),
        SpecKind::MupTransfer => include_str!("../../sweeps/mup-transfer.toml"),
        SpecKind::Tune => include_str!("../../sweeps/tune.toml"),
        SpecKind::LrGrid => include_str!("../../sweeps/lr-grid.toml"),
        SpecKind::CoordCheck => include_str!("../../sweeps/coord-check.toml"),
        SpecKind::CoordCheckDepth => include_str!("../../sweeps/coord-check-depth.toml"),
        SpecKind::Run => include_str!("../../configs/small.toml"),
    }
}

/// Where the text of the repository's specs comes from, of which another text has no use.
const RFC: [&str; 3] = [
    "# Get the text first: scripts/corpus-rfc.sh writes corpora/rfc.txt.\n",
    "Get the text first: scripts/corpus-rfc.sh writes corpora/rfc.txt. ",
    "# see scripts/corpus-rfc.sh",
];

/// Puts a name and a text into a template, whose comments stay true.
fn adapt(template: &str, name: &str, text: Option<&Path>) -> anyhow::Result<String> {
    let mut document: DocumentMut = template.parse()?;
    let old = document["name"].as_str().unwrap_or_default().to_owned();
    let mut named = value(name);
    if let (Some(new), Some(item)) = (named.as_value_mut(), document["name"].as_value()) {
        *new.decor_mut() = item.decor().clone();
        let comment = item.decor().suffix().and_then(|suffix| suffix.as_str()).unwrap_or_default();
        new.decor_mut().set_suffix(comment.replace(&format!("results/{old}"), &format!("results/{name}")));
    }
    document["name"] = named;
    let Some(path) = text else { return Ok(document.to_string()) };

    let mut note = format!("# The text is {}, whatever else is said below.\n", path.display());
    if document["data"]["source"].as_str() == Some("synthetic") {
        note = format!("# Trains on the text {} and not on the built-in language.\n", path.display());
        // The table of a spec that has a text, with the vocabulary of this one.
        let mut data = include_str!("../../sweeps/isoflop.toml").parse::<DocumentMut>()?["data"].clone();
        if let (Item::Table(new), Item::Table(old)) = (&mut data, &document["data"]) {
            new.set_position(old.position());
            if let (Some(new), Some(old)) = (new["vocab"].as_value_mut(), old["vocab"].as_value()) {
                let decor = new.decor().clone();
                *new = old.clone();
                *new.decor_mut() = decor;
            }
        }
        document["data"] = data;
    }
    let path = path.to_str().context("--text: the path must be UTF-8")?;
    let mut new = value(path);
    if let (Some(new), Some(old)) = (new.as_value_mut(), document["data"]["path"].as_value()) {
        *new.decor_mut() = old.decor().clone();
    }
    document["data"]["path"] = new;
    let adapted = RFC.iter().fold(document.to_string(), |text, words| text.replace(words, ""));
    let tidy: String = adapted.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    Ok(note + &tidy)
}

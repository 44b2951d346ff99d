//! `runner init`: a commented spec to begin with, one of those in `sweeps/`.

use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::ValueEnum as _;
use toml_edit::{DocumentMut, Item};

use super::STDOUT;
use crate::cli::{InitArgs, SpecKind};
use crate::spec::{self, Source};

/// Runs the command.
pub fn run(args: &InitArgs) -> anyhow::Result<ExitCode> {
    let InitArgs { kind, out, name, text, overrides } = args;
    let kind_name = kind.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let name = name.clone().unwrap_or_else(|| kind_name.clone());
    let adapted = adapt(template(*kind), &name, text.as_deref())?;
    let adapted = spec::edit(&adapted, &overrides.set)?;
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
    let mut set = vec![format!("name={}", toml_edit::Value::from(name))];
    if let Some(path) = text {
        let path = path.to_str().context("--text: the path must be UTF-8")?;
        set.push(format!("data.path={}", toml_edit::Value::from(path)));
    }
    let synthetic = document["data"]["source"].as_str() == Some("synthetic");
    if synthetic && text.is_some() {
        // The table of a spec that has a text, with the vocabulary of this one.
        set.push(format!("data.vocab={}", document["data"]["vocab"].as_integer().unwrap_or(1024)));
        let mut data = include_str!("../../sweeps/isoflop.toml").parse::<DocumentMut>()?["data"].clone();
        if let (Item::Table(new), Item::Table(old)) = (&mut data, &document["data"]) {
            new.set_position(old.position());
        }
        document["data"] = data;
    }
    let adapted = spec::edit(&document.to_string(), &set)?;
    let adapted =
        adapted.replace(&format!("# results go to results/{old}\n"), &format!("# results go to results/{name}\n"));
    let Some(path) = text else { return Ok(adapted) };
    let adapted = RFC.iter().fold(adapted, |text, words| text.replace(words, ""));
    let note = match (synthetic, path.display()) {
        (true, path) => format!("# Trains on the text {path} and not on the built-in language.\n"),
        (false, path) => format!("# The text is {path}, whatever else is said below.\n"),
    };
    Ok(adapted.lines().fold(note, |text, line| text + line.trim_end() + "\n"))
}

//! `runner init`: a commented spec to begin with, one of those in `sweeps/`, or of `examples/` with a trainer beside it.

mod format;
mod missing;
mod sized;
mod stand_in;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use toml_edit::{DocumentMut, Item};

use format::Format;
use stand_in::StandIn;

use super::shared::stdout;
use super::shared::{device, out_file};
use crate::cli::InitArgs;
use crate::paths;
use crate::spec::{self, Template};

/// Kinds whose questions no other text answers: sums, and the built-in language at two vocabularies.
const OWN_TEXT: [&str; 2] = ["laws-emergence", "laws-language"];

/// Runs the command.
pub fn run(args: &InitArgs) -> anyhow::Result<ExitCode> {
    let InitArgs { kind, out, name, text, device, overrides } = args;
    let template = Template::of(kind).context("no such spec")?;
    refuse_text(template, text.is_some())?;
    let name = name.clone().unwrap_or_else(|| free_name(kind));
    let own = match text {
        Some(path) => Some((path.as_path(), Format::of(path)?)),
        None => None,
    };
    let adapted = adapt(template.text, &name, own)?;
    let adapted = match text {
        Some(path) => {
            let other = |kind: &str| adapt(Template::of(kind)?.text, &name, Some((path, Format::of(path).ok()?))).ok();
            sized::to_text(&adapted, kind, path, &overrides.set, &other)?
        }
        None => adapted,
    };
    let adapted = match device.as_deref().map(device::kind_chosen).transpose()?.as_deref() {
        Some("cuda") => in_bf16(&adapted),
        _ => adapted,
    };
    let file = out.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.toml")));
    let stand_in = template.trainer.map(|trainer| StandIn::beside(&file, trainer)).transpose()?;
    let adapted = match &stand_in {
        Some(stand_in) => stand_in.named_in(&adapted)?,
        None => adapted,
    };
    let adapted = spec::edit(&adapted, &overrides.set)?;
    let adapted = if text.is_none() { sized::to_token_files(&adapted, &overrides.set) } else { adapted };
    // Refused before a file of it is written.
    let spec = spec::parse(&adapted, &format!("{kind} as it would be written"))?;
    let named = stand_in.as_ref().is_some_and(|stand_in| stand_in.is_named_by(&spec.train));
    let printed = file == Path::new("-");
    let adapted = match &stand_in {
        Some(stand_in) => stand_in.spoken_of(adapted, named, printed),
        None => adapted,
    };
    let stand_in = stand_in.filter(|_| named);
    if printed {
        stdout::print(&adapted)?;
        stand_in.iter().for_each(StandIn::tell_absence);
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(stand_in) = &stand_in {
        stand_in.check(&overrides.set)?;
    }
    out_file::create(&file, adapted.as_bytes())?;
    if let Some(stand_in) = &stand_in {
        stand_in.write()?;
    }
    let command = template.command;
    let shown = paths::shown(&file);
    let on = device.as_ref().map_or_else(String::new, |device| format!(" --device {device}"));
    tell!(
        "wrote {}: `runner plan {shown}` shows what it trains, `runner {command} {shown}{on}` trains it",
        file.display()
    );
    for line in missing::told(&spec, text.as_deref()) {
        tell!("{line}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Refuses a text where a kind has no use for one.
fn refuse_text(Template { kind, trainer, .. }: &Template, asked: bool) -> anyhow::Result<()> {
    ensure!(
        !asked || !OWN_TEXT.contains(kind),
        "{kind} asks its question of a language that is made for it, so --text means nothing: leave it out"
    );
    ensure!(
        !asked || trainer.is_none(),
        "{kind}: its trainer has data of its own, so --text means nothing: leave it out, and list files of data in train.inputs. Where \
         `runner` is to make the tokens, write a [data] as `runner init isoflop --text` does"
    );
    Ok(())
}

/// A name whose results folder belongs to no other sweep: the kind, or the kind with a number.
fn free_name(kind: &str) -> String {
    let taken = |name: &String| Path::new("results").join(name).exists();
    let numbered = (2..).map(|number| format!("{kind}-{number}"));
    std::iter::once(kind.to_owned()).chain(numbered).find(|name| !taken(name)).unwrap_or_else(|| kind.to_owned())
}

/// A spec whose matrix products are computed in bf16, as the tensor cores of cards do best, unless it says itself how.
fn in_bf16(spec: &str) -> String {
    if spec.contains("\n[train]\n") {
        return spec.to_owned();
    }
    let table = "[train]\nprecision = \"bf16\"                  # factors of matrix products; weights, sums and losses stay f32\n";
    match spec.split_once("\n[sweep]\n") {
        Some((before, after)) => format!("{before}\n{table}\n[sweep]\n{after}"),
        None => format!("{}\n\n{table}", spec.trim_end()),
    }
}

/// Where the text of the repository's specs comes from, of which another text has no use.
const RFC: [&str; 3] = [
    "# Get the text first: scripts/corpus-rfc.sh writes corpora/rfc.txt.\n",
    "Get the text first: scripts/corpus-rfc.sh writes corpora/rfc.txt. ",
    "# see scripts/corpus-rfc.sh",
];

/// Puts a name and a text into a template, whose comments stay true.
fn adapt(template: &str, name: &str, text: Option<(&Path, Format)>) -> anyhow::Result<String> {
    let mut document: DocumentMut = template.parse()?;
    let old = document["name"].as_str().unwrap_or_default().to_owned();
    let mut set = vec![format!("name={}", toml_edit::Value::from(name))];
    if let Some((path, format)) = text {
        ensure!(
            document["data"]["source"].as_str() != Some("mixture"),
            "--text: this spec mixes several texts; write it without --text, then name your texts in its [[data.parts]]"
        );
        let written = path.to_str().context("--text: the path must be UTF-8")?;
        set.push(format!("data.path={}", toml_edit::Value::from(written)));
        set.extend(format.keys(path));
    }
    let synthetic = document["data"]["source"].as_str() == Some("synthetic");
    if synthetic && text.is_some() {
        // The table of a spec that has a text, with the vocabulary of this one.
        set.push(format!("data.vocab={}", document["data"]["vocab"].as_integer().unwrap_or(1024)));
        let mut data = include_str!("../../../sweeps/isoflop.toml").parse::<DocumentMut>()?["data"].clone();
        if let (Item::Table(new), Item::Table(old)) = (&mut data, &document["data"]) {
            new.set_position(old.position());
        }
        document["data"] = data;
    }
    let adapted = spec::edit(&document.to_string(), &set)?;
    let adapted =
        adapted.replace(&format!("# results go to results/{old}\n"), &format!("# results go to results/{name}\n"));
    let Some((path, format)) = text else { return Ok(adapted) };
    // Scores of another text's documents say nothing of these.
    let adapted = adapted.replace(SCORES, &format!("{}-scores-", plain_stem(path)));
    Ok(about(&adapted, path, format, synthetic))
}

/// How the files of scores begin that belong to the repository's text.
const SCORES: &str = "corpora/rfc-scores-";

/// The name of a text without its ends, of characters that need quotes neither in TOML nor in a shell.
fn plain_stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.split('.').find(|part| !part.is_empty()).unwrap_or("text");
    stem.chars().map(|c| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '-' }).collect()
}

/// The comments of a template, about this text and no other.
fn about(adapted: &str, path: &Path, format: Format, synthetic: bool) -> String {
    let shown = path.display().to_string().replace(|c: char| c.is_control(), "?");
    let adapted = RFC.iter().fold(adapted.to_owned(), |text, words| text.replace(words, ""));
    let adapted = THEIRS.iter().fold(adapted, |text, (theirs, this)| text.replace(theirs, &this.replace("{}", &shown)));
    let adapted = adapted.replace("# UTF-8, documents separated by blank lines", format.comment());
    let note = if synthetic {
        format!("# Trains on the text {shown}, not on the built-in language.\n")
    } else {
        String::new()
    };
    adapted.lines().fold(note, |text, line| text + line.trim_end() + "\n")
}

/// What the comments of templates say of their text, and what they say of another.
const THEIRS: [(&str, &str); 7] = [
    (": scripts/corpus-scores.sh", "; `runner data score` writes them"),
    ("IsoFLOP curves on English text: ", "IsoFLOP curves on {}: "),
    (", measured on the RFC corpus.", "."),
    (", on the RFC text;", ", on {};"),
    ("on the text of sweeps/isoflop.toml", "on {}"),
    (", without a download and without a GPU", ", without a GPU"),
    ("learn the built-in language at", "learn {} at"),
];

//! `runner init`: a commented spec to begin with, one of those in `sweeps/`.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use toml_edit::{DocumentMut, Item};

use super::STDOUT;
use super::shared::device;
use crate::cli::InitArgs;
use crate::spec::{self, Source, Template};

/// Kinds whose questions no other text answers: sums, and the built-in language at two vocabularies.
const OWN_TEXT: [&str; 2] = ["laws-emergence", "laws-language"];

/// Runs the command.
pub fn run(args: &InitArgs) -> anyhow::Result<ExitCode> {
    let InitArgs { kind, out, name, text, device, overrides } = args;
    let template = Template::of(kind).context("no such spec")?;
    ensure!(
        text.is_none() || !OWN_TEXT.contains(&kind.as_str()),
        "{kind} asks its question of a language that is made for it, so --text means nothing: leave it out"
    );
    let name = name.clone().unwrap_or_else(|| free_name(kind));
    let adapted = adapt(template.text, &name, text.as_deref())?;
    let adapted = match text.as_deref().and_then(Small::of).filter(|_| kind == "isoflop") {
        Some(small) => spec::edit(&adapted, &small.keys())?,
        None => adapted,
    };
    let adapted = match device.as_deref().map(device::kind_chosen).transpose()?.as_deref() {
        Some("cuda") => in_bf16(&adapted),
        _ => adapted,
    };
    let adapted = spec::edit(&adapted, &overrides.set)?;
    let file = out.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.toml")));
    // Refused before a file of it is written.
    let spec = spec::parse(&adapted, &format!("{kind} as it would be written"))?;
    if file == Path::new("-") {
        io::stdout().write_all(adapted.as_bytes()).context(STDOUT)?;
        return Ok(ExitCode::SUCCESS);
    }
    write_new(&file, &adapted)?;
    let command = template.command;
    let shown = file.display();
    let on = device.as_ref().map_or_else(String::new, |device| format!(" --device {device}"));
    eprintln!("wrote {shown}: `runner plan {shown}` shows what it trains, `runner {command} {shown}{on}` trains it");
    match spec.data.path {
        Some(path) if spec.data.source != Source::Synthetic && !path.exists() && !is_pattern(&path) => eprintln!(
            "its text {} does not exist yet; `--text PATH` uses another, and scripts/corpus-rfc.sh of the repository \
             writes corpora/rfc.txt",
            path.display()
        ),
        _ => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// A name whose results folder belongs to no other sweep: the kind, or the kind with a number.
fn free_name(kind: &str) -> String {
    let taken = |name: &String| Path::new("results").join(name).exists();
    let numbered = (2..).map(|number| format!("{kind}-{number}"));
    std::iter::once(kind.to_owned()).chain(numbered).find(|name| !taken(name)).unwrap_or_else(|| kind.to_owned())
}

/// A text that is too short for the budgets of the template.
struct Small {
    bytes: f64,
}

impl Small {
    /// Bytes of a token, on the safe side: with 1024 tokens 1.8 to 2.9 were measured.
    const BYTES: f64 = 3.0;
    /// Tokens from which the template's own budgets are trained without seeing any twice.
    const ENOUGH: f64 = 4e7;
    /// Tokens of the smallest model at 1e12 FLOPs, which are the most of a curve; they grow as the root of the budget.
    const LONGEST: f64 = 6.5e6;
    /// Largest budget that needs models narrower than the template's heads allow.
    const NARROW: f64 = 1e12;

    /// Nothing where the template fits, or where the length is not known: no plain text, or not there yet.
    fn of(path: &Path) -> Option<Self> {
        let compressed =
            [".gz", ".zst", ".zstd"].iter().any(|end| path.to_string_lossy().to_lowercase().ends_with(end));
        let file =
            path.metadata().ok().filter(|file| file.is_file() && !compressed && Format::of(path) == Format::Text)?;
        let bytes = file.len() as f64;
        (bytes / Self::BYTES < Self::ENOUGH).then_some(Self { bytes })
    }

    /// Budgets whose longest runs see no token twice, and a validation set that is there.
    fn keys(&self) -> Vec<String> {
        let largest = 1e12 * (self.bytes / Self::BYTES / Self::LONGEST).powi(2);
        let budgets: Vec<String> = [8.0, 4.0, 2.0, 1.0].map(|part| format!("{:.1e}", largest / part)).to_vec();
        // Documents differ in length, so that a tenth of them may be a fiftieth of the tokens.
        let eval = ((self.bytes / 128.0 / 128.0).floor() * 128.0).max(128.0);
        let mut keys = vec![
            format!("sweep.budgets=[{}]", budgets.join(", ")),
            "sweep.one_seed_from=".to_owned(),
            "data.validation_fraction=0.1".to_owned(),
            format!("eval.tokens={eval}"),
        ];
        keys.extend((largest < Self::NARROW).then(|| "model.head_dim=4".to_owned()));
        keys
    }
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

/// Whether a path stands for several files.
fn is_pattern(path: &Path) -> bool {
    path.to_string_lossy().contains(['*', '?'])
}

/// Writes a file that must not be there yet.
pub(super) fn write_new(file: &Path, text: &str) -> anyhow::Result<()> {
    let shown = file.display();
    let mut created = File::create_new(file).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            anyhow::anyhow!("{shown} exists and is not overwritten; give another file with --out")
        }
        _ => anyhow::Error::new(error).context(format!("cannot create {shown}")),
    })?;
    created.write_all(text.as_bytes()).with_context(|| format!("cannot write {shown}"))
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
        ensure!(
            document["data"]["source"].as_str() != Some("mixture"),
            "--text: this spec mixes several texts; write it without --text, then name your texts in its [[data.parts]]"
        );
        let path = path.to_str().context("--text: the path must be UTF-8")?;
        set.push(format!("data.path={}", toml_edit::Value::from(path)));
        set.extend(text.iter().flat_map(|text| Format::of(text).keys(text)));
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
    Ok(about(&adapted, path, synthetic))
}

/// The comments of a template, about this text and no other.
fn about(adapted: &str, path: &Path, synthetic: bool) -> String {
    let shown = path.display().to_string().replace(|c: char| c.is_control(), "?");
    let adapted = RFC.iter().fold(adapted.to_owned(), |text, words| text.replace(words, ""));
    let adapted = THEIRS.iter().fold(adapted, |text, (theirs, this)| text.replace(theirs, &this.replace("{}", &shown)));
    let adapted = adapted.replace("# UTF-8, documents separated by blank lines", Format::of(path).comment());
    let note = if synthetic {
        format!("# Trains on the text {shown}, not on the built-in language.\n")
    } else {
        String::new()
    };
    adapted.lines().fold(note, |text, line| text + line.trim_end() + "\n")
}

/// What the comments of templates say of their text, and what they say of another.
const THEIRS: [(&str, &str); 6] = [
    ("IsoFLOP curves on English text: ", "IsoFLOP curves on {}: "),
    (", measured on the RFC corpus.", "."),
    (", on the RFC text;", ", on {};"),
    ("on the text of sweeps/isoflop.toml", "on {}"),
    (", without a download and without a GPU", ", without a GPU"),
    ("learn the built-in language at", "learn {} at"),
];

/// How a file holds texts, by the end of its name; one that is compressed by gzip or Zstandard has a further end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Text,
    Jsonl,
    Parquet,
}

impl Format {
    fn of(path: &Path) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let name = [".gz", ".zst", ".zstd"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
        match name.rsplit('.').next() {
            Some("jsonl" | "ndjson" | "json") => Self::Jsonl,
            Some("parquet" | "pq") => Self::Parquet,
            _ => Self::Text,
        }
    }

    /// The keys of `[data]` beside the path.
    fn keys(self, path: &Path) -> Vec<String> {
        let column = |found: Option<String>| {
            let column = found.unwrap_or_else(|| "text".to_owned());
            format!("data.column={}", toml_edit::Value::from(column))
        };
        match self {
            Self::Text => vec!["data.source=\"text\"".to_owned()],
            Self::Jsonl => vec!["data.source=\"jsonl\"".to_owned(), column(field_of_text(path))],
            Self::Parquet => vec!["data.source=\"parquet\"".to_owned(), column(None)],
        }
    }

    fn comment(self) -> &'static str {
        match self {
            Self::Text => "# UTF-8, documents separated by blank lines",
            Self::Jsonl => "# JSON Lines: a document a line, its text in data.column",
            Self::Parquet => "# Parquet: a document a row, its text in data.column",
        }
    }
}

/// The field of the first line that has the text: `text`, or the longest string; nothing where the file is not there yet
/// or is compressed.
fn field_of_text(path: &Path) -> Option<String> {
    let mut line = String::new();
    BufReader::new(File::open(path).ok()?).take(LONGEST_LINE).read_line(&mut line).ok()?;
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&line).ok()?;
    let strings = || object.iter().filter_map(|(name, value)| Some((name, value.as_str()?)));
    let text = strings().find(|(name, _)| *name == "text");
    text.or_else(|| strings().max_by_key(|(_, value)| value.len())).map(|(name, _)| name.clone())
}

/// A first line that is longer is not looked at.
const LONGEST_LINE: u64 = 1 << 24;

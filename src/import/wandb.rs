//! Runs in a `wandb` folder: each has a file that W&B's client writes before it sends anything, and keeps.
//!
//! It is a log as `LevelDB` writes them (blocks of 32 KiB; its `doc/log_format.md`) behind seven bytes of its own, of Protocol Buffers
//! messages (`wandb_internal.proto` of the client). Of the messages only those fields are here that are read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use prost::Message;
use serde_json::Value;

use super::ImportError;
use super::log;
use super::tracked::{FINISHED, Fields, Tracked, bytes, folders, inside, number};

#[derive(Clone, PartialEq, Message)]
struct Record {
    #[prost(message, optional, tag = "2")]
    history: Option<History>,
    #[prost(message, optional, tag = "3")]
    summary: Option<Update>,
    #[prost(message, optional, tag = "5")]
    config: Option<Update>,
    #[prost(message, optional, tag = "17")]
    run: Option<Run>,
    #[prost(message, optional, tag = "18")]
    exit: Option<Exit>,
}

#[derive(Clone, PartialEq, Message)]
struct History {
    #[prost(message, repeated, tag = "1")]
    item: Vec<Item>,
    #[prost(message, optional, tag = "2")]
    step: Option<Step>,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct Step {
    #[prost(int64, tag = "1")]
    number: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Update {
    #[prost(message, repeated, tag = "1")]
    update: Vec<Item>,
}

/// A value by its name, as JSON or, since 2026, as what it is.
#[derive(Clone, PartialEq, Message)]
struct Item {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, repeated, tag = "2")]
    nested_key: Vec<String>,
    #[prost(oneof = "Kind", tags = "4, 5, 6, 7, 8")]
    kind: Option<Kind>,
    #[prost(string, tag = "16")]
    value_json: String,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Kind {
    #[prost(bool, tag = "4")]
    Truth(bool),
    #[prost(sint64, tag = "5")]
    Integer(i64),
    #[prost(double, tag = "6")]
    Number(f64),
    #[prost(string, tag = "7")]
    Text(String),
    #[prost(string, tag = "8")]
    Json(String),
}

#[derive(Clone, PartialEq, Message)]
struct Run {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(message, optional, tag = "4")]
    config: Option<Update>,
    #[prost(string, tag = "8")]
    display_name: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct Exit {
    #[prost(int32, tag = "1")]
    exit_code: i32,
}

/// What stands before the log.
const HEADER: &[u8] = b":W&B";
const HEADER_LENGTH: usize = 7;
const BLOCK: usize = 1 << 15;
/// What the client tells of itself.
const OWN: &str = "_wandb";

/// The runs below a folder. One that was resumed has several files, in the order in which they were begun.
pub fn runs(path: &Path) -> Result<Vec<Tracked>, ImportError> {
    let mut files = Vec::new();
    for folder in folders(path)? {
        let is_run = |file: &PathBuf| file.extension().is_some_and(|ending| ending == "wandb") && file.is_file();
        files.extend(inside(&folder)?.into_iter().filter(is_run));
    }
    files.sort_by_key(|file| begun(file));
    let mut runs: Vec<Tracked> = Vec::new();
    let mut known: BTreeMap<(Option<PathBuf>, String), usize> = BTreeMap::new();
    for file in files {
        let (id, run) = read(&file, &bytes(&file)?);
        // The same number may be that of another run in another project's folder.
        let project = file.parent().and_then(Path::parent).map(Path::to_owned);
        let at = *known.entry((project, id)).or_insert(runs.len());
        if let Some(whole) = runs.get_mut(at) {
            whole.lines.extend(run.lines);
            // A run that was killed may not have told its name.
            if whole.name == stem(&whole.path) {
                whole.name = run.name;
            }
            whole.settings.extend(run.settings);
            whole.notes.extend(run.notes);
            whole.status = run.status;
        } else {
            runs.push(run);
        }
    }
    Ok(runs)
}

/// When a file was begun, by the name of its folder, `run-` or `offline-run-` with the time and the number of the run.
fn begun(file: &Path) -> (String, PathBuf) {
    let folder = file.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    let time = folder.trim_start_matches("offline-").trim_start_matches("run-").to_owned();
    (time, file.to_owned())
}

fn stem(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// The number of a run, and what its file tells as far as it is whole.
fn read(path: &Path, file: &[u8]) -> (String, Tracked) {
    let mut run = Tracked {
        name: stem(path),
        path: path.to_owned(),
        // A run that is killed writes no end, and one that still runs has none yet.
        status: Some("without an end".to_owned()),
        ..Tracked::default()
    };
    let (mut id, mut summary) = (run.name.trim_start_matches("run-").to_owned(), Fields::new());
    let (records, whole) = records(file);
    if !whole {
        let what =
            if records.is_empty() { "this is no log of W&B" } else { "it is cut or damaged, and read up to there" };
        run.notes.push(format!("{}: {what}", path.display()));
    }
    for record in records {
        let Ok(record) = Record::decode(&record[..]) else { continue };
        if let Some(told) = record.run {
            run.settings.extend(told.config.iter().flat_map(|config| values(&config.update)));
            if !told.id.is_empty() {
                id = told.id;
            }
            run.name = if told.display_name.is_empty() { id.clone() } else { told.display_name };
        }
        run.settings.extend(record.config.iter().flat_map(|config| values(&config.update)));
        summary.extend(record.summary.iter().flat_map(|summary| values(&summary.update)));
        if let Some(history) = record.history {
            let mut line: Fields = values(&history.item).collect();
            if let Some(step) = history.step {
                line.entry("_step").or_insert_with(|| step.number.into());
            }
            run.lines.push(Some(line));
        }
        if let Some(exit) = record.exit {
            run.status = Some(if exit.exit_code == 0 { FINISHED } else { "failed" }.to_owned());
        }
    }
    run.settings.remove(OWN);
    // What was put into the summary alone; of what was measured along the run the last value counts.
    summary.retain(|name, _| !name.starts_with('_'));
    run.settings.extend(summary);
    (id, run)
}

fn values(items: &[Item]) -> impl Iterator<Item = (String, Value)> {
    items.iter().filter_map(|item| {
        let name = if item.key.is_empty() { item.nested_key.join(".") } else { item.key.clone() };
        let value = match &item.kind {
            Some(Kind::Truth(truth)) => (*truth).into(),
            Some(Kind::Integer(value)) => (*value).into(),
            Some(Kind::Number(value)) => number(*value),
            Some(Kind::Text(text)) => text.as_str().into(),
            Some(Kind::Json(json)) => log::json(json)?,
            None => log::json(&item.value_json)?,
        };
        Some((name, value))
    })
}

/// The records of a log, one of several pieces lying over the ends of blocks, and whether it is whole.
fn records(file: &[u8]) -> (Vec<Vec<u8>>, bool) {
    let (mut found, mut record) = (Vec::new(), Vec::new());
    let mut at = if file.starts_with(HEADER) { HEADER_LENGTH } else { return (found, false) };
    while at < file.len() {
        // What is left of a block and too short for a head is not used.
        if BLOCK - at % BLOCK < HEADER_LENGTH {
            at = at.next_multiple_of(BLOCK);
            continue;
        }
        // A checksum of what follows the length, the length, and which piece this is.
        let head: Option<&[u8; HEADER_LENGTH]> = file.get(at..).and_then(|rest| rest.first_chunk());
        let Some([c0, c1, c2, c3, low, high, piece]) = head else { return (found, false) };
        let from = at + HEADER_LENGTH;
        let to = from + usize::from(u16::from_le_bytes([*low, *high]));
        let Some(data) = file.get(from..to) else { return (found, false) };
        if crc32fast::hash(&file[from - 1..to]) != u32::from_le_bytes([*c0, *c1, *c2, *c3]) {
            return (found, false);
        }
        at = to;
        if matches!(piece, 1 | 2) {
            record.clear();
        }
        record.extend_from_slice(data);
        if matches!(piece, 1 | 4) {
            found.push(std::mem::take(&mut record));
        }
    }
    (found, at <= file.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A file as the client writes it: the log's records are cut where a block ends.
    fn file(records: &[Record]) -> Vec<u8> {
        let mut file = [HEADER, &[0xe1, 0xbe, 0]].concat();
        for record in records {
            let data = record.encode_to_vec();
            let (mut rest, mut first) = (&data[..], true);
            loop {
                let left = BLOCK - file.len() % BLOCK;
                if left < HEADER_LENGTH {
                    file.resize(file.len() + left, 0);
                    continue;
                }
                let (piece, later) = rest.split_at(rest.len().min(left - HEADER_LENGTH));
                let kind = match (first, later.is_empty()) {
                    (true, true) => 1,
                    (true, false) => 2,
                    (false, false) => 3,
                    (false, true) => 4,
                };
                let checked = [&[kind], piece].concat();
                file.extend(crc32fast::hash(&checked).to_le_bytes());
                file.extend((piece.len() as u16).to_le_bytes());
                file.extend(checked);
                (rest, first) = (later, false);
                if rest.is_empty() {
                    break;
                }
            }
        }
        file
    }

    fn item(key: &str, value_json: &str) -> Item {
        Item { key: key.to_owned(), value_json: value_json.to_owned(), ..Item::default() }
    }

    fn started(id: &str, config: Vec<Item>) -> Record {
        let run =
            Run { id: id.to_owned(), config: Some(Update { update: config }), display_name: "a good run".to_owned() };
        Record { run: Some(run), ..Record::default() }
    }

    fn at(number: i64, item: Vec<Item>) -> Record {
        Record { history: Some(History { item, step: Some(Step { number }) }), ..Record::default() }
    }

    fn ended(exit_code: i32) -> Record {
        Record { exit: Some(Exit { exit_code }), ..Record::default() }
    }

    #[test]
    fn a_run_comes_back_over_the_ends_of_blocks_and_as_far_as_its_file_is_whole() {
        // Records of many lengths, so that heads and data meet the ends of blocks in every way.
        let mut records =
            vec![started("ab12", vec![item("n_params", "1e6"), item(OWN, "{}"), item("m", r#"{"width": 64}"#)])];
        records.extend(
            (0..400).map(|i| at(i, vec![item("loss", "NaN"), item("text", &format!("{:?}", "x".repeat(i as usize)))])),
        );
        let typed = Item { key: "val_loss".to_owned(), kind: Some(Kind::Number(3.25)), ..Item::default() };
        records.extend([at(400, vec![typed]), ended(0)]);
        let whole = file(&records);
        assert!(whole.len() > 2 * BLOCK);
        let (id, run) = read(Path::new("run-ab12.wandb"), &whole);
        assert_eq!((id.as_str(), run.name.as_str(), run.status.as_deref()), ("ab12", "a good run", Some(FINISHED)));
        assert_eq!(run.lines.len(), 401);
        for (i, line) in run.lines[..400].iter().flatten().enumerate() {
            assert_eq!(line["text"].as_str().map(str::len), Some(i));
            assert_eq!((&line["_step"], &line["loss"]), (&i.into(), &"NaN".into()));
        }
        assert_eq!(run.lines[400].as_ref().unwrap()["val_loss"], 3.25);
        assert_eq!(run.settings.keys().collect::<Vec<_>>(), ["m", "n_params"]);
        assert_eq!(run.settings["m"]["width"], 64);
        assert!(run.notes.is_empty());
        for cut in [0, 5, 100, whole.len() / 2, whole.len() - 1] {
            let (_, cut) = read(Path::new("run-ab12.wandb"), &whole[..cut]);
            assert!(cut.lines.len() <= 401 && cut.status.as_deref() != Some(FINISHED));
            assert_eq!(cut.notes.len(), 1);
        }
        let mut spoiled = whole;
        let middle = spoiled.len() / 2;
        spoiled[middle] ^= 1;
        let (_, spoiled) = read(Path::new("run-ab12.wandb"), &spoiled);
        assert!(spoiled.lines.len() < 401 && spoiled.notes[0].contains("damaged"));
    }

    #[test]
    fn a_resumed_run_is_one_and_a_link_to_it_none() {
        let place = tempfile::tempdir().unwrap();
        let write = |folder: &str, records: &[Record]| {
            let folder = place.path().join("wandb").join(folder);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("run-ab12.wandb"), file(records)).unwrap();
        };
        // The second part was offline, whose folder comes first by its name.
        write("run-20260101_1-ab12", &[started("ab12", vec![item("seed", "1")]), at(1, vec![item("loss", "4.0")])]);
        let rest = [started("ab12", vec![item("seed", "1")]), at(2, vec![item("loss", "3.0")]), ended(0)];
        write("offline-run-20260102_1-ab12", &rest);
        // Killed before it had told its name.
        write("run-20251231_1-ab12", &[at(0, vec![item("loss", "5.0")])]);
        write("run-20260103_1-cd34", &[started("cd34", vec![]), ended(1)]);
        #[cfg(unix)]
        std::os::unix::fs::symlink("run-20260103_1-cd34", place.path().join("wandb/latest-run")).unwrap();
        let runs = runs(place.path()).unwrap();
        let ends: Vec<_> = runs.iter().map(|run| (run.lines.len(), run.status.as_deref())).collect();
        assert_eq!(ends, [(3, Some(FINISHED)), (0, Some("failed"))]);
        assert_eq!(runs[0].name, "a good run");
        assert_eq!(runs[0].lines[2].as_ref().unwrap()["loss"], 3.0);
    }
}

//! The cache: damaged, shared, and not to be written.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use runner::data::Corpus;
use runner::spec::{Data, Source};

use super::{CONTEXT, data, words};
use crate::common::{Place, SMALL, assert_code, with_data};

/// What is done to a file, in words and in bytes.
type Damage = (&'static str, fn(&mut Vec<u8>));

#[test]
fn a_damaged_cache_is_noticed_and_the_folder_to_delete_is_named() {
    let place = Place::new();
    let data = place.text(100);
    let fingerprint = place.prepare(&data).unwrap().facts().fingerprint;
    let folder = place.cache().join(&fingerprint);
    let damages: [Damage; 4] = [
        ("train.u16", |bytes| bytes[100] ^= 1),
        ("validation.u16", |bytes| bytes.truncate(50)),
        ("manifest.json", |bytes| bytes.truncate(20)),
        ("manifest.json", |bytes| bytes.clear()),
    ];
    for (name, damage) in damages {
        let path = folder.join(name);
        let whole = fs::read(&path).unwrap();
        let mut bytes = whole.clone();
        damage(&mut bytes);
        fs::write(&path, bytes).unwrap();
        let error = place.error(&data);
        assert!(error.contains(folder.to_str().unwrap()) && error.contains("delete"), "{name}: {error}");
        fs::write(&path, whole).unwrap();
        place.prepare(&data).unwrap();
    }
    fs::remove_dir_all(&folder).unwrap();
    let error = Corpus::open(&data, &fingerprint, CONTEXT, &place.cache()).err().unwrap().to_string();
    assert!(error.contains("runner data prepare"), "{error}");
    assert_eq!(place.prepare(&data).unwrap().facts().fingerprint, fingerprint);
}

#[test]
fn many_may_prepare_one_corpus_at_once() {
    let place = Place::new();
    let data = place.text(300);
    let facts: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(|| place.prepare(&data).unwrap().facts())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(facts.iter().all(|each| *each == facts[0]));
    let left: Vec<_> = fs::read_dir(place.cache()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, [facts[0].fingerprint.as_str()], "nothing temporary is left");
}

#[test]
fn what_a_killed_preparation_left_behind_goes_with_the_next() {
    let place = Place::new();
    place.write("text.txt", words(20_000));
    let table =
        "source = \"text\"\npath = \"text.txt\"\nvalidation_fraction = 0.1\nvocab = 400\nmax_epochs = 1.0\nseed = 1";
    place.write("spec.toml", with_data(SMALL, table));
    let left = || -> Vec<String> {
        let entries = fs::read_dir(place.cache()).into_iter().flatten();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let arguments = ["data", "prepare", "spec.toml", "--cache", "cache"];
    let mut first = place.runner(&arguments).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    while left().is_empty() {
        assert_eq!(first.try_wait().unwrap(), None, "it prepares for longer than it takes to look");
        std::thread::sleep(Duration::from_millis(1));
    }
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(matches!(left().as_slice(), [name] if name.starts_with("preparing-")), "{:?}", left());
    assert_code(&place.run(&arguments), 0);
    assert!(matches!(left().as_slice(), [name] if !name.starts_with("preparing-")), "{:?}", left());
}

#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let place = Place::new();
    let file = place.write("file", "not a folder");
    let cache = file.join("cache");
    let error = Corpus::prepare(&place.text(100), CONTEXT, &cache, &mut |_| ()).err().unwrap().to_string();
    assert!(error.contains(cache.to_str().unwrap()), "{error}");
}

#[test]
fn a_language_of_another_history_is_another_corpus_and_the_longest_is_the_one_without_the_key() {
    let place = Place::new();
    let facts = |history| place.prepare(&Data { history, ..data(Source::Synthetic) }).unwrap().facts();
    let [without, longest, shortest] = [None, Some(3), Some(1)].map(facts);
    assert_eq!(without.fingerprint, longest.fingerprint);
    assert_ne!(without.fingerprint, shortest.fingerprint);
}

#[test]
fn a_folder_of_the_cache_that_lost_a_file_or_is_one_is_told_as_damaged() {
    let place = Place::new();
    let data = place.text(100);
    let fingerprint = place.prepare(&data).unwrap().facts().fingerprint;
    let folder = place.cache().join(&fingerprint);
    let damaged = |what: &str| {
        let error = place.error(&data);
        let said = format!("the cached corpus is damaged ({what}); delete it and run `runner data prepare` again");
        assert!(error.contains(folder.to_str().unwrap()) && error.contains(&said), "{error}");
    };
    for name in ["validation.u16", "train.u16"] {
        fs::remove_file(folder.join(name)).unwrap();
        damaged(&format!("{name} is missing"));
    }
    fs::remove_file(folder.join("manifest.json")).unwrap();
    damaged("it has no manifest.json");
    fs::remove_dir_all(&folder).unwrap();
    fs::create_dir(&folder).unwrap();
    damaged("it has no manifest.json");
    fs::remove_dir(&folder).unwrap();
    fs::write(&folder, "x").unwrap();
    damaged("it has no manifest.json");
    fs::remove_file(&folder).unwrap();
    place.prepare(&data).unwrap();
}

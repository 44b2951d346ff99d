//! Sums that are asked in the tokens of a corpus, which need not be the numbers of its tokenizer.

use runner::data::{ORIGINAL_IDS, Question};
use runner::spec::{Data, Source, Task, TaskKind};

use super::data;
use crate::common::{Place, SMALL, with_data};

/// A tokenizer of single characters: 0 ends documents, 1 is unknown, and `id` numbers the characters.
fn of_characters(characters: &str, id: impl Fn(usize) -> usize) -> String {
    let mut vocab = serde_json::json!({"</s>": 0, "[UNK]": 1});
    for (at, character) in characters.chars().enumerate() {
        vocab[character.to_string()] = id(at).into();
    }
    let each =
        serde_json::json!({"type": "Split", "pattern": {"Regex": "(?s)."}, "behavior": "Isolated", "invert": false});
    serde_json::json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": each, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "[UNK]"}})
    .to_string()
}

/// Lines with sums of two digits.
fn sums() -> String {
    let line = |i: usize| format!("{}+{}={}\n", i % 100, i * 7 % 100, (i % 100 + i * 7 % 100) % 100);
    (0..400).map(line).collect::<Vec<_>>().concat()
}

fn lines(place: &Place, text: &str) -> Data {
    let path = Some(place.write("sums.txt", text));
    let separator = Some("line".to_owned());
    Data { path, separator, vocab: None, validation_fraction: Some(0.2), ..data(Source::Text) }
}

const ADDITION: Task = Task { kind: TaskKind::Addition, questions: 50, length: 2 };

#[test]
fn sums_are_asked_in_the_numbers_that_the_corpus_has() {
    let place = Place::new();
    let asked = |id: fn(usize) -> usize| -> (Vec<Question>, Vec<u32>) {
        let tokenizer = Some(place.write("tokenizer.json", of_characters("0123456789+=", id)));
        let corpus = place.prepare(&Data { tokenizer, ..lines(&place, &sums()) }).unwrap();
        let path = place.cache().join(corpus.facts().fingerprint).join(ORIGINAL_IDS);
        let ids = std::fs::read(path).unwrap_or_default();
        let ids = ids.chunks(4).map(|id| u32::from_le_bytes(id.try_into().unwrap())).collect();
        (corpus.questions(&ADDITION).unwrap(), ids)
    };
    let (plain, none) = asked(|at| at + 2);
    let (renumbered, originals) = asked(|at| 70_000 + at);
    assert!(none.is_empty() && originals.len() == 13 && plain.len() == 50);
    for (plain, renumbered) in plain.iter().zip(&renumbered) {
        assert_eq!(plain.answer, renumbered.answer);
        let written = ..plain.answer.end;
        let original: Vec<u32> = renumbered.tokens[written].iter().map(|id| originals[usize::from(*id)]).collect();
        let expected: Vec<u32> = plain.tokens[written].iter().map(|id| 69_998 + u32::from(*id)).collect();
        assert_eq!(original, expected);
    }
}

#[test]
fn sums_that_the_tokens_of_a_corpus_cannot_write_are_refused_before_training() {
    let place = Place::new();
    let error = |data: &Data| place.prepare(data).unwrap().questions(&ADDITION).unwrap_err().to_string();
    // Letters alone, of which the rare ones are one unknown token; then all of them, without such a token.
    let text = "abracadabra\n".to_owned() + &"abab caba\n".repeat(400);
    let separator = Some("none".to_owned());
    for vocab in [6, 7] {
        let said = error(&Data { vocab: Some(vocab), separator: separator.clone(), ..lines(&place, &text) });
        assert!(said.contains("it has none for 0 1 2 3 4 5 6 7 8 9 + =;") && said.contains("another task"), "{said}");
    }
    // A 7 that the tokenizer has and the text has not, where only what occurs has a number.
    let tokenizer = Some(place.write("tokenizer.json", of_characters("0123456789+=", |at| 70_000 + at)));
    let without = Data { tokenizer, ..lines(&place, &sums().replace('7', "6")) };
    assert!(error(&without).contains("some of its tokens occur nowhere in the text"));
    // A plan asks before anything is trained.
    let table = "source = \"text\"\npath = \"sums.txt\"\nseparator = \"none\"\nvalidation_fraction = 0.2\nvocab = 7\n\
                 max_epochs = 1.0\nseed = 7";
    let task = "\n[[eval.tasks]]\nkind = \"addition\"\nquestions = 20\nlength = 1\n";
    place.write("sums.txt", text);
    place.write("spec.toml", with_data(SMALL, table) + task);
    let said = place.refusal(&["plan", "spec.toml", "--cache", "cache"]);
    assert!(said.contains("the task addition.1 of [[eval.tasks]]") && said.contains("it has none for 0"), "{said}");
}

//! Lines of text files, JSON as Python prints it, and objects inside of objects.

use serde_json::{Map, Value};

/// Lines that end as on Unix: after `\r\n` the csv crate counts a line too few.
pub fn unix(mut text: Vec<u8>) -> Vec<u8> {
    let mut kept = 0;
    // Looks one ahead: what was kept so far is no longer than what was read.
    for at in 0..text.len() {
        if !(text[at] == b'\r' && text.get(at + 1) == Some(&b'\n')) {
            text[kept] = text[at];
            kept += 1;
        }
    }
    text.truncate(kept);
    text
}

/// JSON with texts for the words `NaN` and `Infinity`, which Python prints for numbers and JSON does not have. Texts that hold
/// such words stay.
pub fn plain_json(json: &[u8]) -> Vec<u8> {
    const WORDS: [&[u8]; 3] = [b"-Infinity", b"Infinity", b"NaN"];
    let mut out = Vec::with_capacity(json.len() + 16);
    let (mut at, mut inside) = (0, false);
    while at < json.len() {
        let word = WORDS.into_iter().find(|word| !inside && json[at..].starts_with(word));
        if let Some(word) = word {
            out.extend([b"\"", word, b"\""].concat());
            at += word.len();
            continue;
        }
        if inside && json[at] == b'\\' {
            out.push(b'\\');
            at += 1;
        } else if json[at] == b'"' {
            inside = !inside;
        }
        out.extend(json.get(at));
        at += 1;
    }
    out
}

/// Objects inside as names with a dot.
pub fn flat(told: Map<String, Value>) -> Map<String, Value> {
    let mut found = Map::new();
    for (name, value) in told {
        match value {
            Value::Object(inner) => {
                found.extend(flat(inner).into_iter().map(|(inner, value)| (format!("{name}.{inner}"), value)));
            }
            value => drop(found.insert(name, value)),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_python_are_replaced_outside_of_texts_alone() {
        let python = br#"{"loss": NaN, "low": -Infinity, "note": "NaN \" Infinity", "n": 1}"#;
        let told = String::from_utf8(plain_json(python)).unwrap();
        let text = r#"{"loss": "NaN", "low": "-Infinity", "note": "NaN \" Infinity", "n": 1}"#;
        assert_eq!(told, text);
    }

    #[test]
    fn only_the_carriage_return_before_a_line_feed_goes() {
        assert_eq!(unix(b"a\r\nb\rc\n\r\r\n\r".to_vec()), b"a\nb\rc\n\r\n\r");
        assert_eq!(unix(Vec::new()), b"");
    }
}

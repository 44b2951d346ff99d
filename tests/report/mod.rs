//! The report as a reader and as an attacker meet it: files written, drawings parsed, text escaped.

mod drawings;
mod fixture;
mod groups;
mod page;
mod statuses;
mod watch;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Figures that every report of IsoFLOP curves has.
const FIGURES: [&str; 4] = ["isoflop", "isoflop_tokens", "optimal", "tokens_per_param"];

fn svg(dir: &Path, figure: &str) -> String {
    fs::read_to_string(dir.join(format!("figures/{figure}.svg"))).unwrap()
}

fn csv_rows(dir: &Path, figure: &str) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_path(dir.join(format!("figures/{figure}.csv"))).unwrap();
    reader.deserialize().map(Result::unwrap).collect()
}

fn html(dir: &Path) -> String {
    fs::read_to_string(dir.join("report.html")).unwrap()
}

/// What stands between two texts.
fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let rest = &text[text.find(start).unwrap_or_else(|| panic!("no {start}")) + start.len()..];
    &rest[..rest.find(end).unwrap()]
}

fn marks<'a>(document: &'a roxmltree::Document<'a>, class: &str) -> Vec<roxmltree::Node<'a, 'a>> {
    document.descendants().filter(|n| n.attribute("class") == Some(class) && n.has_attribute("data-x")).collect()
}

/// Every number in every coordinate is finite, and nothing is drawn that a picture does not need.
fn assert_sound(text: &str) {
    let document = roxmltree::Document::parse(text).unwrap();
    for node in document.descendants().filter(roxmltree::Node::is_element) {
        let name = node.tag_name().name();
        assert!(["svg", "g", "path", "rect", "text", "title", "style"].contains(&name), "{name}");
        for attribute in node.attributes() {
            let (key, value) = (attribute.name(), attribute.value());
            assert!(!key.starts_with("on") && key != "style", "{key}={value}");
            if ["x", "y", "width", "height", "d", "viewBox", "data-x", "data-y"].contains(&key) {
                let numbers = value.split(|c: char| c.is_ascii_alphabetic() || c == ' ').filter(|s| !s.is_empty());
                assert!(!value.contains("NaN") && !value.contains("inf"), "{key}={value}");
                numbers.for_each(|n| assert!(n.parse::<f64>().is_ok_and(f64::is_finite), "{key}={value}"));
            }
        }
    }
    assert!(text.len() < 100_000, "{} bytes", text.len());
}

fn assert_all_sound(dir: &Path) {
    for figure in FIGURES {
        assert_sound(&svg(dir, figure));
    }
}

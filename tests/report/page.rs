//! The page: its headline, its policy, and hostile names.

use std::fs;
use std::path::Path;

use sha2::Digest as _;

use super::fixture::{Sweep, sweep};
use super::{FIGURES, assert_sound, between, html, svg};

const HOSTILE: [&str; 3] = ["</script><img src=x onerror=alert(1)>", "\"><svg onload=alert(1)>", "<!--\u{0}&'"];

#[test]
fn every_approach_stands_in_the_headline_with_its_interval() {
    let page = html(&sweep().write("headline"));
    let headline = between(&page, "<section id=\"headline\">", "</section>");
    assert!(headline.contains("2, IsoFLOP parabolas") && headline.contains("3, surface, robust"));
    let ratio = sweep().approaches[3].tokens_per_param[2].ratio;
    assert!(headline.contains(&format!("{:.1} ({:.1} to {:.1})", ratio.value, ratio.low, ratio.high)), "{ratio:?}");
    assert!(between(&page, "<p class=\"answer\">", "</p>").contains(" by approach 3"));
}

#[test]
fn hostile_names_are_text_everywhere() {
    let mut sweep = sweep();
    let evil = HOSTILE.concat();
    let pair = (evil.clone(), evil.clone());
    sweep.name.clone_from(&evil);
    sweep.spec.clone_from(&evil);
    sweep.runs.header[0].clone_from(&evil);
    sweep.runs.rows[0][0].clone_from(&evil);
    sweep.fits[0].conclusion.clone_from(&evil);
    sweep.left_out.push(pair.clone());
    sweep.failed.push(pair.clone());
    sweep.provenance.push(pair);
    sweep.curves[0].run.clone_from(&evil);
    sweep.curves[0].panel.clone_from(&evil);
    sweep.approaches[3].conclusion.clone_from(&evil);
    let dir = sweep.write("hostile");
    for figure in FIGURES {
        let text = svg(&dir, figure);
        assert_sound(&text);
        let document = roxmltree::Document::parse(&text).unwrap();
        let heading = document.descendants().filter(|n| n.attribute("class") == Some("heading"));
        let heading: Vec<&str> = heading.filter_map(|n| n.text()).collect();
        assert!(heading.concat().contains("onload=alert(1)>"), "{figure}: {heading:?}");
    }
    let page = html(&dir).to_lowercase();
    for tag in ["<img", "<svg onload", "<!--"] {
        assert!(!page.contains(tag), "{tag}");
    }
    // The data and the script of the page itself.
    assert_eq!(page.matches("<script").count(), 2);
    assert_eq!(page.matches("</script").count(), 2);
    // Title, headline, spec, header, cell, conclusion, three pairs and provenance of a group; the data hold it in JSON.
    assert_eq!(page.matches("&#60;img src=x onerror=alert(1)&#62;").count(), 12);
    assert!(page.matches("&lt;img src=x onerror=alert(1)&gt;").count() >= 4, "labels of drawings");
    let page = html(&dir);
    let data = between(&page, r#"<script type="application/json" id="data">"#, "</script>");
    assert!(!data.contains('<'));
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(data["name"], evil.as_str());
    assert_eq!(data["figures"].as_array().unwrap().len(), 8);
}

#[test]
fn the_page_allows_its_own_style_sheet_and_script_and_nothing_else() {
    use base64::Engine as _;
    let page = html(&sweep().write("policy"));
    let policy = between(&page, r#"<meta http-equiv="Content-Security-Policy" content=""#, "\"");
    let hash = |text: &str| base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(text));
    let (style, script) = (hash(between(&page, "<style>", "</style>")), hash(between(&page, "<script>", "</script>")));
    let own = format!("style-src 'sha256-{style}'; script-src 'sha256-{script}'");
    assert_eq!(policy, format!("default-src 'none'; {own}; base-uri 'none'; form-action 'none'"));
    assert_eq!(page.matches("<style").count(), 1);
    assert!(!page.contains(" style="));
    assert!(!page.contains("src="));
    assert!(!between(&page, "<body>", "<script").contains("http-equiv"));
}

#[test]
fn a_place_that_cannot_be_written_is_an_error_that_names_it() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report-in-the-way");
    fs::write(&file, "a file, not a folder").unwrap();
    let error = Sweep::default().write_to(&file).unwrap_err().to_string();
    assert!(error.contains("report-in-the-way") && error.contains("check that"), "{error}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "a file, not a folder");
}

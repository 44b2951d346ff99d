//! The report as a reader and as an attacker meet it: files written, drawings parsed, text escaped.

mod fixture;
mod groups;
mod watch;

use std::fs;
use std::path::Path;

use fixture::{Sweep, sweep};
use runner::fit::{Estimate, Status};
use runner::observation::{Counting, Observation};
use runner::report::{ReportInput, RunTable, write};
use sha2::Digest as _;

const HOSTILE: [&str; 3] = ["</script><img src=x onerror=alert(1)>", "\"><svg onload=alert(1)>", "<!--\u{0}&'"];

/// Figures that every report of IsoFLOP curves has.
const FIGURES: [&str; 4] = ["isoflop", "isoflop_tokens", "optimal", "tokens_per_param"];
/// Figures of what follows from all runs at once.
const MORE: [&str; 4] = ["surface", "residuals", "forecast", "loss_curves"];

fn svg(dir: &Path, figure: &str) -> String {
    fs::read_to_string(dir.join(format!("figures/{figure}.svg"))).unwrap()
}

fn csv_rows(dir: &Path, figure: &str) -> Vec<std::collections::BTreeMap<String, String>> {
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

/// First corner of a path.
fn place(node: roxmltree::Node<'_, '_>) -> (f64, f64) {
    let d = node.attribute("d").unwrap();
    let numbers = between(d, "M", if d.contains('a') { "a" } else { "L" });
    let (x, y) = numbers.split_once(' ').unwrap();
    (x.parse().unwrap(), y.parse().unwrap())
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

#[test]
fn every_run_and_every_minimum_is_drawn_where_its_numbers_say() {
    let sweep = sweep();
    let dir = sweep.write("whole");
    assert_all_sound(&dir);
    for (figure, of) in [
        ("isoflop", (|o| o.params_blocks_and_unembedding.unwrap()) as fn(&Observation) -> f64),
        ("isoflop_tokens", |o| o.tokens),
    ] {
        let text = svg(&dir, figure);
        let document = roxmltree::Document::parse(&text).unwrap();
        let runs = marks(&document, "run");
        let mut drawn: Vec<[f64; 2]> =
            runs.iter().map(|n| ["data-x", "data-y"].map(|key| n.attribute(key).unwrap().parse().unwrap())).collect();
        let mut wanted: Vec<[f64; 2]> = sweep.observations.iter().map(|o| [of(o), o.loss]).collect();
        drawn.sort_by(|a, b| a.partial_cmp(b).unwrap());
        wanted.sort_by(|a, b| a.partial_cmp(b).unwrap());
        assert_eq!(drawn, wanted, "{figure}");
        let minima = marks(&document, "estimate");
        assert_eq!(minima.len(), 3);
        let interval = |n: &roxmltree::Node<'_, '_>| n.attribute("class") == Some("interval");
        assert_eq!(document.descendants().filter(interval).count(), 3);
        // The same budget's runs lie about its minimum, on the canvas as in the numbers.
        for minimum in minima {
            let number = |n: &roxmltree::Node<'_, '_>, key| n.attribute(key).unwrap().parse::<f64>().unwrap();
            for run in runs.iter().filter(|r| r.parent() == minimum.parent()) {
                let left = number(run, "data-x") < number(&minimum, "data-x") / 1.2;
                let right = number(run, "data-x") > number(&minimum, "data-x") * 1.2;
                assert!(!left || place(*run).0 < place(minimum).0);
                assert!(!right || place(*run).0 > place(minimum).0);
            }
        }
    }
    let text = svg(&dir, "optimal");
    assert_eq!(marks(&roxmltree::Document::parse(&text).unwrap(), "estimate").len(), 6);
    let text = svg(&dir, "tokens_per_param");
    assert_eq!(marks(&roxmltree::Document::parse(&text).unwrap(), "estimate").len(), 3);
}

#[test]
fn the_surface_the_residuals_and_the_forecast_say_what_the_fit_says() {
    let sweep = sweep();
    let dir = sweep.write("surface");
    for figure in MORE {
        assert_sound(&svg(&dir, figure));
    }
    let number = |row: &std::collections::BTreeMap<String, String>, key: &str| row[key].parse::<f64>().unwrap();
    // The frontier spends its budget, and no neighbour of that budget has a smaller loss.
    let surface = sweep.approaches[3].surface().unwrap();
    let frontier = csv_rows(&dir, "surface");
    assert_eq!(frontier.len(), 3);
    for row in &frontier {
        let [c, n, d] = ["flops", "params", "tokens"].map(|key| number(row, key));
        assert!((6.0 * n * d / c - 1.0).abs() < 1e-9);
        assert!([0.9, 1.1].iter().all(|by| surface.loss(n * by, d / by) > number(row, "loss")));
    }
    // On a contour the loss is the one that stands beside it.
    let text = svg(&dir, "surface");
    let document = roxmltree::Document::parse(&text).unwrap();
    let labels = document.descendants().filter(|n| n.attribute("class") == Some("label")).count();
    let contours = document.descendants().find(|n| n.attribute("data-series") == Some("equal loss")).unwrap();
    assert!(labels > 4 && contours.children().filter(|n| n.has_tag_name("path")).count() == labels);
    let residuals = csv_rows(&dir, "residuals");
    assert_eq!(residuals.len(), 2 * 42);
    let of_surface = residuals.iter().filter(|row| row["approach"] == "3");
    assert!(of_surface.clone().count() == 42);
    for row in of_surface {
        let predicted = surface.loss(number(row, "params"), number(row, "tokens"));
        assert!((number(row, "predicted") - predicted).abs() < 1e-12);
    }
    let forecast = csv_rows(&dir, "forecast");
    assert_eq!(forecast.len(), 3 * 14);
    assert!(
        forecast
            .iter()
            .all(|r| number(r, "low") < number(r, "predicted") && number(r, "predicted") < number(r, "high"))
    );
    assert_eq!(csv_rows(&dir, "loss_curves").len(), 3 * 42);
}

#[test]
fn every_approach_stands_in_the_headline_with_its_interval() {
    let page = html(&sweep().write("headline"));
    let headline = between(&page, "<section id=\"headline\">", "</section>");
    assert!(headline.contains("2, IsoFLOP parabolas") && headline.contains("3, surface, robust"));
    let ratio = sweep().approaches[3].tokens_per_param[2].ratio;
    assert!(headline.contains(&format!("{:.1} ({:.1} to {:.1})", ratio.value, ratio.low, ratio.high)), "{ratio:?}");
    assert!(between(&page, "<p class=\"answer\">", "</p>").contains("approach 3 says"));
}

#[test]
fn the_tables_hold_every_convention_and_the_figures_draw_one() {
    let sweep = sweep();
    let dir = sweep.write("tables");
    let rows = csv_rows(&dir, "isoflop");
    for (counting, fit) in Counting::ALL.into_iter().zip(&sweep.fits) {
        let of = |kind: &str| {
            rows.iter().filter(|r| r["counting"] == counting.name() && r["kind"] == kind).collect::<Vec<_>>()
        };
        assert_eq!((of("run").len(), of("minimum").len()), (42, 3));
        for (row, optimum) in of("minimum").iter().zip(&fit.optima) {
            assert_eq!(row["value"], optimum.params.unwrap().value.to_string());
            assert_eq!(row["p"], optimum.parabola_params.unwrap()[0].to_string());
        }
    }
    let laws = csv_rows(&dir, "optimal").into_iter().filter(|r| r["kind"] == "law").count();
    assert_eq!(laws, 6);
    let ratios = csv_rows(&dir, "tokens_per_param");
    assert_eq!(ratios.iter().filter(|r| r["kind"] == "laws").count(), 15);
    assert_eq!(ratios.iter().filter(|r| r["kind"] == "optimum").count(), 9);
}

#[test]
fn the_same_input_gives_the_same_bytes_in_whatever_order_runs_finished() {
    let mut sweep = sweep();
    let (one, two) = (sweep.write("order-one"), {
        sweep.observations.reverse();
        sweep.write("order-two")
    });
    for figure in FIGURES {
        assert_eq!(svg(&one, figure), svg(&two, figure));
        assert_eq!(csv_rows(&one, figure), csv_rows(&two, figure));
    }
    assert_eq!(html(&one), html(&two));
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
fn a_fit_that_is_not_identified_is_said_in_words_and_shows_no_number() {
    let mut sweep = sweep();
    for fit in &mut sweep.fits {
        // The numbers stay in place: it is the report that must not show them.
        fit.status = Status::NotIdentified;
        for optimum in &mut fit.optima {
            optimum.status = Status::EdgeMinimum;
            optimum.params = Some(Estimate { value: 77_700_000.0, low: 77_600_000.0, high: 77_800_000.0 });
            optimum.tokens_per_param = Some(Estimate { value: 777.0, low: 776.0, high: 778.0 });
        }
        for law in [&mut fit.n_opt, &mut fit.d_opt] {
            law.as_mut().unwrap().exponent = Estimate { value: 0.777, low: 0.776, high: 0.778 };
        }
        for ratio in &mut fit.tokens_per_param {
            ratio.ratio = Estimate { value: 777.0, low: 776.0, high: 778.0 };
        }
    }
    for fit in &mut sweep.approaches {
        fit.status = Status::NotIdentified;
        (fit.n_exponent, fit.e) = (Some(0.777), Some(7.77));
        for interval in fit.intervals.values_mut() {
            *interval = [0.776, 0.778];
        }
        for ratio in &mut fit.tokens_per_param {
            ratio.ratio = Estimate { value: 777.0, low: 776.0, high: 778.0 };
        }
    }
    for held in &mut sweep.held_out {
        held.fit.status = Status::NotIdentified;
    }
    let dir = sweep.write("not-identified");
    let page = html(&dir);
    assert!(page.contains("There is no compute-optimal ratio to report: not identified"));
    assert!(page.contains("0 budgets have a minimum inside the sizes trained"));
    assert!(page.contains("Widen the sizes of this budget"));
    assert!(page.contains("approach 3, smaller budgets only: not identified"));
    assert!(page.contains("Not drawn is approach 3: not identified"));
    assert!(csv_rows(&dir, "surface").is_empty() && csv_rows(&dir, "residuals").iter().all(|r| r["approach"] == "2"));
    assert!(csv_rows(&dir, "forecast").iter().all(|r| r["predicted"].is_empty() && !r["measured"].is_empty()));
    for number in ["77.7M", "776 to 778", "0.776"] {
        assert!(!between(&page, "<body>", "</body>").contains(number), "{number}");
    }
    for figure in FIGURES {
        let text = svg(&dir, figure);
        assert_sound(&text);
        assert!(marks(&roxmltree::Document::parse(&text).unwrap(), "estimate").is_empty());
        assert!(csv_rows(&dir, figure).iter().filter(|r| r["kind"] != "run").all(|r| r["value"].is_empty()));
    }
    let legend = svg(&dir, "isoflop");
    assert!(legend.contains("1e12: no interior minimum: the least loss lies at the edge of the sizes trained"));
    assert_eq!(marks(&roxmltree::Document::parse(&legend).unwrap(), "run").len(), 42);
}

#[test]
fn one_budget_at_the_edge_is_named_and_the_others_keep_their_minima() {
    let mut sweep = sweep();
    for fit in &mut sweep.fits {
        fit.optima[2].status = Status::EdgeMinimum;
    }
    let dir = sweep.write("edge");
    let page = html(&dir);
    assert!(page.contains("2 budgets have a minimum inside the sizes trained"));
    assert!(page.contains("Budget 1e13: no interior minimum"));
    assert!(page.contains("100 times beyond the largest budget trained"));
    let text = svg(&dir, "isoflop");
    assert_eq!(marks(&roxmltree::Document::parse(&text).unwrap(), "estimate").len(), 2);
}

#[test]
fn nothing_and_one_point_give_a_page_that_says_so() {
    let empty = Sweep { name: "empty".to_owned(), ..Sweep::default() };
    let dir = empty.write("empty");
    let page = html(&dir);
    assert!(page.contains("There is no answer yet") && page.contains("No run has finished."));
    assert!(page.contains("No run has finished, so nothing follows") && page.contains("<dd>0e0 FLOPs</dd>"));
    assert_all_sound(&dir);
    assert!(svg(&dir, "isoflop").contains("nothing to draw"));

    let mut one = sweep();
    one.observations.truncate(1);
    one.fits.clear();
    (one.approaches, one.held_out, one.curves) = (Vec::new(), Vec::new(), Vec::new());
    let dir = one.write("one");
    assert!(html(&dir).contains("No fit was made"));
    assert_all_sound(&dir);
    let text = svg(&dir, "isoflop");
    assert_eq!(marks(&roxmltree::Document::parse(&text).unwrap(), "run").len(), 1);
    assert!(text.contains("1e12: not fitted"));
}

#[test]
fn numbers_that_are_none_and_numbers_without_end_do_not_break_a_drawing() {
    let mut sweep = sweep();
    let wild = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -1.0, 1e300, f64::MIN_POSITIVE];
    for (o, x) in sweep.observations.iter_mut().zip(wild.into_iter().cycle()) {
        o.loss = x;
        o.tokens = x;
    }
    for fit in &mut sweep.fits {
        for (optimum, x) in fit.optima.iter_mut().zip([f64::INFINITY, 1e300, f64::NAN]) {
            optimum.params.as_mut().unwrap().high = x;
            optimum.tokens_per_param.as_mut().unwrap().low = -x;
            optimum.parabola_tokens = Some([x; 3]);
        }
        fit.d_opt.as_mut().unwrap().coefficient = f64::MAX;
        fit.tokens_per_param[4].ratio.high = f64::INFINITY;
    }
    sweep.entropy = Some((f64::NAN, f64::NAN));
    let dir = sweep.write("wild");
    assert_all_sound(&dir);
}

#[test]
fn a_table_that_knows_only_all_parameters_is_drawn_by_those() {
    let mut sweep = sweep();
    for o in &mut sweep.observations {
        (o.params_non_embedding, o.params_blocks_and_unembedding) = (None, None);
    }
    sweep.fits.truncate(1);
    let dir = sweep.write("all-only");
    assert!(html(&dir).contains("parameters counted as all parameters."));
    let text = svg(&dir, "isoflop");
    assert_eq!(marks(&roxmltree::Document::parse(&text).unwrap(), "run").len(), 42);
    assert!(csv_rows(&dir, "isoflop").iter().all(|r| r["counting"] == "all"));
}

#[test]
fn a_known_entropy_stands_beside_the_lowest_loss_and_a_loss_below_it_is_called_impossible() {
    let mut sweep = sweep();
    let lowest = sweep.observations.iter().map(|o| o.loss).fold(f64::INFINITY, f64::min);
    sweep.entropy = Some((lowest - 0.25, 0.001));
    let page = html(&sweep.write("entropy"));
    assert!(page.contains("true entropy of the language") && page.contains("0.2500 nats per token"));
    assert!(!page.contains("impossible"));
    sweep.entropy = Some((lowest + 0.25, 0.001));
    assert!(html(&sweep.write("entropy-above")).contains("which is impossible"));
}

#[test]
fn seeds_are_missed_only_where_no_point_was_repeated() {
    let mut sweep = sweep();
    assert!(!html(&sweep.write("seeds")).contains("one seed only"));
    sweep.observations.retain(|o| o.seed == Some(0));
    assert!(html(&sweep.write("one-seed")).contains("one seed only"));
}

#[test]
fn a_place_that_cannot_be_written_is_an_error_that_names_it() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report-in-the-way");
    fs::write(&file, "a file, not a folder").unwrap();
    let input = ReportInput {
        name: "x",
        spec: "",
        observations: &[],
        transfer: &[],
        savings: &[],
        isoflop_groups: &[],
        approach2: &[],
        approaches: &[],
        held_out: &[],
        curves: &[],
        entropy: None,
        runs: &RunTable::default(),
        left_out: &[],
        failed: &[],
        provenance: &[],
        progress: None,
    };
    let error = write(&file, &input).unwrap_err().to_string();
    assert!(error.contains("report-in-the-way") && error.contains("check that"), "{error}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "a file, not a folder");
}

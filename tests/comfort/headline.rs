//! One number a sweep: whatever names its result names the same one, in the same words.

use runner::fit::approaches::approach2::Approach2;
use runner::fit::approaches::headline::Headline;
use runner::fit::approaches::summary::Summary;
use runner::report::{ReportInput, RunTable, answer};

use crate::common::{Place, assert_code, repository, text};

/// The committed sweeps of the README.
const SWEEPS: [&str; 2] = ["isoflop", "isoflop-c"];

/// The headline of what `fits.json` holds, and the answer of a report on it.
fn of_fits(sweep: &str) -> (Headline, String) {
    let path = repository().join("results").join(sweep).join("fits.json");
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let parabolas: Vec<Approach2> = serde_json::from_value(json["approach2"].clone()).unwrap();
    let summaries: Vec<Summary> = serde_json::from_value(json["approaches"].clone()).unwrap();
    let headline = Headline::of(&summaries).unwrap();
    let input = ReportInput {
        name: sweep,
        spec: "",
        observations: &[],
        approach2: &parabolas,
        approaches: &summaries,
        held_out: &[],
        curves: &[],
        transfer: &[],
        savings: &[],
        isoflop_groups: &[],
        choices: None,
        question: None,
        entropy: None,
        runs: &RunTable::default(),
        left_out: &[],
        failed: &[],
        provenance: &[],
        progress: None,
        evaluated: &[],
        shared: None,
        stopped: None,
    };
    (headline, answer(&input).paragraph())
}

#[test]
fn ls_show_compare_fit_report_and_readme_say_one_number_of_the_committed_sweeps() {
    let place = Place::new();
    let results = repository().join("results");
    let shown = results.display().to_string();
    let listed = place.says(&["ls", &shown]).split_whitespace().collect::<Vec<_>>().join(" ");
    let [first, second] = SWEEPS.map(|name| results.join(name).display().to_string());
    let compared = place.says(&["compare", &first, &second]).split_whitespace().collect::<Vec<_>>().join(" ");
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let readme = readme.split_whitespace().collect::<Vec<_>>().join(" ");
    for sweep in SWEEPS {
        let (headline, answer) = of_fits(sweep);
        let words = headline.to_string();
        assert!(words.ends_with(", approach 2, all parameters"), "{words}");
        assert!(answer.contains(&words), "the report: {words} is not in {answer}");
        assert!(
            answer.contains("counting blocks only") && answer.contains("counting blocks and unembedding"),
            "{answer}"
        );
        assert!(listed.contains(&words), "ls: {words} is not in {listed}");
        assert!(compared.contains(&words), "compare: {words} is not in {compared}");
        let table = results.join(sweep).join("runs.csv");
        let id = std::fs::read_to_string(&table).unwrap().lines().nth(1).unwrap()[..16].to_owned();
        let run = place.says(&["show", &format!("{shown}/{sweep}/{id}")]);
        assert!(run.contains(&words), "show: {words} is not in {run}");
        let fitted = place.says(&["fit", &table.display().to_string(), "--approach", "2"]);
        assert!(fitted.contains(&format!("Headline: {words}")), "fit: {words} is not in {fitted}");
        let ratio = headline.tokens_per_param;
        let rounded = format!("({:.0} to {:.0})", ratio.low, ratio.high);
        let value = format!("{:.0}", ratio.value);
        let told = readme.contains(&format!("{value} {rounded}"))
            || readme.contains(&format!("{value} tokens per parameter** ({:.0} to {:.0})", ratio.low, ratio.high));
        assert!(told, "README: {value} {rounded}");
    }
}

#[test]
fn the_output_that_the_page_of_fitting_shows_is_printed() {
    let page = std::fs::read_to_string(repository().join("docs/fitting.md")).unwrap();
    let shown = page.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let table = repository().join("results/isoflop/runs.csv").display().to_string();
    let printed = Place::new().says(&["fit", &table, "--wide"]);
    let printed: Vec<String> =
        printed.split("\n\n").flat_map(|part| [words(part)].into_iter().chain(part.lines().map(words))).collect();
    // Paragraphs are wrapped, tables and the headline are not.
    for part in shown.split("\n\n") {
        let lines: Vec<String> =
            if part.starts_with("How sure") { vec![words(part)] } else { part.lines().map(words).collect() };
        for line in lines {
            assert!(printed.contains(&line), "docs/fitting.md: {line}");
        }
    }
}

#[test]
fn a_sweep_ends_with_its_answer_its_interval_what_limits_it_and_the_report() {
    let place = Place::rehearsed(&["name=one"]);
    let output = place.rehearse();
    assert_code(&output, 0);
    let said = text(&output.stderr);
    let fits: serde_json::Value = serde_json::from_str(&place.read("out/fits.json")).unwrap();
    let headline: Headline = serde_json::from_value(fits["headline"].clone()).unwrap();
    let closing = said.split("\n\n").last().unwrap();
    for words in [&headline.to_string(), "REHEARSAL", "each point was trained with one seed", "21 runs finished"] {
        assert!(closing.contains(words), "{words} is not in {closing}");
    }
    assert!(closing.trim_end().ends_with("Report: out/report.html"), "{closing}");
    assert!(place.read("out/report.html").contains(&headline.to_string()), "the page");
    assert!(text(&output.stdout).contains(&headline.to_string()), "the table");
    assert!(place.says(&["ls", "out"]).contains(&headline.to_string()), "ls");
}

/// The line `Headline:` of what `runner fit` prints, with what it was folded into.
fn headline_of(printed: &str) -> String {
    let mut found = printed.split("\n\n").filter(|part| part.starts_with("Headline: "));
    let line = found.next().unwrap_or_else(|| panic!("no headline in {printed}"));
    assert_eq!(found.next(), None, "{printed}");
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn fit_has_a_headline_where_there_is_no_answer_and_says_why_in_the_words_of_the_sweep() {
    let place = Place::new();
    place.write("two.csv", "params,tokens,loss\n1e5,2e6,3.5\n2e5,4e6,3.3\n");
    let flat = |row: usize| format!("{},{},{},3.0\n", 1e4 * (row + 1) as f64, 1e15 / (row + 1) as f64, 6e19);
    place.write("flat.csv", format!("params,tokens,flops,loss\n{}", (0..8).map(flat).collect::<String>()));
    for (args, why) in [
        (&["fit", "two.csv"][..], "none: too few points. "),
        (&["fit", "flat.csv", "--approach", "2"], "none: "),
        (&["fit", "flat.csv", "--approach", "vpnls"], "none: approach 2, which gives it, is not among these fits"),
    ] {
        // Exit code 0, as the pages say.
        let line = headline_of(&place.says(args));
        assert!(line.starts_with(&format!("Headline: {why}")) && line.len() > 20, "{args:?}: {line}");
        assert!(line.to_lowercase().matches("not identified").count() <= 1, "{line}");
    }
    // One budget whose sizes all lie to one side.
    let place = Place::rehearsed(&["sweep.budgets=[1.5e12]", "sweep.expected_tokens_per_param=2000.0"]);
    let said = text(&place.rehearse().stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    let why = said.split("There is no compute-optimal ratio to report: ").nth(1).unwrap_or_else(|| panic!("{said}"));
    let line = headline_of(&place.says(&["fit", "out", "--approach", "2"]));
    let told = line.strip_prefix("Headline: none: ").unwrap_or_else(|| panic!("{line}"));
    assert!(why.starts_with(told), "{told} is not at the beginning of {why}");
    let page = |name: &str| std::fs::read_to_string(repository().join(name)).unwrap();
    assert!(page("README.md").contains("`Headline: none:`"));
    let help = place.says(&["fit", "--help"]).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        help.contains("the line Headline: says none and why") && help.contains("exit code is 0 all the same"),
        "{help}"
    );
}

#[test]
fn a_folder_of_another_command_is_left_as_it_is() {
    let place = Place::rehearsed(&["name=one"]);
    let check = std::fs::read_to_string(repository().join("sweeps/coord-check.toml")).unwrap();
    let check = crate::common::with_data(&check, "source = \"synthetic\"\nvocab = 256\nmax_epochs = 1.0\nseed = 1\n");
    place.write("check.toml", &check);
    let before = place.read("out/spec.toml");
    let refused = place.refusal(&["coord-check", "check.toml", "--out", "out"]);
    assert!(refused.contains("out holds the results of a sweep or a run"), "{refused}");
    assert_eq!(place.read("out/spec.toml"), before);
    std::fs::create_dir(place.path("mine")).unwrap();
    place.write("mine/thesis.tex", "years of work");
    let refused = place.refusal(&["coord-check", "check.toml", "--out", "mine"]);
    assert!(refused.contains("mine holds thesis.tex"), "{refused}");
    std::fs::create_dir_all(place.path("theirs/figures")).unwrap();
    place.write("theirs/spec.toml", check.replace("seed = 1\n", "seed = 2\n"));
    let refused = place.refusal(&["coord-check", "check.toml", "--out", "theirs"]);
    assert!(refused.contains("theirs was made from another spec"), "{refused}");
    // Nor does a sweep write into the folder of a check.
    let refused = place.refusal(&["sweep", "spec.toml", "--device", "rehearsal", "--out", "theirs"]);
    assert!(refused.contains("theirs") && !place.path("theirs/runs").exists(), "{refused}");
    for command in [&["export", "tensorboard", "out", "--out", "out"][..], &["man", "out"]] {
        assert!(place.refusal(command).contains("out holds the results"), "{command:?}");
    }
}

/// Runs a command in a real pseudo-terminal, as `script` makes one; nothing where it is not installed.
fn in_a_terminal(place: &Place, args: &[&str]) -> Option<String> {
    let runner = env!("CARGO_BIN_EXE_runner");
    let command = std::iter::once(runner).chain(args.iter().copied()).collect::<Vec<_>>().join(" ");
    let mut script = std::process::Command::new("script");
    script.args(["-qec", &format!("stty cols 80; {command}"), "/dev/null"]);
    script.current_dir(place.path("")).stdin(std::process::Stdio::null());
    if let Ok(output) = script.output() {
        return Some(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    println!("skipped: `script` of util-linux is not installed");
    None
}

/// What is left on a terminal of endless length: lines, with what was erased erased.
fn left_on_screen(bytes: &str) -> String {
    let (mut lines, mut row, mut column): (Vec<Vec<char>>, usize, usize) = (vec![Vec::new()], 0, 0);
    let mut chars = bytes.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' => row += 1,
            '\r' => column = 0,
            '\u{1b}' if chars.next_if_eq(&'[').is_some() => {
                let mut number = String::new();
                while let Some(digit) = chars.next_if(|c| c.is_ascii_digit() || "?;".contains(*c)) {
                    number.push(digit);
                }
                let n = number.parse().unwrap_or(1);
                match chars.next() {
                    Some('A') => row = row.saturating_sub(n),
                    Some('B') => row += n,
                    Some('K') if number == "2" => lines[row].clear(),
                    Some('K') => lines[row].truncate(column),
                    Some('J') => {
                        lines[row].truncate(column);
                        lines.truncate(row + 1);
                    }
                    _ => {}
                }
            }
            c if !c.is_control() => {
                let line = &mut lines[row];
                line.resize(line.len().max(column + 1), ' ');
                line[column] = c;
                column += 1;
            }
            _ => {}
        }
        lines.resize(lines.len().max(row + 1), Vec::new());
    }
    lines.into_iter().map(|line| line.into_iter().collect::<String>().trim_end().to_owned() + "\n").collect()
}

#[test]
fn the_closing_lines_stay_on_a_terminal() {
    let place = Place::with(crate::common::QUICKSTART);
    let sweep = ["sweep", "spec.toml", "--device", "rehearsal", "--out", "out", "--slots", "2"];
    let Some(first) = in_a_terminal(&place, &sweep) else { return };
    let again = in_a_terminal(&place, &sweep).unwrap();
    for said in [first, again] {
        let left = left_on_screen(&said);
        let last = left.trim_end().rsplit('\n').next().unwrap();
        assert!(last.ends_with("Report: out/report.html"), "{left}");
        assert!(left.contains("REHEARSAL") && left.contains("What limits it:"), "{left}");
        let closing = left.trim_end().rsplit("\n\n").next().unwrap();
        assert!(closing.lines().all(|line| line.chars().count() <= 80), "{closing}");
    }
}

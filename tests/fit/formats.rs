//! The list of tables in docs/formats.md: each line is made, read and held.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use parquet::data_type::{DataType, DoubleType};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use runner::fit::table::{self, Columns, Options, Table};
use runner::observation::Observation;

use super::surface::{CHINCHILLA, Runs as _};
use crate::common::Place;

/// Runs whose numbers have few digits, so that each way of writing them gives the same: parameters, tokens, loss.
fn plain() -> Vec<[f64; 3]> {
    let runs = CHINCHILLA.grid(&[1e18, 1e19], 5, 4.0);
    // Whole millions of parameters and billions of tokens, three digits of loss.
    runs.iter()
        .map(|run| {
            [(run.params / 1e4).round() * 1e4, (run.tokens / 1e7).round() * 1e7, (run.loss * 100.0).round() / 100.0]
        })
        .collect()
}

/// Thousands grouped by a mark.
fn grouped(value: f64, mark: &str) -> String {
    let digits = format!("{value}");
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push_str(mark);
        }
        out.push(digit);
    }
    out
}

/// A table with these columns and delimiter, whose cells `of` writes.
fn written(header: &str, delimiter: &str, of: impl Fn([f64; 3]) -> [String; 3]) -> String {
    let mut text = format!("{header}\n");
    for run in plain() {
        writeln!(text, "{}", of(run).join(delimiter)).unwrap();
    }
    text
}

fn csv(header: &str) -> String {
    written(header, ",", |run| run.map(|x| x.to_string()))
}

fn jsonl(of: impl Fn([f64; 3]) -> serde_json::Value) -> String {
    plain().into_iter().fold(String::new(), |text, run| text + &of(run).to_string() + "\n")
}

/// The same runs as Parquet of a schema with three columns of numbers.
fn parquet_of(schema: &str) -> Vec<u8> {
    fn column<T: DataType>(
        group: &mut SerializedRowGroupWriter<'_, &mut Vec<u8>>,
        values: &[T::T],
        levels: Option<&[i16]>,
    ) {
        let mut writer = group.next_column().unwrap().unwrap();
        writer.typed::<T>().write_batch(values, levels, None).unwrap();
        writer.close().unwrap();
    }
    let mut bytes = Vec::new();
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let nested = schema.get_fields()[0].is_group();
    let mut file = SerializedFileWriter::new(&mut bytes, schema, Arc::default()).unwrap();
    let mut group = file.next_row_group().unwrap();
    for k in 0..3 {
        let values: Vec<f64> = plain().iter().map(|run| run[k]).collect();
        let levels = vec![if nested && k < 2 { 2 } else { 1 }; values.len()];
        column::<DoubleType>(&mut group, &values, Some(&levels));
    }
    group.close().unwrap();
    file.close().unwrap();
    bytes
}

/// A chart of W&B: a row a step, a column a run and metric.
fn chart(metrics: &[(&str, usize)], axis: &str) -> String {
    let runs = plain();
    let mut header = vec![axis.to_owned()];
    for (name, _) in metrics {
        header.extend((0..runs.len()).flat_map(|i| ["", "__MIN", "__MAX"].map(|end| format!("run-{i} - {name}{end}"))));
    }
    let mut text = format!("{}\n", header.join(","));
    for step in 1..=2_u32 {
        let mut cells = vec![step.to_string()];
        for (_, k) in metrics {
            cells.extend(runs.iter().flat_map(|run| {
                let value = if step == 2 { run[*k].to_string() } else { "1e99".to_owned() };
                [value, "0".to_owned(), "9".to_owned()]
            }));
        }
        writeln!(text, "{}", cells.join(",")).unwrap();
    }
    text
}

/// The file that a line of the list names.
#[expect(clippy::too_many_lines, reason = "a list of files")]
fn make(place: &Place, table: &str) -> PathBuf {
    let (comma, semicolon) = (csv("params,tokens,loss"), csv("params,tokens,loss").replace(',', ";"));
    let replaced = |of: usize, text: &str| {
        let mut rows: Vec<Vec<String>> =
            comma.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect();
        text.clone_into(&mut rows[3][of]);
        rows.iter().fold(String::new(), |text, row| text + &row.join(";") + "\n")
    };
    let object = |[n, d, l]: [f64; 3]| serde_json::json!({"params": n, "tokens": d, "loss": l});
    let short = |[n, d, l]: [f64; 3]| [format!("{}M", n / 1e6), format!("{}B", d / 1e9), l.to_string()];
    let utf_16 = || {
        let tabs = comma.replace(',', "\t");
        [b"\xff\xfe".to_vec(), tabs.encode_utf16().flat_map(u16::to_le_bytes).collect()].concat()
    };
    let content: Vec<u8> = match table {
        "CSV with commas" => comma.into_bytes(),
        "CSV with semicolons" => semicolon.into_bytes(),
        "CSV with tabs" => comma.replace(',', "\t").into_bytes(),
        "CSV that begins with `sep=;`" => format!("sep=;\n{semicolon}").into_bytes(),
        "CSV with a byte order mark" => format!("\u{feff}{comma}").into_bytes(),
        "CSV in UTF-16, as Excel's Unicode text" => utf_16(),
        "CSV with lines that end in CR LF" => comma.replace('\n', "\r\n").into_bytes(),
        "CSV with rows of empty cells below" => format!("{comma},,\n,,\n").into_bytes(),
        "CSV by gzip" => crate::data::formats::gzip(&comma),
        "CSV by Zstandard" => crate::data::formats::zstandard(&comma),
        "a folder with `runs.csv`" => {
            std::fs::create_dir(place.path("results")).unwrap();
            place.write("results/runs.csv", comma);
            return place.path("results");
        }
        "JSON Lines" => jsonl(object).into_bytes(),
        "JSON Lines with numbers as text" => {
            jsonl(|[n, d, l]| serde_json::json!({"params": grouped(n, ","), "tokens": format!("{d:e}"), "loss": l.to_string()}))
                .into_bytes()
        }
        "JSON Lines with objects inside: `config.n_params`" => jsonl(|[n, d, l]| {
            serde_json::json!({"config": {"n_params": n, "note": null}, "summary": {"tokens": d, "val/loss": l}, "tags": ["a"]})
        })
        .into_bytes(),
        "JSON Lines with a key that some lines lack" => jsonl(object).replacen('{', "{\"seed\":7,", 1).into_bytes(),
        "JSON, a list of objects" => format!("[\n{}\n]", jsonl(object).trim().replace('\n', ",\n")).into_bytes(),
        "Parquet" => parquet_of("message m { optional double params; optional double tokens; optional double loss; }"),
        "Parquet with objects inside" => parquet_of(
            "message m { optional group config { optional double n_params; optional double tokens; } optional double loss; }",
        ),
        "numbers as 5.06M and 1.2B" => written("params,tokens,loss", ",", short).into_bytes(),
        "numbers as 5,059,644" => {
            let quoted = |x: f64| format!("\"{}\"", grouped(x, ","));
            written("params,tokens,loss", ",", |[n, d, l]| [quoted(n), quoted(d), l.to_string()]).into_bytes()
        }
        "numbers as 5 059 644" => {
            written("params,tokens,loss", ",", |[n, d, l]| [grouped(n, " "), grouped(d, "\u{a0}"), l.to_string()]).into_bytes()
        }
        "numbers as 5_059_644" => {
            written("params,tokens,loss", ",", |[n, d, l]| [grouped(n, "_"), grouped(d, "_"), l.to_string()]).into_bytes()
        }
        "numbers as 3,21 between semicolons" => semicolon.replace('.', ",").into_bytes(),
        "numbers as 5.059.644 and 3,21" => written("params;tokens;loss", ";", |[n, d, l]| {
            [grouped(n, "."), grouped(d, "."), l.to_string().replace('.', ",")]
        })
        .into_bytes(),
        "columns `N`, `D`, `L`" => csv("N,D,L").into_bytes(),
        "columns `Model Size`, `tokens_seen`, `loss/val`" => csv("Model Size,tokens_seen,loss/val").into_bytes(),
        "columns of W&B's table of runs" => written("\"Name\",\"State\",\"n_params\",\"tokens\",\"val/loss\"", ",", |run| {
            let [n, d, l] = run.map(|x| format!("\"{x}\""));
            [format!("\"run\",\"finished\",{n}"), d, l]
        })
        .into_bytes(),
        "columns `Params (M)`, `Tokens (B)`" => {
            written("Params (M),Tokens (B),loss", ",", |[n, d, l]| [n / 1e6, d / 1e9, l].map(|x| x.to_string())).into_bytes()
        }
        "parameters in millions" | "a unit that is none" => {
            written("N,tokens,loss", ",", |[n, d, l]| [n / 1e6, d, l].map(|x| x.to_string())).into_bytes()
        }
        "names with commas" => csv("\"N, all\",D,loss").into_bytes(),
        "no tokens, but FLOPs of 6ND" => {
            written("params,flops,loss", ",", |[n, d, l]| [n, 6.0 * n * d, l].map(|x| x.to_string())).into_bytes()
        }
        "a chart of W&B with tokens and sizes" => {
            chart(&[("loss", 2), ("n_params", 0), ("tokens", 1)], "Step").into_bytes()
        }
        "a chart of W&B" => chart(&[("loss", 2)], "Step").into_bytes(),
        "the columns `val/loss` and `test/loss`" => {
            written("params,tokens,val/loss,test/loss", ",", |[n, d, l]| [n.to_string(), d.to_string(), format!("{l},9")])
                .into_bytes()
        }
        "a column named twice" => csv("params,params,loss").into_bytes(),
        "`1.3` beside `5.06M`" => written("params,tokens,loss", ",", short).replacen('M', "", 1).into_bytes(),
        "`5M` in a column of millions" => written("Params (M),tokens,loss", ",", short).into_bytes(),
        "`5,059M`" => "params;tokens;loss\n5,059M;1e9;3\n".into(),
        "`3,21` beside `5.5`" => replaced(2, "3,21").into_bytes(),
        "an empty loss" => replaced(2, "").into_bytes(),
        "a loss of NaN, as Python writes it to JSON" => {
            let lines = jsonl(object);
            let loss = format!("\"loss\":{}", plain()[2][2]);
            lines.replacen(&loss, "\"loss\":NaN", 1).into_bytes()
        }
        "no loss at all" => written("params,tokens,loss", ",", |[n, d, _]| [n.to_string(), d.to_string(), String::new()]).into_bytes(),
        "a column of words" => replaced(1, "many").into_bytes(),
        "lists in a column" => jsonl(|[n, d, l]| serde_json::json!({"params": n, "tokens": d, "loss": [l, l]})).into_bytes(),
        "a row of too few cells" => format!("{comma}1,2\n").into_bytes(),
        "JSON Lines with a broken line" => format!("{}{{\"params\": \n", jsonl(object)).into_bytes(),
        "an empty file" => Vec::new(),
        "a header alone" => "params,tokens,loss\n".into(),
        "one column" => comma.replace(',', " ").into_bytes(),
        "Latin-1" => [comma.as_bytes(), b"1e6,1e9,\xff\n"].concat(),
        "damaged Parquet" => b"PAR1 and nothing else".to_vec(),
        "a workbook of Excel" => b"PK\x03\x04 and so on".to_vec(),
        "Arrow" => b"ARROW1\0\0".to_vec(),
        "NumPy array" => b"\x93NUMPY\x01\0".to_vec(),
        "HTML page" => "<!DOCTYPE html>\n<html><body>404</body></html>".into(),
        "Git LFS pointer" => "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n".into(),
        other => panic!("docs/formats.md has a line that nobody makes: {other}"),
    };
    place.write("file", content)
}

/// Reads a file as the flags of a line say.
fn read(path: &std::path::Path, flags: &str) -> Result<Table<Observation>, String> {
    let flags = flags.trim_matches('`');
    let columns = flags.strip_prefix("--columns ").map_or("", |columns| columns.trim_matches('"'));
    let pieces: Vec<String> = columns.split(',').filter(|piece| !piece.is_empty()).map(str::to_owned).collect();
    let options = Options {
        tokens_from_flops: flags == "--tokens-from-flops",
        skip_incomplete: flags == "--skip-incomplete",
        ..Options::default()
    };
    assert!(!columns.is_empty() || options.tokens_from_flops || options.skip_incomplete || flags.is_empty(), "{flags}");
    let columns = Columns::parse(&pieces).map_err(|error| error.to_string())?;
    table::read(path, &columns, &options).map_err(|error| error.to_string())
}

fn same(found: &[Observation], expected: &[[f64; 3]]) -> bool {
    let close = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-12;
    found.len() == expected.len()
        && found.iter().zip(expected).all(|(run, [n, d, l])| {
            close(run.params, *n) && close(run.tokens, *d) && close(run.loss, *l) && run.loss.to_bits() == l.to_bits()
        })
}

#[test]
fn each_line_of_the_list_of_tables_happens() {
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/formats.md")).unwrap();
    let (_, list) = docs.split_once("| table | flags | what happens |").unwrap();
    let lines: Vec<&str> = list.lines().skip(2).take_while(|line| line.starts_with('|')).collect();
    assert!(lines.len() >= 61, "lines are only added: {}", lines.len());
    let mut wrong = Vec::new();
    for line in lines {
        let [name, flags, happens] = line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let place = Place::new();
        let outcome = read(&make(&place, name), flags);
        let (all, mut less) = (plain(), plain());
        less.remove(2);
        match (happens.strip_prefix("refused: "), outcome) {
            (None, Ok(table)) if happens == "read" && same(&table.rows, &all) && table.warnings.is_empty() => {}
            (None, Ok(table)) if happens == "read without it" && same(&table.rows, &less) && table.incomplete == 1 => {}
            (Some(quoted), Err(error)) if error.contains(quoted.trim_matches('"')) => {}
            (_, outcome) => {
                wrong.push(format!("{line}\n    {:?}", outcome.map(|table| (table.rows.len(), table.warnings))));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

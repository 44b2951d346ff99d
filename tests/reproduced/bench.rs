//! Tables of results/bench/README.md, cell by cell.

use super::{Cell, Row, rows, tables};

/// The middle, the least and the most of a column.
fn spread(rows: &[&Row], column: &str) -> [f64; 3] {
    let mut values: Vec<f64> = rows.iter().map(|row| row[column].parse().unwrap()).collect();
    values.sort_by(f64::total_cmp);
    assert!(values.len() % 2 == 1, "{} values have no middle one", values.len());
    [values[values.len() / 2], values[0], values[values.len() - 1]]
}

/// Medians of the tables of speed against PyTorch, four of one head in this order.
fn peers(page: &str) -> Vec<Cell> {
    let tables = tables(page, "| model | case | runner tokens/s |");
    let files = ["peer", "peer-sapphire-rapids", "peer-zen-5", "peer-avx2"];
    assert_eq!(tables.len(), files.len());
    let mut cells = Vec::new();
    for (table, file) in tables.iter().zip(files) {
        let rows = rows(&format!("results/bench/{file}.csv"));
        assert_eq!(table.len(), 6);
        for told in table {
            let of: Vec<_> = rows.iter().filter(|row| row["model"] == told[0] && row["case"] == told[1]).collect();
            let middle = |column: &str| vec![spread(&of, column)[0]];
            let percent = |column: &str| vec![100.0 * spread(&of, column)[0]];
            let mut numbers = vec![middle("runner"), middle("torch"), middle("ratio")];
            let [_, least, most] = spread(&of, "ratio");
            // The first has memory, the others the spread of ratios.
            let first = file == "peer";
            numbers.extend((!first).then(|| vec![least, most]));
            numbers.extend([percent("share_of_peak"), percent("share_of_products")]);
            numbers.extend(first.then(|| [middle("runner_mb"), middle("torch_mb")]).into_iter().flatten());
            assert_eq!(told.len(), 2 + numbers.len());
            cells.extend(told[2..].iter().zip(numbers).map(|(text, numbers)| Cell::new(text, numbers)));
        }
    }
    cells
}

/// The speeds that miss what was aimed at, all of them and no other, in the sentences that list them.
fn missed(page: &str) -> Vec<Cell> {
    let aims = [("a", 1.6), ("b", 1.5), ("c", 1.25)];
    let mut shares = Vec::new();
    let mut below = |file: &str| -> Vec<f64> {
        let rows = rows(&format!("results/bench/{file}.csv"));
        let mut missed = Vec::new();
        for (model, aim) in aims {
            for case in ["1 slot, 1 thread", "2 slots, 2 threads"] {
                let of: Vec<_> = rows.iter().filter(|row| row["model"] == model && row["case"] == case).collect();
                let [ratio, ..] = spread(&of, "ratio");
                missed.extend((ratio < aim).then_some(ratio));
                if model == "c" && file != "peer-avx2" {
                    shares.push(100.0 * spread(&of, "share_of_peak")[0]);
                }
            }
        }
        missed
    };
    let [wide, narrow] = [&["peer", "peer-sapphire-rapids", "peer-zen-5"][..], &["peer-avx2"]]
        .map(|files| files.iter().flat_map(|file| below(file)).collect::<Vec<f64>>());
    let [least, most] = [f64::min, f64::max].map(|of| shares.iter().copied().reduce(of).unwrap());
    assert!(most < 80.0, "a share of 80% is reached: {most}");
    let told = page.split_once("Not reached with").unwrap().1.split_once("All else was reached").unwrap().0;
    // AVX-512, Zen 4, and what was aimed at.
    vec![Cell::new(told, [&[512.0, 4.0][..], &wide, &[80.0, least, most], &narrow].concat())]
}

/// Medians of bf16 beside f32 and of other parts, and means of scores.
fn benches(page: &str) -> Vec<Cell> {
    let mut cells = Vec::new();
    let mut add = |told: &[String], of: &[&Row], columns: [&str; 2]| {
        let [middle, least, most] = spread(of, "ratio");
        let medians = columns.map(|column| vec![spread(of, column)[0]]);
        let numbers = medians.into_iter().chain([vec![middle], vec![least, most]]);
        cells.extend(told.iter().zip(numbers).map(|(text, numbers)| Cell::new(text, numbers)));
    };
    let runs = rows("results/bench/bf16.csv");
    for told in &tables(page, "| model | slots | f32 tokens/s |")[0] {
        let of: Vec<_> = runs.iter().filter(|row| row["model"] == told[0] && row["slots"] == told[1]).collect();
        add(&told[2..], &of, ["f32", "bf16"]);
    }
    let runs = rows("results/bench/parts.csv");
    for told in &tables(page, "| model | part |")[0] {
        let names = [("SwiGLU", "swiglu"), ("8 experts", "experts"), ("LSTM", "lstm")];
        let (_, part) = names.into_iter().find(|(name, _)| told[1].starts_with(name)).unwrap();
        let of: Vec<_> = runs.iter().filter(|row| row["model"] == told[0] && row["case"] == part).collect();
        assert_eq!(of.len().to_string(), told[6]);
        add(&told[2..6], &of, ["runner", "torch"]);
    }
    let scores = rows("results/bench/choose.csv");
    for told in &tables(page, "| task | 1% of the cost |")[0] {
        for (text, cost) in told[1..].iter().zip(["1%", "5%", "10%", "100%"]) {
            let of: Vec<_> = scores.iter().filter(|row| row["task"] == told[0] && row["budget"] == cost).collect();
            let sum: f64 = of.iter().map(|row| row["r2"].parse::<f64>().unwrap()).sum();
            // Behind the stroke is what the paper has.
            cells.push(Cell::new(text.split(" / ").next().unwrap(), vec![sum / of.len() as f64]));
        }
    }
    cells
}

/// All cells of the page that have a source, and the sentence on what was missed.
pub fn tables_of(page: &str) -> Vec<Cell> {
    [peers(page), benches(page), missed(page)].into_iter().flatten().collect()
}

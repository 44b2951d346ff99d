//! Tables of docs/reproduction.md, cell by cell.

use serde_json::Value;

use super::{Cell, approach2, exponent, fits, law, optimum, plans, read, rows, surface, tables};

fn answer(page: &str) -> Vec<Cell> {
    let fits = fits("isoflop");
    let table = &tables(page, "| parameters counted |")[0];
    let countings = ["all", "blocks_and_unembedding", "non_embedding"];
    assert_eq!(table.len(), countings.len());
    let mut cells = Vec::new();
    for (row, counting) in table.iter().zip(countings) {
        let lines = approach2(&fits, counting);
        cells.push(Cell::new(&row[1], law(lines, 3.1e13)));
        cells.push(Cell::new(&row[2], law(surface(&fits, "3", counting), 3.1e13)));
        cells.push(Cell::new(&row[3], law(surface(&fits, "vpnls", counting), 3.1e13)));
        cells.push(Cell::new(&row[4], exponent(lines, "n_opt")));
        let same = row[5] == "the same";
        cells.push(Cell::new(&row[5], if same { Vec::new() } else { exponent(lines, "d_opt") }));
    }
    cells
}

/// What was measured of the forecasts.
fn judged(page: &str) -> Vec<Cell> {
    let fits = fits("isoflop-up");
    let fit = approach2(&fits, "all");
    let runs = rows("results/isoflop-up/runs.csv");
    let tables = tables(page, "| | forecast | measured | |");
    let mut cells = Vec::new();
    for (table, budget) in tables.iter().zip([1e14, 3e14]) {
        let of = |name: &str| &table.iter().find(|row| row[0] == name).unwrap()[2];
        let millions =
            |field: &str| -> Vec<f64> { optimum(fit, budget, field).iter().map(|value| value / 1e6).collect() };
        cells.push(Cell::new(of("parameters"), millions("params")));
        cells.push(Cell::new(of("tokens"), millions("tokens")));
        cells.push(Cell::new(of("tokens per parameter"), optimum(fit, budget, "tokens_per_param")));
        let ours = runs.iter().filter(|run| run["flop_budget"].parse::<f64>().unwrap().total_cmp(&budget).is_eq());
        let least = ours.map(|run| run["val_loss"].parse::<f64>().unwrap()).fold(f64::INFINITY, f64::min);
        let loss = optimum(fit, budget, "loss");
        // The first table tells no interval of it.
        let told = if of("loss").contains('(') { &loss[..] } else { &loss[..1] };
        cells.push(Cell::new(of("loss"), [told, &[least]].concat()));
    }
    cells
}

/// What single causes do: each row names its folder.
fn causes(page: &str) -> Vec<Cell> {
    let mut cells = Vec::new();
    for row in &tables(page, "| what differs |")[0] {
        let folder = row[0].split("../results/").nth(1).unwrap().split(')').next().unwrap();
        let fits = fits(folder);
        for (text, budget) in row[1..].iter().zip([1e12, 2.4e12, 5.6e12]).filter(|(text, _)| !text.is_empty()) {
            cells.push(Cell::new(text, optimum(approach2(&fits, "all"), budget, "tokens_per_param")));
        }
    }
    cells
}

/// How the best learning rate and batch move: the rows are in the order of the file.
fn tuning(page: &str) -> Vec<Cell> {
    let told = read("results/merged/tuning.jsonl");
    let laws: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(laws.len(), 3);
    let mut cells = Vec::new();
    for (row, law) in tables(page, "| | exponent of the learning rate |")[0].iter().zip(&laws) {
        cells.push(Cell::new(&row[1], exponent(law, "learning_rate")));
        cells.push(Cell::new(&row[2], exponent(law, "batch")));
    }
    cells
}

fn texts(page: &str) -> Vec<Cell> {
    let fits = ["isoflop", "isoflop-docs", "isoflop-c"].map(fits);
    let mut cells = Vec::new();
    for row in &tables(page, "| budget | RFCs |")[0] {
        for (text, fits) in row[1..].iter().zip(&fits) {
            let fit = approach2(fits, "all");
            let numbers = match &row[0][..] {
                "N_opt grows as" => exponent(fit, "n_opt"),
                "D_opt grows as" => exponent(fit, "d_opt"),
                budget => law(fit, budget.parse().unwrap()),
            };
            cells.push(Cell::new(text, numbers));
        }
    }
    cells
}

/// Steps (ii) to (v), which count blocks and unembedding. Step (i) is the first one counted anew.
fn kaplan(page: &str) -> Vec<Cell> {
    let folders = ["kaplan-1-kaplan", "kaplan-2-warmup", "kaplan-3-decay", "kaplan-4-tuned"];
    let table = &tables(page, "| step | N_opt grows as C^ |")[0];
    assert_eq!(table.len(), 1 + folders.len());
    let mut cells = Vec::new();
    for (row, folder) in table[1..].iter().zip(folders) {
        let fits = fits(folder);
        let fit = approach2(&fits, "blocks_and_unembedding");
        cells.push(Cell::new(&row[1], exponent(fit, "n_opt")));
        cells.push(Cell::new(&row[2], exponent(fit, "d_opt")));
        cells.push(Cell::new(&row[3], law(fit, 3.6e12)));
        cells.push(Cell::new(&row[4], [4e11, 3.6e12].map(|budget| optimum(fit, budget, "loss")[0]).to_vec()));
        let splines = &surface(&fits, "2", "blocks_and_unembedding")["spline"];
        cells.push(Cell::new(&row[6], exponent(splines, "n_opt")));
    }
    cells
}

/// The rows of what was measured here, beside published results.
fn published(page: &str) -> Vec<Cell> {
    let ours = [
        ("here, RFCs, all parameters", "isoflop", "all", &[1e12, 3.1e13][..]),
        ("here, RFCs, blocks and unembedding, as Porian et al.", "isoflop", "blocks_and_unembedding", &[1e12, 3.1e13]),
        ("here, Debian's documentation, all parameters", "isoflop-docs", "all", &[1e12, 1.3e13]),
        ("here, C source, all parameters", "isoflop-c", "all", &[5.6e12]),
        ("here, built-in language, all parameters", "synthetic", "all", &[3e11, 8.1e12]),
    ];
    let table = &tables(page, "| who |")[0];
    assert_eq!(table.iter().filter(|row| row[0].starts_with("here")).count(), ours.len());
    let mut cells = Vec::new();
    for (name, folder, counting, budgets) in ours {
        let row = table.iter().find(|row| row[0] == name).unwrap_or_else(|| panic!("no row {name}"));
        let fits = fits(folder);
        let fit = approach2(&fits, counting);
        cells.push(Cell::new(&row[2], exponent(fit, "n_opt")));
        cells.push(Cell::new(&row[3], budgets.iter().map(|&budget| law(fit, budget)[0]).collect()));
    }
    cells
}

/// All cells of the page that have a source.
pub fn tables_of(page: &str) -> Vec<Cell> {
    let all = [answer, judged, causes, tuning, texts, kaplan, published, plans::cells];
    all.into_iter().flat_map(|cells| cells(page)).collect()
}

//! Published data of other people, where this machine has them.

use std::path::PathBuf;

use runner::fit::table;
use runner::fit::table::{Columns, Options};
use runner::observation::Observation;

/// A file of `science/data` in `$RUNNER_SHARED` or `../shared`; says so where it is absent.
pub fn data(name: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("RUNNER_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let path = shared.join("science/data").join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is not there", path.display());
    None
}

/// The 240 points of Besiroglu et al. (arXiv 2404.10102): 245 without the 5 of the highest loss.
pub fn epoch_240() -> Option<Vec<Observation>> {
    let columns = Columns::parse(&["params=Model Size".to_owned(), "flops=Training FLOP".to_owned()]).unwrap();
    let path = data("epoch_chinchilla_245.csv")?;
    let mut runs =
        table::read(&path, &columns, &Options { tokens_from_flops: true, ..Options::default() }).unwrap().rows;
    runs.sort_by(|a, b| a.loss.total_cmp(&b.loss));
    runs.truncate(240);
    Some(runs)
}

/// Columns of a CSV by name, as text.
pub fn columns<const K: usize>(name: &str, wanted: [&str; K]) -> Option<Vec<[String; K]>> {
    let mut reader = csv::Reader::from_path(data(name)?).unwrap();
    let headers = reader.headers().unwrap().clone();
    let places = wanted.map(|column| headers.iter().position(|header| header == column).unwrap());
    Some(
        reader
            .records()
            .map(|row| {
                let row = row.unwrap();
                places.map(|place| row[place].to_owned())
            })
            .collect(),
    )
}

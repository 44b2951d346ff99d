//! What tests of formulas and of their laws share.

use std::path::Path;

use super::{Data, Grouping};

/// A table of ../shared by its columns; nothing, said so, where it is absent.
pub(in crate::fit) fn shared(path: &str, columns: &[(&str, &str)], loss: &str) -> Option<Data> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/science/data").join(path);
    let Ok(mut reader) = csv::Reader::from_path(&path) else {
        tell!("skipped: {} is absent", path.display());
        return None;
    };
    let headers = reader.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let column = |name: &str| -> Vec<f64> {
        let at = headers.iter().position(|header| header == name).unwrap();
        rows.iter().map(|row| row[at].parse().unwrap()).collect()
    };
    let named = columns.iter().map(|(name, header)| ((*name).to_owned(), column(header)));
    let mut data = Data { columns: named.collect(), loss: column(loss), ..Data::default() };
    if let Some(at) = headers.iter().position(|header| header == "group") {
        data.groups.insert("group".to_owned(), Grouping::of(rows.iter().map(|row| &row[at])));
    }
    Some(data)
}

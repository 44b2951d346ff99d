//! Tables as JSON, one object a line. A number that JSON has no word for (infinity, not-a-number) is null.

use std::io::{self, Write};

use super::table::{Table, Values};

/// Writes the rows in their order, each with all columns in their order; an empty cell is null.
pub fn write(table: &Table, out: &mut dyn Write) -> io::Result<()> {
    let names: Vec<String> =
        table.columns.iter().map(|column| serde_json::to_string(&column.name)).collect::<Result<_, _>>()?;
    let mut line = String::new();
    for row in 0..table.rows {
        line.clear();
        for (at, (name, column)) in names.iter().zip(&table.columns).enumerate() {
            line.push(if at == 0 { '{' } else { ',' });
            line.push_str(name);
            line.push(':');
            line.push_str(&match &column.values {
                Values::Text(values) => serde_json::to_string(&values[row]),
                Values::Integer(values) => serde_json::to_string(&values[row]),
                Values::Number(values) => serde_json::to_string(&values[row]),
            }?);
        }
        line.push_str("}\n");
        out.write_all(line.as_bytes())?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_value_comes_back_from_its_line() {
        let csv = "id,note,val_loss,seed\na,\"quote \"\" and\nnewline\",0.30000000000000004,1\nb,</script>,inf,\n";
        let table = Table::parse(csv.as_bytes(), Path::new("t")).unwrap();
        let mut out = Vec::new();
        write(&table, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let rows: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let first = serde_json::json!({"id": "a", "note": "quote \" and\nnewline", "val_loss": 0.1 + 0.2, "seed": 1});
        let second = serde_json::json!({"id": "b", "note": "</script>", "val_loss": null, "seed": null});
        assert_eq!(rows, [first, second]);
        assert!(text.starts_with("{\"id\":\"a\",\"note\":"), "columns keep their order: {text}");
    }
}

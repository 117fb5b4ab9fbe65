//! Tables for people.

use policy::OneLine;

/// Columns as wide as their widest cell, a line for each row.
pub fn aligned<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    // A name that goes on to the next line must not look like another row.
    let rows: Vec<[OneLine; COLUMNS]> =
        rows.iter().map(|row| row.each_ref().map(|cell| OneLine::new(cell))).collect();
    let mut widths = [0; COLUMNS];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in &rows {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{:<width$}", cell.as_str())).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_one_line_and_columns_are_as_wide_as_their_widest() {
        let row = |left: &str, right: &str| [left.to_string(), right.to_string()];
        let rows = [row("WHO", "WHERE"), row("bob", "a\nalice  root"), row("x\ty", "b")];
        assert_eq!(aligned(&rows), "WHO  WHERE\nbob  a\u{fffd}alice  root\nx\u{fffd}y  b\n");
    }
}

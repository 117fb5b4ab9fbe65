//! Figures as text: columns that line up, and whether a target was reached.

/// A table under a heading.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Starts a table; the first column is text, all others are figures.
    pub fn new(heading: &str, columns: &[&str]) -> Self {
        println!("\n{heading}\n");
        Self { rows: vec![columns.iter().map(|column| (*column).to_string()).collect()] }
    }

    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    pub fn print(self) {
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
        };
        for row in &self.rows {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let width = width(column).unwrap_or(0);
                // Figures end at the same place; names and targets begin there.
                let text = column == 0 || column + 1 == self.rows[0].len();
                line += &if text { format!("{cell:<width$}  ") } else { format!("{cell:>width$}  ") };
            }
            println!("  {}", line.trim_end());
        }
    }
}

/// The figure with as many digits as it is worth.
pub fn figure(value: f64) -> String {
    match value.abs() {
        _ if value.is_nan() => "-".to_string(),
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// A target of design.md, section 9, and whether `value` reaches it.
pub fn at_most(value: f64, limit: f64, unit: &str) -> String {
    let verdict = if value <= limit { "reached" } else { "missed" };
    format!("<= {limit} {unit}: {verdict}")
}

//! The settings of config.toml for authkeys-config(5), from the tables in docs/configuration.md.

use std::fmt::Write as _;

/// The page whose tables are read. The first cell of a table's head is the sections that it is about, in backquotes.
const PAGE: &str = include_str!("../../../docs/configuration.md");

/// A subsection for each table, with a paragraph for each of its settings.
pub fn settings() -> String {
    let (mut roff, mut is_ours) = (String::new(), false);
    for line in PAGE.lines().filter(|line| !line.starts_with("|---")) {
        let cells = line.strip_prefix("| ").and_then(|rest| rest.strip_suffix(" |"));
        let cells: Vec<&str> = cells.map(|rest| rest.splitn(3, " | ").collect()).unwrap_or_default();
        match cells.as_slice() {
            [sections, "default", "meaning"] => {
                is_ours = true;
                let _ = writeln!(roff, ".SS {}", inline(sections));
            }
            [key, rest @ ..] if is_ours => {
                // Without a default the second cell is empty, and its blanks are one.
                let (default, meaning) = match rest {
                    [default, meaning] => (Some(default), *meaning),
                    [meaning] => (None, meaning.trim_start_matches("| ")),
                    _ => (None, ""),
                };
                let default = default.map(|it| format!(" (default: {})", inline(it))).unwrap_or_default();
                let _ = writeln!(roff, ".TP\n{}{default}\n{}", inline(key), inline(meaning));
            }
            _ => is_ours = false,
        }
    }
    roff
}

/// Markdown within a line as roff: code in bold, of links only the text.
fn inline(markdown: &str) -> String {
    let words = without_targets(markdown).replace('\\', "\\e").replace('-', "\\-");
    // A line that begins with a dot or an apostrophe would be a request.
    let mut roff = String::from("\\&");
    for (number, piece) in words.split('`').enumerate() {
        let font = match number {
            0 => "",
            _ if number % 2 == 1 => "\\fB",
            _ => "\\fR",
        };
        roff.push_str(font);
        roff.push_str(piece);
    }
    roff
}

/// `markdown` with the text of each link in place of the link. Text and code may have brackets themselves.
fn without_targets(markdown: &str) -> String {
    let (mut plain, mut open, mut rest) = (String::new(), Vec::new(), markdown);
    while let Some(character) = rest.chars().next() {
        rest = rest.get(character.len_utf8()..).unwrap_or_default();
        match character {
            '[' => open.push(plain.len()),
            ']' => {
                let start = open.pop();
                let target = rest.strip_prefix('(').and_then(|target| target.split_once(')'));
                if let (Some(start), Some((_, after))) = (start, target) {
                    plain.remove(start);
                    rest = after;
                    continue;
                }
            }
            _ => {}
        }
        plain.push(character);
    }
    plain
}

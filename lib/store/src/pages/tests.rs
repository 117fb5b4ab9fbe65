use super::*;
use rusqlite::{Connection, params};
use std::path::{Path, PathBuf};

const STATEMENTS: [&str; 2] = [
    "CREATE TABLE plain (number INTEGER PRIMARY KEY NOT NULL, size INTEGER NOT NULL, name TEXT NOT NULL)",
    "CREATE TABLE keyed (name TEXT PRIMARY KEY NOT NULL, size INTEGER NOT NULL) WITHOUT ROWID",
];

type Rows = Vec<(i64, i64, String)>;

/// Integers of every length that SQLite stores, and texts that fit a page or need more of them.
fn example() -> Rows {
    let sizes = (0..64).flat_map(|bits| {
        let power = 1_i64.wrapping_shl(bits);
        [power, power.wrapping_sub(1), power.wrapping_neg()]
    });
    let row = |(number, size): (usize, i64)| {
        let length = number * number * 7 % 2_500;
        (number as i64, size, format!("{number}{}", "\u{e9}".repeat(length / 2)))
    };
    sizes.cycle().take(1_500).enumerate().map(row).collect()
}

fn write(directory: &Path, page: u32, rows: &Rows) -> PathBuf {
    let path = directory.join(format!("{page}.db"));
    let mut connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "page_size", page).unwrap();
    let transaction = connection.transaction().unwrap();
    for statement in STATEMENTS {
        transaction.execute(statement, []).unwrap();
    }
    for (number, size, name) in rows {
        transaction.execute("INSERT INTO plain VALUES (?1, ?2, ?3)", params![number, size, name]).unwrap();
        transaction.execute("INSERT INTO keyed VALUES (?1, ?2)", params![name, size]).unwrap();
    }
    transaction.commit().unwrap();
    path
}

fn read(path: &Path) -> Result<(Rows, Rows), Damaged> {
    let tables = Tables::open(File::open(path)?, &STATEMENTS)?;
    let (mut plain, mut keyed) = (Rows::new(), Rows::new());
    tables.rows("plain", 3, |row| {
        plain.push((row.number, row.integer(1)?, row.text(2)?.to_string()));
        Ok(())
    })?;
    tables.rows("keyed", 2, |row| {
        keyed.push((0, row.integer(1)?, row.text(0)?.to_string()));
        Ok(())
    })?;
    Ok((plain, keyed))
}

fn read_by_sqlite(path: &Path) -> rusqlite::Result<(Rows, Rows)> {
    let connection = Connection::open(path)?;
    let all = |query| -> rusqlite::Result<Rows> {
        let mut query = connection.prepare(query)?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        rows.collect()
    };
    Ok((all("SELECT * FROM plain ORDER BY number")?, all("SELECT 0, size, name FROM keyed ORDER BY name")?))
}

#[test]
fn every_row_is_read_as_sqlite_reads_it() {
    let directory = crate::scratch();
    for page in [512, 1024, 4096, 65_536] {
        let path = write(directory.path(), page, &example());
        let (plain, keyed) = read(&path).unwrap();
        assert_eq!(plain, example(), "pages of {page}");
        assert_eq!((plain, keyed), read_by_sqlite(&path).unwrap(), "pages of {page}");
    }
    let path = write(directory.path(), 2048, &Rows::new());
    assert_eq!(read(&path).unwrap(), (Rows::new(), Rows::new()), "of no rows");
}

#[test]
fn what_a_damaged_file_still_tells_is_what_sqlite_reads_there() {
    let directory = crate::scratch();
    let rows = example().into_iter().take(60).collect();
    let path = write(directory.path(), 512, &rows);
    let whole = std::fs::read(&path).unwrap();
    let (mut refused, mut same) = (0, 0);
    for round in 0..3_000_usize {
        let mut bytes = whole.clone();
        // Most of it happens where the structure is: at the beginnings of pages.
        let page = round * 7 % (whole.len() / 512) * 512;
        let at = page + if round % 3 == 0 { round * 31 % 512 } else { round * 13 % 40 };
        bytes[at] = bytes[at].wrapping_add((1 + round * 37 % 255) as u8);
        std::fs::write(&path, &bytes).unwrap();
        match read(&path) {
            Err(_) => refused += 1,
            Ok(found) => {
                same += 1;
                let expected = read_by_sqlite(&path);
                assert_eq!(Some(found), expected.ok(), "byte {at} is {} for {}", bytes[at], whole[at]);
            }
        }
    }
    assert!(refused > 500 && same > 500, "{refused} refused, {same} the same");
}

#[test]
fn a_tree_that_leads_in_a_circle_ends() {
    let directory = crate::scratch();
    let path = write(directory.path(), 512, &example());
    let root: u32 = Connection::open(&path)
        .and_then(|it| {
            it.query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'plain'", [], |row| row.get(0))
        })
        .unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let start = (root as usize - 1) * 512;
    assert_eq!(bytes[start], 5, "the root of a tree with more than one page");
    bytes[start + 8..start + 12].copy_from_slice(&root.to_be_bytes());
    std::fs::write(&path, bytes).unwrap();
    assert!(read(&path).is_err());
}

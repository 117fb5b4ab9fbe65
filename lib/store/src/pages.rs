//! The tables of a published database, read without SQLite.
//!
//! A decision reads the roster once, from its first row to its last, in the process of sshd or sudo. There it is
//! not the rows that cost: it is the start of SQLite, its parse of the schema and a compiled query for each
//! table, in code that the process never touched before. And that code would run as root, on a file that a
//! service wrote. What is read here of <https://sqlite.org/fileformat2.html> is a tree of pages with records in
//! it; there is no SQL, no index, and nothing that a strange file could make run.
//!
//! Every offset and length is checked before it is used. A tree has no more pages than its file, so one that
//! leads in a circle ends.

use std::error::Error;
use std::fs::File;
use std::os::unix::fs::FileExt;

type Damaged = Box<dyn Error>;

/// The length of the header at the beginning of the first page.
const HEADER: usize = 100;

/// The deepest tree; SQLite's own bound. One of this depth holds more than any file.
const DEEPEST: usize = 20;

/// The longest record, in bytes; no row of ours comes near it.
const LONGEST_RECORD: usize = 16 * 1024;

/// The most columns of a table of ours.
const MOST_COLUMNS: usize = 8;

/// The tables of one file, by the statements that made them.
pub struct Tables {
    file: File,
    /// Bytes of a page, and how many of them SQLite uses.
    page: usize,
    usable: usize,
    /// Pages in the file.
    pages: u32,
    /// The statement that made each table, and where its tree begins.
    roots: Vec<(&'static str, u32)>,
}

/// A value as it is stored.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Value<'p> {
    Integer(i64),
    Text(&'p str),
    /// NULL, a number with a fraction, a blob: of a type that no column of ours has.
    Other,
}

/// One row of a table.
pub struct Row<'p> {
    /// Its number; without meaning in a table WITHOUT ROWID.
    pub number: i64,
    values: [Value<'p>; MOST_COLUMNS],
}

impl<'p> Row<'p> {
    pub fn integer(&self, column: usize) -> Result<i64, Damaged> {
        match self.values.get(column) {
            Some(Value::Integer(integer)) => Ok(*integer),
            _ => Err("a value that is no integer, where one belongs".into()),
        }
    }

    pub fn text(&self, column: usize) -> Result<&'p str, Damaged> {
        match self.values.get(column) {
            Some(Value::Text(text)) => Ok(text),
            _ => Err("a value that is no text, where one belongs".into()),
        }
    }
}

impl Tables {
    /// Reads which tables are in `file`; they must be those of `statements`, to the letter and in their order.
    pub fn open(file: File, statements: &[&'static str]) -> Result<Self, Damaged> {
        let mut header = [0; HEADER];
        file.read_exact_at(&mut header, 0)?;
        let (page, usable, pages) = measures(&header)?;
        if file.metadata()?.len() < u64::from(pages) * page as u64 {
            return Err("it is shorter than it says".into());
        }
        let mut tables = Self { file, page, usable, pages, roots: Vec::new() };
        let mut roots = Vec::with_capacity(statements.len());
        // type, name, tbl_name, rootpage, sql
        tables.scan(1, 5, |row| {
            // SQLite's own indexes of a UNIQUE or PRIMARY KEY; their statement is NULL.
            let is_automatic = row.text(0)? == "index" && row.text(1)?.starts_with("sqlite_autoindex_");
            if is_automatic && row.text(4).is_err() {
                return Ok(());
            }
            let expected = statements.get(roots.len()).copied().filter(|expected| {
                row.text(0).is_ok_and(|kind| kind == "table") && row.text(4).is_ok_and(|sql| sql == *expected)
            });
            let statement = expected.ok_or("its tables are not those of this version")?;
            roots.push((statement, u32::try_from(row.integer(3)?)?));
            Ok(())
        })?;
        if roots.len() < statements.len() {
            return Err("its tables are not those of this version".into());
        }
        tables.roots = roots;
        Ok(tables)
    }

    /// Shows `each` row of the table `name`, which has so many `columns`, in the order of its key.
    pub fn rows(
        &self,
        name: &str,
        columns: usize,
        each: impl FnMut(&Row<'_>) -> Result<(), Damaged>,
    ) -> Result<(), Damaged> {
        let made = |statement: &str| {
            let rest = statement.strip_prefix("CREATE TABLE ").and_then(|rest| rest.strip_prefix(name));
            rest.is_some_and(|rest| rest.starts_with(' '))
        };
        let root = self.roots.iter().find(|(statement, _)| made(statement));
        let (_, root) = root.ok_or("its tables are not those of this version")?;
        self.scan(*root, columns, each)
    }

    fn scan(
        &self,
        root: u32,
        columns: usize,
        each: impl FnMut(&Row<'_>) -> Result<(), Damaged>,
    ) -> Result<(), Damaged> {
        let mut scan = Scan { tables: self, columns, left: self.pages, each };
        scan.tree(root, DEEPEST)
    }
}

/// Bytes of a page, how many of them are used, and the number of pages, from the file's header.
fn measures(header: &[u8; HEADER]) -> Result<(usize, usize, u32), Damaged> {
    let page = match number(header, 16, 2)? {
        1 => 65_536,
        other => usize::try_from(other)?,
    };
    let reserved = usize::try_from(number(header, 20, 1)?)?;
    let usable = page.saturating_sub(reserved);
    let pages = u32::try_from(number(header, 28, 4)?)?;
    // Rollback journal (no WAL), the fixed fractions, and text in UTF-8.
    let is_plain = header.starts_with(b"SQLite format 3\0")
        && header.get(18..20) == Some(&[1, 1])
        && header.get(21..24) == Some(&[64, 32, 32])
        && number(header, 56, 4)? == 1;
    // The number of pages counts for the change by which it was written.
    let is_current = number(header, 24, 4)? == number(header, 92, 4)?;
    if !is_plain || !page.is_power_of_two() || page < 512 || usable < 480 || pages == 0 || !is_current {
        return Err("it is no database that a sync wrote".into());
    }
    Ok((page, usable, pages))
}

/// One walk through one tree.
struct Scan<'t, F> {
    tables: &'t Tables,
    columns: usize,
    /// Pages that it may still come to.
    left: u32,
    each: F,
}

/// What a page of a tree is.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    TableLeaf,
    TableInner,
    IndexLeaf,
    IndexInner,
}

impl Kind {
    fn of(byte: u64) -> Result<Self, Damaged> {
        match byte {
            2 => Ok(Self::IndexInner),
            5 => Ok(Self::TableInner),
            10 => Ok(Self::IndexLeaf),
            13 => Ok(Self::TableLeaf),
            _ => Err("a page that is of no tree".into()),
        }
    }

    fn is_leaf(self) -> bool {
        matches!(self, Self::TableLeaf | Self::IndexLeaf)
    }
}

impl<F: FnMut(&Row<'_>) -> Result<(), Damaged>> Scan<'_, F> {
    fn tree(&mut self, root: u32, depth: usize) -> Result<(), Damaged> {
        let depth = depth.checked_sub(1).ok_or("a tree that is too deep")?;
        let mut page = Vec::new();
        self.fetch(root, &mut page)?;
        let start = if root == 1 { HEADER } else { 0 };
        let kind = Kind::of(number(&page, start, 1)?)?;
        let cells = usize::try_from(number(&page, start + 3, 2)?)?;
        let pointers = start + if kind.is_leaf() { 8 } else { 12 };
        for cell in 0..cells {
            let at = usize::try_from(number(&page, pointers + 2 * cell, 2)?)?;
            self.cell(kind, page.get(at..).ok_or(CUT)?, depth)?;
        }
        if !kind.is_leaf() {
            self.tree(u32::try_from(number(&page, start + 8, 4)?)?, depth)?;
        }
        Ok(())
    }

    /// What one cell leads to, and the record in it.
    fn cell(&mut self, kind: Kind, mut cell: &[u8], depth: usize) -> Result<(), Damaged> {
        if !kind.is_leaf() {
            let child = u32::try_from(number(cell, 0, 4)?)?;
            cell = cell.get(4..).ok_or(CUT)?;
            self.tree(child, depth)?;
        }
        if kind == Kind::TableInner {
            return Ok(());
        }
        let length = usize::try_from(varint(&mut cell)?)?;
        let row = if kind == Kind::TableLeaf { varint(&mut cell)? } else { 0 };
        if length > LONGEST_RECORD {
            return Err("a row that is longer than any".into());
        }
        let local = self.local(kind, length);
        let first = cell.get(..local).ok_or(CUT)?;
        if local == length {
            return self.record(row, first);
        }
        let mut record = Vec::with_capacity(length);
        record.extend_from_slice(first);
        self.overflow(u32::try_from(number(cell, local, 4)?)?, &mut record, length)?;
        self.record(row, &record)
    }

    /// How much of a record of this `length` stands in its cell.
    fn local(&self, kind: Kind, length: usize) -> usize {
        let usable = self.tables.usable;
        let most = if kind == Kind::TableLeaf { usable - 35 } else { (usable - 12) * 64 / 255 - 23 };
        let least = (usable - 12) * 32 / 255 - 23;
        if length <= most {
            return length;
        }
        let even = least + (length - least) % (usable - 4);
        if even <= most { even } else { least }
    }

    /// The rest of a record, on pages of its own, each of which begins with the number of the next.
    fn overflow(&mut self, mut next: u32, record: &mut Vec<u8>, length: usize) -> Result<(), Damaged> {
        let mut page = Vec::new();
        while record.len() < length {
            self.fetch(next, &mut page)?;
            let part = (length - record.len()).min(self.tables.usable - 4);
            record.extend_from_slice(page.get(4..4 + part).ok_or(CUT)?);
            next = u32::try_from(number(&page, 0, 4)?)?;
        }
        Ok(())
    }

    fn fetch(&mut self, number: u32, page: &mut Vec<u8>) -> Result<(), Damaged> {
        let tables = self.tables;
        self.left = self.left.checked_sub(1).ok_or("a tree of more pages than the file has")?;
        if number == 0 || number > tables.pages {
            return Err("a page that is not in the file".into());
        }
        page.resize(tables.page, 0);
        tables.file.read_exact_at(page, u64::from(number - 1) * tables.page as u64)?;
        page.truncate(tables.usable);
        Ok(())
    }

    /// The types of all values, then the values.
    fn record(&mut self, row: u64, record: &[u8]) -> Result<(), Damaged> {
        let mut types = record;
        let header = usize::try_from(varint(&mut types)?)?;
        let before = record.len() - types.len();
        let mut types = types.get(..header.checked_sub(before).ok_or(CUT)?).ok_or(CUT)?;
        let mut body = record.get(header..).ok_or(CUT)?;
        let mut values = [Value::Other; MOST_COLUMNS];
        for value in values.get_mut(..self.columns).ok_or(CUT)? {
            *value = take_value(varint(&mut types)?, &mut body)?;
        }
        if !types.is_empty() || !body.is_empty() {
            return Err("a row with more in it than its table has columns".into());
        }
        (self.each)(&Row { number: row.cast_signed(), values })
    }
}

const CUT: &str = "a length that leads out of its page";

/// Takes a value of the type `code` off `body`.
fn take_value<'p>(code: u64, body: &mut &'p [u8]) -> Result<Value<'p>, Damaged> {
    let length = match code {
        0 | 8 | 9 => 0,
        1..=4 => code,
        5 => 6,
        6 | 7 => 8,
        10 | 11 => return Err("a value of a type that there is not".into()),
        _ => (code - 12) / 2,
    };
    let (value, rest) = body.split_at_checked(usize::try_from(length)?).ok_or(CUT)?;
    *body = rest;
    Ok(match code {
        1..=6 => Value::Integer(signed(value)),
        8 | 9 => Value::Integer((code - 8).cast_signed()),
        13.. if code % 2 == 1 => Value::Text(std::str::from_utf8(value)?),
        _ => Value::Other,
    })
}

/// A number in two's complement, of at most eight bytes, the first one the most significant.
fn signed(bytes: &[u8]) -> i64 {
    let sign = if bytes.first().is_some_and(|byte| byte & 0x80 != 0) { -1 } else { 0 };
    bytes.iter().fold(sign, |number, byte| number << 8 | i64::from(*byte))
}

/// The unsigned number of `length` bytes at `offset`.
fn number(bytes: &[u8], offset: usize, length: usize) -> Result<u64, Damaged> {
    let bytes = bytes.get(offset..offset + length).ok_or(CUT)?;
    Ok(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// Takes a number of one to nine bytes off `bytes`: seven bits of each, and all eight of the ninth.
fn varint(bytes: &mut &[u8]) -> Result<u64, Damaged> {
    let mut number = 0;
    for nth in 1..=9 {
        let (first, rest) = bytes.split_first().ok_or(CUT)?;
        *bytes = rest;
        if nth == 9 {
            return Ok(number << 8 | u64::from(*first));
        }
        number = number << 7 | u64::from(first & 0x7f);
        if first & 0x80 == 0 {
            break;
        }
    }
    Ok(number)
}

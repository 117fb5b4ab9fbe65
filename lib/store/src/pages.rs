//! The tables of a published database, read without SQLite.
//!
//! A decision reads a few rows of the roster, in the process of sshd or sudo, and a lookup a few of the copy of the
//! directory. There it is not the rows that cost: it is the start of SQLite, its parse of the schema and a compiled query for each
//! table, in code that the process never touched before. And that code would run as root, on a file that a
//! service wrote. What is read here of <https://sqlite.org/fileformat2.html> is a tree of pages with records in
//! it; there is no SQL, and nothing that a strange file could make run.
//!
//! Every offset and length is checked before it is used. A walk comes to no more pages than the file has, so a tree that
//! leads in a circle ends.

use std::borrow::Cow;
use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::error::Error;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::rc::Rc;

pub type Damaged = Box<dyn Error>;

/// The length of the header at the beginning of the first page.
const HEADER: usize = 100;

/// The deepest tree; SQLite's own bound. One of this depth holds more than any file.
const DEEPEST: usize = 20;

/// The longest record, in bytes; no row of ours comes near it, but a directory has long addresses.
const LONGEST_RECORD: usize = 1024 * 1024;

/// The most columns of a table of ours.
const MOST_COLUMNS: usize = 8;

/// The most pages that are kept once they are read.
const MOST_KEPT: usize = 16;

/// The tables of one file, by the statements that made them.
#[derive(Debug)]
pub struct Tables {
    file: File,
    /// Bytes of a page, and how many of them SQLite uses.
    page: usize,
    usable: usize,
    /// Pages in the file.
    pages: u32,
    /// The statement that made each table, and where its tree begins.
    roots: Vec<(&'static str, u32)>,
    /// Pages that lead to others, with their numbers: each question about a person comes by the same ones.
    kept: RefCell<VecDeque<(u32, Rc<Vec<u8>>)>>,
}

/// A value as it is stored.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Value<'p> {
    Integer(i64),
    Text(&'p str),
    Blob(&'p [u8]),
    Null,
    /// A number with a fraction: of a type that no column of ours has.
    Other,
}

/// One row of a table.
pub struct Row<'p> {
    /// Its number; without meaning in a table WITHOUT ROWID.
    pub number: i64,
    values: [Value<'p>; MOST_COLUMNS],
}

impl<'p> Row<'p> {
    #[inline]
    pub fn integer(&self, column: usize) -> Result<i64, Damaged> {
        match self.values.get(column) {
            Some(Value::Integer(integer)) => Ok(*integer),
            _ => Err("a value that is not an integer, as its column requires".into()),
        }
    }

    #[inline]
    pub fn text(&self, column: usize) -> Result<&'p str, Damaged> {
        match self.values.get(column) {
            Some(Value::Text(text)) => Ok(text),
            _ => Err("a value that is not text, as its column requires".into()),
        }
    }

    pub fn blob(&self, column: usize) -> Result<&'p [u8], Damaged> {
        match self.values.get(column) {
            Some(Value::Blob(bytes)) => Ok(bytes),
            _ => Err("a value that is not bytes, as its column requires".into()),
        }
    }

    pub fn integer_or_null(&self, column: usize) -> Result<Option<i64>, Damaged> {
        if self.is_null(column) { Ok(None) } else { self.integer(column).map(Some) }
    }

    pub fn text_or_null(&self, column: usize) -> Result<Option<&'p str>, Damaged> {
        if self.is_null(column) { Ok(None) } else { self.text(column).map(Some) }
    }

    fn is_null(&self, column: usize) -> bool {
        matches!(self.values.get(column), Some(Value::Null))
    }
}

impl Tables {
    /// Reads which tables are in `file`; they must be those of `statements`, to the letter and in their order.
    pub fn open(file: File, statements: &[&'static str]) -> Result<Self, Damaged> {
        let mut header = [0; HEADER];
        file.read_exact_at(&mut header, 0)?;
        let (page, usable, pages) = measures(&header)?;
        if file.metadata()?.len() < u64::from(pages) * page as u64 {
            return Err("it is shorter than its header says".into());
        }
        let mut tables = Self { file, page, usable, pages, roots: Vec::new(), kept: RefCell::default() };
        let mut roots = Vec::with_capacity(statements.len());
        // type, name, tbl_name, rootpage, sql
        tables.scan(1, false, 5, |row| {
            // SQLite's own indexes of a UNIQUE or PRIMARY KEY; their statement is NULL.
            let is_automatic = row.text(0)? == "index" && row.text(1)?.starts_with("sqlite_autoindex_");
            if is_automatic && row.text(4).is_err() {
                return Ok(());
            }
            let expected = statements.get(roots.len()).copied().filter(|expected| {
                let kind = if expected.starts_with(INDEX) { "index" } else { "table" };
                row.text(0).is_ok_and(|found| found == kind) && row.text(4).is_ok_and(|sql| sql == *expected)
            });
            let statement = expected.ok_or("its tables are not those of this format")?;
            roots.push((statement, u32::try_from(row.integer(3)?)?));
            Ok(())
        })?;
        if roots.len() < statements.len() {
            return Err("its tables are not those of this format".into());
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
        let (statement, root) = self.root(name)?;
        self.scan(root, is_keyed(statement), columns, each)
    }

    /// Shows `each` row of a range of `name`, a table WITHOUT ROWID or an index: whichever `place` calls equal. Rows are
    /// kept in the order of their key, and `place` says of each whether the range comes after it (less), has it, or
    /// comes before it (greater). An index has the columns that it names, then those of the table's key that it does not.
    pub fn range(
        &self,
        name: &str,
        columns: usize,
        place: impl Fn(&Row<'_>) -> Result<Ordering, Damaged>,
        each: impl FnMut(&Row<'_>) -> Result<(), Damaged>,
    ) -> Result<(), Damaged> {
        let (statement, root) = self.root(name)?;
        if !is_keyed(statement) {
            return Err("a table without a key to search by".into());
        }
        let place = Some(place);
        let mut scan =
            Scan { tables: self, is_index: true, columns, left: self.pages, place, over: false, each };
        scan.tree(root, DEEPEST)
    }

    fn kept(&self, number: u32) -> Option<Rc<Vec<u8>>> {
        self.kept.borrow().iter().find(|(kept, _)| *kept == number).map(|(_, page)| Rc::clone(page))
    }

    /// Keeps a page in place of the one that is kept longest, if it is not kept already.
    fn keep(&self, number: u32, page: &Rc<Vec<u8>>) {
        if self.kept(number).is_none() {
            let mut kept = self.kept.borrow_mut();
            if kept.len() == MOST_KEPT {
                kept.pop_front();
            }
            kept.push_back((number, Rc::clone(page)));
        }
    }

    /// Is there a table or an index of this `name`?
    pub fn has(&self, name: &str) -> bool {
        self.root(name).is_ok()
    }

    /// What made `name`, and where its tree begins.
    fn root(&self, name: &str) -> Result<(&'static str, u32), Damaged> {
        let made = |statement: &str| {
            let rest = statement.strip_prefix(TABLE).or_else(|| statement.strip_prefix(INDEX));
            rest.and_then(|rest| rest.strip_prefix(name)).is_some_and(|rest| rest.starts_with(' '))
        };
        let found = self.roots.iter().find(|(statement, _)| made(statement));
        found.copied().ok_or_else(|| "its tables are not those of this format".into())
    }

    fn scan(
        &self,
        root: u32,
        is_index: bool,
        columns: usize,
        each: impl FnMut(&Row<'_>) -> Result<(), Damaged>,
    ) -> Result<(), Damaged> {
        let place = None::<fn(&Row<'_>) -> Result<Ordering, Damaged>>;
        let mut scan = Scan { tables: self, is_index, columns, left: self.pages, place, over: false, each };
        scan.tree(root, DEEPEST)
    }
}

const TABLE: &str = "CREATE TABLE ";
const INDEX: &str = "CREATE INDEX ";

/// Is what `statement` made kept as an index is, by its key?
fn is_keyed(statement: &str) -> bool {
    statement.starts_with(INDEX) || statement.ends_with("WITHOUT ROWID")
}

/// Bytes of a page, how many of them are used, and the number of pages, from the file's header.
fn measures(header: &[u8; HEADER]) -> Result<(usize, usize, u32), Damaged> {
    let page = match u16_at(header, 16)? {
        1 => 65_536,
        other => other,
    };
    let [reserved] = bytes_at(header, 20)?;
    let usable = page.saturating_sub(usize::from(reserved));
    let pages = u32_at(header, 28)?;
    // Rollback journal (no WAL), the fixed fractions, and text in UTF-8.
    let is_plain = header.starts_with(b"SQLite format 3\0")
        && bytes_at(header, 18)? == [1, 1]
        && bytes_at(header, 21)? == [64, 32, 32]
        && u32_at(header, 56)? == 1;
    // The number of pages counts for the change by which it was written.
    let is_current = u32_at(header, 24)? == u32_at(header, 92)?;
    if !is_plain || !page.is_power_of_two() || page < 512 || usable < 480 || pages == 0 || !is_current {
        return Err("it is not a database written by a sync".into());
    }
    Ok((page, usable, pages))
}

/// One walk through one tree.
struct Scan<'t, P, F> {
    tables: &'t Tables,
    /// Is it an index, or a table WITHOUT ROWID, which is kept as one?
    is_index: bool,
    columns: usize,
    /// Pages that it may still come to.
    left: u32,
    /// Where a row is to the range that is wanted; without it, all are.
    place: Option<P>,
    /// Is it past that range?
    over: bool,
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
    fn at(page: &[u8], offset: usize) -> Result<Self, Damaged> {
        let [byte] = bytes_at(page, offset)?;
        match byte {
            2 => Ok(Self::IndexInner),
            5 => Ok(Self::TableInner),
            10 => Ok(Self::IndexLeaf),
            13 => Ok(Self::TableLeaf),
            _ => Err("a page of an unknown type".into()),
        }
    }

    fn is_leaf(self) -> bool {
        matches!(self, Self::TableLeaf | Self::IndexLeaf)
    }

    fn is_index(self) -> bool {
        matches!(self, Self::IndexLeaf | Self::IndexInner)
    }
}

impl<P, F> Scan<'_, P, F>
where
    P: Fn(&Row<'_>) -> Result<Ordering, Damaged>,
    F: FnMut(&Row<'_>) -> Result<(), Damaged>,
{
    fn tree(&mut self, root: u32, depth: usize) -> Result<(), Damaged> {
        let depth = depth.checked_sub(1).ok_or("a tree with too many levels")?;
        let page = self.fetch(root)?;
        let start = if root == 1 { HEADER } else { 0 };
        let kind = Kind::at(&page, start)?;
        if kind.is_index() != self.is_index {
            return Err("a page of the wrong type".into());
        }
        if !kind.is_leaf() {
            self.tables.keep(root, &page);
        }
        let cells = Cells { page: &page, kind, start, count: u16_at(&page, start + 3)? };
        for number in self.first(&cells)?..cells.count {
            self.cell(kind, cells.get(number)?, depth)?;
            if self.over {
                return Ok(());
            }
        }
        if !kind.is_leaf() {
            self.tree(u32_at(&page, start + 8)?, depth)?;
        }
        Ok(())
    }

    /// The first cell of a page that does not lie before the range.
    fn first(&mut self, cells: &Cells<'_>) -> Result<usize, Damaged> {
        let (mut low, mut high) = (0, cells.count);
        while self.place.is_some() && low < high {
            let middle = low.midpoint(high);
            let cell = cells.get(middle)?;
            let cell = if cells.kind.is_leaf() { cell } else { cell.get(4..).ok_or(CUT)? };
            let (number, record) = self.record(cells.kind, cell)?;
            let row = decoded(number, &record, self.columns)?;
            match self.place.as_ref().map_or(Ok(Ordering::Equal), |place| place(&row))? {
                Ordering::Less => low = middle + 1,
                Ordering::Equal | Ordering::Greater => high = middle,
            }
        }
        Ok(low)
    }

    /// What one cell leads to, and the record in it.
    fn cell(&mut self, kind: Kind, mut cell: &[u8], depth: usize) -> Result<(), Damaged> {
        if !kind.is_leaf() {
            let child = u32_at(cell, 0)?;
            cell = cell.get(4..).ok_or(CUT)?;
            self.tree(child, depth)?;
        }
        if kind == Kind::TableInner || self.over {
            return Ok(());
        }
        let (number, record) = self.record(kind, cell)?;
        let row = decoded(number, &record, self.columns)?;
        match self.place.as_ref().map_or(Ok(Ordering::Equal), |place| place(&row))? {
            Ordering::Less => Err("rows out of the order of their key".into()),
            Ordering::Equal => (self.each)(&row),
            Ordering::Greater => {
                self.over = true;
                Ok(())
            }
        }
    }

    /// The row's number and its record.
    fn record<'c>(&mut self, kind: Kind, mut cell: &'c [u8]) -> Result<(u64, Cow<'c, [u8]>), Damaged> {
        let length = usize::try_from(varint(&mut cell)?)?;
        let number = if kind == Kind::TableLeaf { varint(&mut cell)? } else { 0 };
        if length > LONGEST_RECORD {
            return Err("a row longer than the limit".into());
        }
        let local = self.local(kind, length);
        let first = cell.get(..local).ok_or(CUT)?;
        if local == length {
            return Ok((number, Cow::Borrowed(first)));
        }
        let mut record = Vec::with_capacity(length);
        record.extend_from_slice(first);
        self.overflow(u32_at(cell, local)?, &mut record, length)?;
        Ok((number, Cow::Owned(record)))
    }

    /// How much of a record of this `length` is in its cell.
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

    /// The rest of a record, on overflow pages, each of which begins with the number of the next.
    fn overflow(&mut self, mut next: u32, record: &mut Vec<u8>, length: usize) -> Result<(), Damaged> {
        while record.len() < length {
            let page = self.fetch(next)?;
            let part = (length - record.len()).min(self.tables.usable - 4);
            record.extend_from_slice(page.get(4..4 + part).ok_or(CUT)?);
            next = u32_at(&page, 0)?;
        }
        Ok(())
    }

    /// The part of a page that is used.
    fn fetch(&mut self, number: u32) -> Result<Rc<Vec<u8>>, Damaged> {
        let Tables { file, page, usable, pages, .. } = self.tables;
        self.left = self.left.checked_sub(1).ok_or("a tree with more pages than the file has")?;
        if number == 0 || number > *pages {
            return Err("a reference to a page outside the file".into());
        }
        if let Some(kept) = self.tables.kept(number) {
            return Ok(kept);
        }
        let mut content = vec![0; *usable];
        file.read_exact_at(&mut content, u64::from(number - 1) * *page as u64)?;
        Ok(Rc::new(content))
    }
}

/// The cells of one page, in the order of their keys.
struct Cells<'p> {
    page: &'p [u8],
    kind: Kind,
    /// Where the page's header begins.
    start: usize,
    count: usize,
}

impl<'p> Cells<'p> {
    fn get(&self, number: usize) -> Result<&'p [u8], Damaged> {
        let pointers = self.start + if self.kind.is_leaf() { 8 } else { 12 };
        let at = u16_at(self.page, pointers + 2 * number)?;
        self.page.get(at..).ok_or_else(|| CUT.into())
    }
}

/// The row of a record: the types of all values, then the values.
#[inline]
fn decoded(number: u64, record: &[u8], columns: usize) -> Result<Row<'_>, Damaged> {
    let mut types = record;
    let length = usize::try_from(varint(&mut types)?)?;
    let (header, mut body) = record.split_at_checked(length).ok_or(CUT)?;
    let mut types = header.get(record.len() - types.len()..).ok_or(CUT)?;
    let mut values = [Value::Other; MOST_COLUMNS];
    for value in values.get_mut(..columns).ok_or(CUT)? {
        *value = take_value(varint(&mut types)?, &mut body)?;
    }
    if !types.is_empty() || !body.is_empty() {
        return Err("a row with more values than its table has columns".into());
    }
    Ok(Row { number: number.cast_signed(), values })
}

const CUT: &str = "a length that points outside its page";

/// Takes a value of the type `code` off `body`.
#[inline]
fn take_value<'p>(code: u64, body: &mut &'p [u8]) -> Result<Value<'p>, &'static str> {
    let length = match code {
        0 | 8 | 9 => 0,
        1..=4 => code,
        5 => 6,
        6 | 7 => 8,
        10 | 11 => return Err("a value of an unknown type"),
        _ => (code - 12) / 2,
    };
    let length = usize::try_from(length).map_err(|_| CUT)?;
    let (value, rest) = body.split_at_checked(length).ok_or(CUT)?;
    *body = rest;
    Ok(match code {
        1..=6 => Value::Integer(signed(value)),
        8 | 9 => Value::Integer((code - 8).cast_signed()),
        0 => Value::Null,
        12.. if code.is_multiple_of(2) => Value::Blob(value),
        13.. => Value::Text(std::str::from_utf8(value).map_err(|_| "a text that is not UTF-8")?),
        _ => Value::Other,
    })
}

/// A number in two's complement, of at most eight bytes, the first one the most significant.
#[inline]
fn signed(bytes: &[u8]) -> i64 {
    match *bytes {
        [one] => i64::from(i8::from_be_bytes([one])),
        [a, b, c, d] => i64::from(i32::from_be_bytes([a, b, c, d])),
        _ => {
            let sign = if bytes.first().is_some_and(|byte| byte & 0x80 != 0) { -1 } else { 0 };
            bytes.iter().fold(sign, |number, byte| number << 8 | i64::from(*byte))
        }
    }
}

/// The bytes at `offset`.
#[inline]
fn bytes_at<const N: usize>(bytes: &[u8], offset: usize) -> Result<[u8; N], &'static str> {
    bytes.get(offset..).and_then(<[u8]>::first_chunk).copied().ok_or(CUT)
}

#[inline]
fn u16_at(bytes: &[u8], offset: usize) -> Result<usize, &'static str> {
    bytes_at(bytes, offset).map(|bytes| usize::from(u16::from_be_bytes(bytes)))
}

#[inline]
fn u32_at(bytes: &[u8], offset: usize) -> Result<u32, &'static str> {
    bytes_at(bytes, offset).map(u32::from_be_bytes)
}

/// Takes a number of one to nine bytes off `bytes`: seven bits of each, and all eight of the ninth.
#[inline]
fn varint(bytes: &mut &[u8]) -> Result<u64, &'static str> {
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

#[cfg(test)]
mod tests;

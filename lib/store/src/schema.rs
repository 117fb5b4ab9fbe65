//! Tables, versions, and how a database is opened that is not trusted.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};
use trust::{Directory, Owner};

use crate::StoreError;
use crate::pages::Tables;
use crate::publish::journals;

/// One kind of database, in the forms that this release knows.
///
/// Neighbouring releases read each other's files, so that they can be exchanged in either order: a release that brings
/// a new form reads it and writes the old one; the release after it writes the new one. See docs/architecture.md.
pub struct Schema {
    /// SQLite's `application_id`: says whose file it is.
    pub application: i64,
    /// The form that this release writes.
    pub written: Form,
    /// Another one that it reads: the next, or the last.
    pub also: Option<Form>,
}

/// One form of a database: what it must be, to the letter.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// SQLite's `user_version`.
    pub version: i64,
    /// Every statement that makes the tables, and after them the indexes, as SQLite keeps them.
    pub statements: &'static [&'static str],
}

/// Virtual machine steps after which a query is given up: some seconds; an honest one needs a fraction.
const MOST_STEPS: i32 = 400_000_000;

/// The longest text or blob in a row, in bytes.
const LONGEST_VALUE: i32 = 1024 * 1024;

impl Schema {
    /// As a later release has it, for tests of neighbours: with the feature `next-form` it reads `next`, with
    /// `next-form-written` it writes it too. Without them it is as it is.
    pub const fn with_next(self, next: Form) -> Self {
        let Self { application, written, also } = self;
        match (cfg!(feature = "next-form"), cfg!(feature = "next-form-written")) {
            (_, true) => Self { application, written: next, also: Some(written) },
            (true, false) => Self { application, written, also: Some(next) },
            (false, false) => Self { application, written, also },
        }
    }

    /// Opens a published database read-only. Never creates, repairs or waits.
    pub fn open(&self, path: &Path) -> Result<Connection, StoreError> {
        self.open_form(path).map(|(connection, _)| connection)
    }

    /// As [`Schema::open`], and which of its forms it has.
    pub fn open_form(&self, path: &Path) -> Result<(Connection, &Form), StoreError> {
        // SQLite opens by name. Between this judgement and that only those who may write the file
        // anyway could exchange it: see `trust`.
        let (_file, form) = self.judge(&judged(path)?, path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        let failed = |error| StoreError::sqlite(path, error);
        let connection = self.connect(immutable_uri(path), flags).map_err(failed)?;
        form.compare(&connection, path, failed).map(|()| (connection, form))
    }

    /// Opens a published database to read all of a table, without SQLite; what was judged is what is read.
    pub fn open_tables(&self, directory: &Directory, path: &Path) -> Result<Tables, StoreError> {
        let (file, form) = self.judge(directory, path)?;
        Tables::open(file, form.statements).map_err(|error| StoreError::reading(path, error))
    }

    /// Opens one of ours, of a form that is read, whoever could have written it: for what decides nothing.
    pub fn open_unjudged(&self, path: &Path) -> Result<Tables, StoreError> {
        let reading = |error: Box<dyn std::error::Error>| StoreError::reading(path, error);
        let file = File::open(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => StoreError::Missing(path.into()),
            _ => reading(error.into()),
        })?;
        let form = self.identify(path, identity(&file).map_err(|error| reading(error.into()))?)?;
        Tables::open(file, form.statements).map_err(reading)
    }

    /// Opens what was just written, before it is published, as strictly as readers will.
    pub fn open_written(&self, path: &Path) -> Result<Tables, Box<dyn std::error::Error>> {
        Tables::open(File::open(path)?, self.written.statements)
    }

    /// The file at `path` and its form, if it may be trusted, is ours, and was not changed since it was published.
    fn judge(&self, directory: &Directory, path: &Path) -> Result<(File, &Form), StoreError> {
        let file = directory.open(path, Owner::Service).map_err(StoreError::from_trust)?;
        let form =
            self.identify(path, identity(&file).map_err(|error| StoreError::reading(path, error.into()))?)?;
        // An immutable database is read without its journal: half of somebody's change would be taken for all.
        if journals(path).any(|journal| fs::symlink_metadata(journal).is_ok_and(|found| found.len() > 0)) {
            return Err(StoreError::corrupt(path, "there is a journal beside it: it was changed in place"));
        }
        Ok((file, form))
    }

    /// Opens a database for reading and writing, with the journal that SQLite makes beside it.
    pub fn connect_own(&self, path: &Path) -> rusqlite::Result<Connection> {
        self.connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
    }

    /// Is it ours, of a form that is read, with exactly its tables?
    pub fn check(
        &self,
        connection: &Connection,
        path: &Path,
        failed: impl Fn(rusqlite::Error) -> StoreError + Copy,
    ) -> Result<(), StoreError> {
        let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
        let found = (number("application_id").map_err(failed)?, number("user_version").map_err(failed)?);
        self.identify(path, found)?.compare(connection, path, failed)
    }

    fn identify(&self, path: &Path, (application, version): (i64, i64)) -> Result<&Form, StoreError> {
        if application != self.application {
            return Err(StoreError::corrupt(path, "it is the database of another program"));
        }
        let mut forms = [Some(&self.written), self.also.as_ref()].into_iter().flatten();
        let form = forms.find(|form| form.version == version);
        form.ok_or_else(|| StoreError::Version(path.into(), version))
    }

    fn connect(&self, name: impl AsRef<Path>, flags: OpenFlags) -> rusqlite::Result<Connection> {
        let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let mut connection = Connection::open_with_flags(name, flags)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
        connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, LONGEST_VALUE)?;
        connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
        connection.progress_handler(MOST_STEPS, Some(|| true))?;
        Ok(connection)
    }

    /// Opens an unpublished copy of a database for changes, in whatever way is fastest. It must be ours to
    /// the letter, in the form that is written: what is added to a stranger's tables would run the stranger's triggers.
    pub fn reopen(&self, path: &Path) -> rusqlite::Result<Connection> {
        let connection = Self::open_unpublished(path)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
        if self.written.matches(&connection)? { Ok(connection) } else { Err(rusqlite::Error::InvalidQuery) }
    }

    fn open_unpublished(path: &Path) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.pragma_update(None, "journal_mode", "OFF")?;
        connection.pragma_update(None, "synchronous", "OFF")?;
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        Ok(connection)
    }

    /// Makes the tables in the empty file `path`, in whatever way is fastest: the file is not published
    /// before it is complete and on disk.
    pub fn create(&self, path: &Path) -> rusqlite::Result<Connection> {
        let connection = Self::open_unpublished(path)?;
        connection.pragma_update(None, "application_id", self.application)?;
        connection.pragma_update(None, "user_version", self.written.version)?;
        for statement in self.written.statements.iter().filter(|statement| !is_index(statement)) {
            connection.execute(statement, [])?;
        }
        Ok(connection)
    }

    /// Makes the indexes, once all rows are there: sorted in one go, and not page by page.
    pub fn index(&self, connection: &Connection) -> rusqlite::Result<()> {
        for statement in self.written.statements.iter().filter(|statement| is_index(statement)) {
            connection.execute(statement, [])?;
        }
        Ok(())
    }
}

impl Form {
    fn compare(
        &self,
        connection: &Connection,
        path: &Path,
        failed: impl Fn(rusqlite::Error) -> StoreError,
    ) -> Result<(), StoreError> {
        if !self.matches(connection).map_err(failed)? {
            return Err(StoreError::corrupt(path, "its tables are not those of its format"));
        }
        Ok(())
    }

    /// Are the tables exactly ours? A trigger, a view, one more table or index is somebody else's doing.
    fn matches(&self, connection: &Connection) -> rusqlite::Result<bool> {
        let mut query =
            connection.prepare("SELECT sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_autoindex%'")?;
        let found = query.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
        Ok(found == self.statements)
    }
}

/// The tables of a form with one more before them, for tests of neighbours.
#[allow(clippy::indexing_slicing, reason = "done by the compiler")]
pub const fn one_more<const FEW: usize, const MORE: usize>(
    tables: [&'static str; FEW],
) -> [&'static str; MORE] {
    let mut more = ["CREATE TABLE next (remark TEXT)"; MORE];
    let mut at = 0;
    while at < FEW {
        more[at + 1] = tables[at];
        at += 1;
    }
    more
}

fn is_index(statement: &str) -> bool {
    statement.starts_with("CREATE INDEX")
}

/// The directory of the database at `path`, judged for it and for what is beside it.
pub fn judged(path: &Path) -> Result<Directory, StoreError> {
    Directory::of(path).map_err(StoreError::from_trust)
}

/// `application_id` and `user_version`, from the file's header: <https://sqlite.org/fileformat2.html>, 1.3.
/// As PRAGMAs they are two queries to prepare; an immutable database has no journal that says otherwise.
fn identity(file: &File) -> io::Result<(i64, i64)> {
    let mut header = [0; 4];
    let mut number = |offset| -> io::Result<i64> {
        file.read_exact_at(&mut header, offset)?;
        Ok(i64::from(i32::from_be_bytes(header)))
    };
    Ok((number(68)?, number(60)?))
}

/// `file:PATH?immutable=1`, with what a URI reserves escaped.
fn immutable_uri(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let mut uri = String::from("file:");
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_') {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri + "?immutable=1"
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Form = Form { version: 1, statements: &["CREATE TABLE meta (published INTEGER NOT NULL)"] };
    const NEW: Form = Form { version: 2, statements: &["CREATE TABLE meta (published INTEGER, more TEXT)"] };
    /// Four releases, one after the other: what each writes, and what else it reads.
    const RELEASES: [(Form, Option<Form>); 4] =
        [(OLD, None), (OLD, Some(NEW)), (NEW, Some(OLD)), (NEW, None)];

    #[test]
    fn releases_read_what_their_neighbours_write() {
        let releases = RELEASES.map(|(written, also)| Schema { application: 7, written, also });
        let directory = crate::scratch();
        let path = directory.path().join("roster.db");
        for (at, writer) in releases.iter().enumerate() {
            std::fs::write(&path, "").unwrap();
            writer.create(&path).unwrap();
            for (reader_at, reader) in releases.iter().enumerate() {
                match reader.open_form(&path) {
                    Ok((_, form)) => assert_eq!(form.version, writer.written.version),
                    Err(StoreError::Version(_, 1 | 2)) => {
                        assert!(reader_at.abs_diff(at) > 1, "{reader_at} reads no {at}");
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }

    #[test]
    fn the_number_of_a_form_does_not_stand_for_its_tables() {
        let directory = crate::scratch();
        let path = directory.path().join("roster.db");
        std::fs::write(&path, "").unwrap();
        let release = Schema { application: 7, written: OLD, also: Some(NEW) };
        let connection = release.create(&path).unwrap();
        connection.pragma_update(None, "user_version", NEW.version).unwrap();
        drop(connection);
        assert!(matches!(release.open_form(&path), Err(StoreError::Corrupt(..))));
    }
}

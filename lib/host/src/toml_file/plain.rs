//! Reads what most files consist of: tables, values, and no key in two parts.
//!
//! The PAM module reads its configuration inside sshd and sudo, at each login anew, and there the `toml` crate's
//! tree costs more than all else of a decision: every table is a map with room for eleven values, and the memory
//! for a few kilobytes of text is forty pages that the kernel has to make ready. Here the same tokens, decoded by
//! the same crate below (`toml_parser`), become one list of values.
//!
//! What is not plain is not read: a dotted key, an integer beyond 64 bits, a fraction, whatever is given twice
//! or is wrong in any way. Then the `toml` crate reads the file, and says what is wrong with it if something is.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::{BorrowedStrDeserializer, StrDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_spanned::de::{SpannedDeserializer, is_spanned};
use toml_datetime::Datetime;
use toml_datetime::de::{DatetimeDeserializer, is_datetime};
use toml_parser::decoder::{Encoding, ScalarKind};
use toml_parser::parser::{EventReceiver, RecursionGuard, ValidateWhitespace, parse_document};
use toml_parser::{ErrorSink, ParseError, Raw, Source, Span};

/// How deep values may be nested; the `toml` crate's bound is the same.
const DEEPEST: u32 = 80;

/// The most keys of one table, and parts of one name of a table: all of them are looked through for each one.
const MOST_KEYS: usize = 64;

/// It is not plain, or not what was asked for.
#[derive(Debug)]
struct NotPlain;

impl fmt::Display for NotPlain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not plain")
    }
}

impl std::error::Error for NotPlain {}

impl serde::de::Error for NotPlain {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// Reads `text`, if it is plain.
pub fn read<T: DeserializeOwned>(text: &str) -> Option<T> {
    let document = Document::parse(text)?;
    T::deserialize(Place { document: &document, at: ROOT }).ok()
}

/// Where a value is in its document.
type Index = u32;

const ROOT: Index = 0;

/// All values of a text.
struct Document<'i> {
    nodes: Vec<Node<'i>>,
}

/// One value. Those of one table or list are chained.
struct Node<'i> {
    /// Its name; empty in a list.
    key: Cow<'i, str>,
    key_span: (u32, u32),
    value: Value<'i>,
    span: (u32, u32),
    /// The next of the same table or list; the root is nobody's next.
    next: Index,
}

enum Value<'i> {
    Text(Cow<'i, str>),
    Integer(i64),
    Boolean(bool),
    Datetime(Datetime),
    List(Chain),
    /// A list of what stands below headers in double brackets.
    Tables(Chain),
    Table(Chain, Made),
}

/// What a table was made by, which says what may still be put into it.
#[derive(Clone, Copy, PartialEq)]
enum Made {
    /// It is part of the name of another table.
    Above,
    ByHeader,
    Inline,
}

#[derive(Clone, Copy, Default)]
struct Chain {
    first: Index,
    last: Index,
}

impl<'i> Document<'i> {
    fn parse(text: &'i str) -> Option<Self> {
        let length = u32::try_from(text.len()).ok()?;
        let source = Source::new(text);
        let tokens = source.lex().into_vec();
        // About as many as there are; memory that is not written to costs nothing.
        let mut nodes = Vec::with_capacity(tokens.len() / 4);
        let root = Value::Table(Chain::default(), Made::ByHeader);
        nodes.push(Node { key: Cow::Borrowed(""), key_span: (0, 0), value: root, span: (0, 0), next: ROOT });
        let mut builder = Builder::new(source, Self { nodes });
        let mut checked = ValidateWhitespace::new(&mut builder, source);
        let mut guarded = RecursionGuard::new(&mut checked, DEEPEST);
        let mut error: Option<ParseError> = None;
        parse_document(&tokens, &mut guarded, &mut error);
        let is_plain = error.is_none() && builder.is_plain && length < u32::MAX;
        is_plain.then_some(builder.document)
    }

    fn node(&self, at: Index) -> Option<&Node<'i>> {
        self.nodes.get(usize::try_from(at).ok()?)
    }

    /// The members of a table or list.
    fn chain(&self, at: Index) -> Option<Chain> {
        match self.node(at)?.value {
            Value::List(chain) | Value::Tables(chain) | Value::Table(chain, _) => Some(chain),
            _ => None,
        }
    }

    fn find(&self, table: Index, key: &str) -> Option<Found> {
        let (mut at, mut passed) = (self.chain(table)?.first, 0);
        while at != ROOT {
            let node = self.node(at)?;
            if node.key == key {
                return Some(Found::At(at));
            }
            (at, passed) = (node.next, passed + 1);
            if passed == MOST_KEYS {
                return None;
            }
        }
        Some(Found::Nothing)
    }

    /// Puts `node` at the end of `parent`.
    fn push(&mut self, parent: Index, node: Node<'i>) -> Option<Index> {
        let new = Index::try_from(self.nodes.len()).ok()?;
        let last = self.chain(parent)?.last;
        self.nodes.push(node);
        if last != ROOT {
            self.nodes.get_mut(usize::try_from(last).ok()?)?.next = new;
        }
        match &mut self.nodes.get_mut(usize::try_from(parent).ok()?)?.value {
            Value::List(chain) | Value::Tables(chain) | Value::Table(chain, _) => {
                chain.last = new;
                if chain.first == ROOT {
                    chain.first = new;
                }
            }
            _ => return None,
        }
        Some(new)
    }
}

enum Found {
    At(Index),
    Nothing,
}

/// A key and where it stands.
type Key<'i> = (Cow<'i, str>, (u32, u32));

/// Makes a document of what the parser comes upon.
struct Builder<'i> {
    source: Source<'i>,
    document: Document<'i>,
    /// The table below whose header this is.
    table: Index,
    /// Lists and tables within a value, the innermost last.
    open: Vec<Index>,
    /// The key whose value comes next.
    key: Option<Key<'i>>,
    /// The parts of the header that is being read, and where it begins.
    header: Option<(Vec<Key<'i>>, Span)>,
    is_plain: bool,
}

impl<'i> Builder<'i> {
    fn new(source: Source<'i>, document: Document<'i>) -> Self {
        Self { source, document, table: ROOT, open: Vec::new(), key: None, header: None, is_plain: true }
    }

    /// Notes whether something was plain.
    fn note(&mut self, done: Option<()>) {
        self.is_plain &= done.is_some();
    }

    fn raw(&self, span: Span, encoding: Option<Encoding>) -> Option<Raw<'i>> {
        let text = self.source.input().get(span.start()..span.end())?;
        Some(Raw::new_unchecked(text, encoding, span))
    }

    /// Puts a value where one belongs.
    fn add(&mut self, value: Value<'i>, span: Span) -> Option<Index> {
        let parent = self.open.last().copied().unwrap_or(self.table);
        let (key, key_span) = match self.document.node(parent)?.value {
            Value::List(_) => (Cow::Borrowed(""), (0, 0)),
            _ => self.key.take()?,
        };
        if matches!(self.document.node(parent)?.value, Value::Table(..)) {
            let Found::Nothing = self.document.find(parent, &key)? else { return None };
        }
        self.document.push(parent, Node { key, key_span, value, span: ends(span), next: ROOT })
    }

    fn open(&mut self, value: Value<'i>, span: Span) -> bool {
        let added = self.add(value, span);
        self.open.extend(added);
        self.note(added.map(|_| ()));
        added.is_some()
    }

    fn close(&mut self, span: Span) -> Option<()> {
        let node = self.document.nodes.get_mut(usize::try_from(self.open.pop()?).ok()?)?;
        node.span.1 = ends(span).1;
        Some(())
    }

    fn scalar(&mut self, span: Span, encoding: Option<Encoding>, error: &mut dyn ErrorSink) -> Option<()> {
        let mut text = Cow::Borrowed("");
        let value = match self.raw(span, encoding)?.decode_scalar(&mut text, error) {
            ScalarKind::String => Value::Text(text),
            ScalarKind::Boolean(value) => Value::Boolean(value),
            ScalarKind::Integer(radix) => Value::Integer(i64::from_str_radix(&text, radix.value()).ok()?),
            ScalarKind::DateTime => Value::Datetime(text.parse().ok()?),
            ScalarKind::Float => return None,
        };
        self.add(value, span).map(|_| ())
    }

    fn key(&mut self, span: Span, encoding: Option<Encoding>, error: &mut dyn ErrorSink) -> Option<()> {
        let mut text = Cow::Borrowed("");
        self.raw(span, encoding)?.decode_key(&mut text, error);
        let key = (text, ends(span));
        match &mut self.header {
            Some((path, _)) if path.len() < MOST_KEYS => path.push(key),
            None if self.key.is_none() => self.key = Some(key),
            _ => return None,
        }
        Some(())
    }

    /// Goes to the table of the header that ends here; `in_list`: to a new one.
    fn enter(&mut self, end: Span, in_list: bool) -> Option<()> {
        let (mut path, start) = self.header.take()?;
        let span = (ends(start).0, ends(end).1);
        let (name, name_span) = path.pop()?;
        let mut table = ROOT;
        for (key, key_span) in path {
            table = match self.document.find(table, &key)? {
                Found::At(at) => self.within(at)?,
                Found::Nothing => {
                    let value = Value::Table(Chain::default(), Made::Above);
                    self.document.push(table, Node { key, key_span, value, span: key_span, next: ROOT })?
                }
            };
        }
        let new = Value::Table(Chain::default(), Made::ByHeader);
        let named = |value| Node { key: name.clone(), key_span: name_span, value, span, next: ROOT };
        let nameless = |value| Node { key: Cow::Borrowed(""), key_span: (0, 0), value, span, next: ROOT };
        self.table = match (self.document.find(table, &name)?, in_list) {
            (Found::Nothing, false) => self.document.push(table, named(new))?,
            (Found::Nothing, true) => {
                let list = self.document.push(table, named(Value::Tables(Chain::default())))?;
                self.document.push(list, nameless(new))?
            }
            (Found::At(list), true) => match self.document.node(list)?.value {
                Value::Tables(_) => self.document.push(list, nameless(new))?,
                _ => return None,
            },
            (Found::At(at), false) => {
                let node = self.document.nodes.get_mut(usize::try_from(at).ok()?)?;
                let Value::Table(_, made @ Made::Above) = &mut node.value else { return None };
                *made = Made::ByHeader;
                (node.key_span, node.span) = (name_span, span);
                at
            }
        };
        Some(())
    }

    /// The table that a part of a header's name stands for.
    fn within(&self, at: Index) -> Option<Index> {
        match self.document.node(at)?.value {
            Value::Table(_, Made::Above | Made::ByHeader) => Some(at),
            Value::Tables(chain) => Some(chain.last),
            _ => None,
        }
    }
}

fn ends(span: Span) -> (u32, u32) {
    // A text is shorter than 4 GiB: `Document::parse`.
    let end = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    (end(span.start()), end(span.end()))
}

impl EventReceiver for Builder<'_> {
    fn std_table_open(&mut self, span: Span, _: &mut dyn ErrorSink) {
        self.header = Some((Vec::new(), span));
    }

    fn std_table_close(&mut self, span: Span, _: &mut dyn ErrorSink) {
        let done = self.enter(span, false);
        self.note(done);
    }

    fn array_table_open(&mut self, span: Span, _: &mut dyn ErrorSink) {
        self.header = Some((Vec::new(), span));
    }

    fn array_table_close(&mut self, span: Span, _: &mut dyn ErrorSink) {
        let done = self.enter(span, true);
        self.note(done);
    }

    fn inline_table_open(&mut self, span: Span, _: &mut dyn ErrorSink) -> bool {
        self.open(Value::Table(Chain::default(), Made::Inline), span)
    }

    fn inline_table_close(&mut self, span: Span, _: &mut dyn ErrorSink) {
        let done = self.close(span);
        self.note(done);
    }

    fn array_open(&mut self, span: Span, _: &mut dyn ErrorSink) -> bool {
        self.open(Value::List(Chain::default()), span)
    }

    fn array_close(&mut self, span: Span, _: &mut dyn ErrorSink) {
        let done = self.close(span);
        self.note(done);
    }

    fn simple_key(&mut self, span: Span, encoding: Option<Encoding>, error: &mut dyn ErrorSink) {
        let done = self.key(span, encoding, error);
        self.note(done);
    }

    fn key_sep(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.is_plain &= self.header.is_some();
    }

    fn scalar(&mut self, span: Span, encoding: Option<Encoding>, error: &mut dyn ErrorSink) {
        let done = self.scalar(span, encoding, error);
        self.note(done);
    }

    fn error(&mut self, _: Span, _: &mut dyn ErrorSink) {
        self.is_plain = false;
    }
}

/// A value of a document, for serde.
#[derive(Clone, Copy)]
struct Place<'d, 'i> {
    document: &'d Document<'i>,
    at: Index,
}

impl<'d, 'i> Place<'d, 'i> {
    fn node(self) -> Result<&'d Node<'i>, NotPlain> {
        self.document.node(self.at).ok_or(NotPlain)
    }
}

fn range((start, end): (u32, u32)) -> std::ops::Range<usize> {
    start as usize..end as usize
}

impl<'de> Deserializer<'de> for Place<'de, '_> {
    type Error = NotPlain;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPlain> {
        match &self.node()?.value {
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::Integer(integer) => visitor.visit_i64(*integer),
            Value::Boolean(value) => visitor.visit_bool(*value),
            Value::Datetime(instant) => visitor.visit_map(DatetimeDeserializer::new(*instant)),
            Value::List(chain) | Value::Tables(chain) => visitor.visit_seq(Members::new(self, *chain)),
            Value::Table(chain, _) => visitor.visit_map(Members::new(self, *chain)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPlain> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, NotPlain> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, NotPlain> {
        if is_spanned(name) {
            return visitor.visit_map(SpannedDeserializer::new(self, range(self.node()?.span)));
        }
        if is_datetime(name) && !matches!(self.node()?.value, Value::Datetime(_)) {
            return Err(NotPlain);
        }
        self.deserialize_any(visitor)
    }

    /// One word out of several; no file of ours has other enums.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, NotPlain> {
        match &self.node()?.value {
            Value::Text(word) => visitor.visit_enum(StrDeserializer::new(word)),
            _ => Err(NotPlain),
        }
    }

    forward_to_deserialize_any! {
        bool u8 u16 u32 u64 u128 i8 i16 i32 i64 i128 f32 f64 char str string seq bytes byte_buf map unit
        ignored_any unit_struct tuple_struct tuple identifier
    }
}

impl<'de> IntoDeserializer<'de, NotPlain> for Place<'de, '_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// What remains of a table or list.
struct Members<'d, 'i> {
    rest: Place<'d, 'i>,
    /// The one whose key was told.
    current: Index,
}

impl<'d, 'i> Members<'d, 'i> {
    fn new(parent: Place<'d, 'i>, chain: Chain) -> Self {
        Self { rest: Place { at: chain.first, ..parent }, current: ROOT }
    }

    fn take(&mut self) -> Result<Option<Place<'d, 'i>>, NotPlain> {
        let taken = self.rest;
        if taken.at == ROOT {
            return Ok(None);
        }
        self.rest.at = taken.node()?.next;
        Ok(Some(taken))
    }
}

impl<'de> SeqAccess<'de> for Members<'de, '_> {
    type Error = NotPlain;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, NotPlain> {
        self.take()?.map(|member| seed.deserialize(member)).transpose()
    }
}

impl<'de> MapAccess<'de> for Members<'de, '_> {
    type Error = NotPlain;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, NotPlain> {
        let Some(member) = self.take()? else { return Ok(None) };
        self.current = member.at;
        let node = member.node()?;
        seed.deserialize(Name { text: &node.key, span: node.key_span }).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, NotPlain> {
        seed.deserialize(Place { at: self.current, ..self.rest })
    }
}

/// A key, for serde.
struct Name<'d> {
    text: &'d str,
    span: (u32, u32),
}

impl<'de> Deserializer<'de> for Name<'de> {
    type Error = NotPlain;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPlain> {
        visitor.visit_borrowed_str(self.text)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, NotPlain> {
        if !is_spanned(name) {
            return Err(NotPlain);
        }
        let text = BorrowedStrDeserializer::<NotPlain>::new(self.text);
        visitor.visit_map(SpannedDeserializer::new(text, range(self.span)))
    }

    forward_to_deserialize_any! {
        bool u8 u16 u32 u64 u128 i8 i16 i32 i64 i128 f32 f64 char str string seq bytes byte_buf map unit
        option newtype_struct enum ignored_any unit_struct tuple_struct tuple identifier
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::collections::BTreeMap;
    use toml::{Spanned, Table};

    const PLAIN: &str = r#"
name = "a\u00e9\n" # remark
'quoted key' = 'x\y'
numbers = [1, -2, 0x1f, +7, 1_000]
list = ['a', ["b", []], { c = 1, d = [true] }]
empty = {}
[table]
until = 2027-06-30
at = 2027-06-30T08:00:00Z
[above.below]
text = """
two
lines"""
[above]
key = '''x'''
[[many]]
name = 'one'
[many.inner]
deep = 1
[[many.rule]]
name = 'r'
[[many]]
name = 'two'
[many.inner]
deep = 2
"#;

    const WORDS: [&str; 33] = [
        "[table]\n",
        "[[many]]\n",
        "[above]\n",
        "[many.inner]\n",
        "[[above.below]]\n",
        "[name]\n",
        "a.b = 1\n",
        "{ a = 1, a = 2 }",
        "name = 1\n",
        "[",
        "]",
        "{",
        "}",
        "=",
        ".",
        ",",
        "\"",
        "'''",
        "\n",
        "\r",
        "#",
        "1.5",
        "inf",
        "9223372036854775808",
        "-9223372036854775808",
        "0o17",
        "\u{feff}",
        "\u{0}",
        "\u{7f}",
        "08:00:00",
        "2027-02-30",
        "\\x41",
        "\\e",
    ];

    fn both(text: &str) -> (Option<Table>, Result<Table, toml::de::Error>) {
        (read(text), toml::from_str(text))
    }

    #[test]
    fn what_is_plain_is_read_as_the_toml_crate_reads_it() {
        let (plain, expected) = both(PLAIN);
        assert_eq!(plain, Some(expected.unwrap()));
        let count = Cell::new(0);
        let samples = [PLAIN.as_bytes(), b"a = 1\n[b]\n[[c]]\n[c.d]\n", b"[a.b]\n[a]\nc = {}\n"];
        mutate::each(&samples, &WORDS, 20_000, |text| {
            let Ok(text) = std::str::from_utf8(text) else { return };
            if let (Some(plain), expected) = both(text) {
                assert_eq!(Ok(plain), expected);
                count.set(count.get() + 1);
            }
        });
        assert!(count.get() > 100, "{} of them were plain", count.get());
    }

    #[test]
    fn what_is_given_twice_or_is_wrong_is_left_to_the_toml_crate() {
        for text in [
            "a = 1\na = 2",
            "a = 1\n[a]",
            "[a]\n[a]",
            "[[a]]\n[a]",
            "[a]\n[[a]]",
            "a = []\n[[a]]",
            "a = {}\n[a]",
            "a = {}\n[a.b]",
            "a = { b = 1, b = 2 }",
            "a = [{ b = {} }]\n[a.b]",
            "[a.b]\n[a]\nb = 1",
            "a = 99999999999999999999999999999999999999999",
            "a = 2027-02-30",
            "a = 1 b = 2",
            "a = \"\\q\"",
            "a = 1\n\u{1}",
            "# \u{1}",
            "a =",
            "[a",
            "[]",
        ] {
            let (plain, expected) = both(text);
            assert!(plain.is_none() && expected.is_err(), "{text}");
        }
        for text in ["a.b = 1", "a = 1.5", "a = { b.c = 1 }"] {
            let (plain, expected) = both(text);
            assert!(plain.is_none() && expected.is_ok(), "{text}");
        }
        let deep = |depth| format!("a = {}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(both(&deep(79)).0.is_some() && both(&deep(200)).0.is_none());
    }

    #[test]
    fn everything_stands_where_the_toml_crate_finds_it() {
        type Lines = BTreeMap<Spanned<String>, Spanned<Vec<Spanned<toml::Value>>>>;
        type Tables = BTreeMap<Spanned<String>, Spanned<BTreeMap<Spanned<String>, Spanned<toml::Value>>>>;
        let lines = "a = [1, 'x']\n\"b\" = [\n { c = 1 }, # d\n]\n[[c]]\nx = 1\n[[c]]\n";
        let tables = "[a.b]\n[a]\nc = 1\n[d]\nx = { y = 2 }\n[[d.e]]\n[f]\n";
        let told = |lines: Lines| format!("{lines:?}");
        assert_eq!(read(lines).map(told), Some(told(toml::from_str(lines).unwrap())));
        let told = |tables: Tables| format!("{tables:?}");
        assert_eq!(read(tables).map(told), Some(told(toml::from_str(tables).unwrap())));
    }
}

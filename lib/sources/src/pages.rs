//! Lists that services tell page by page: read to their end, or not at all.
//!
//! A page counts only as the one that was asked for. A proxy that mixes answers up, a service that pages otherwise than
//! it says, and a list that changes while it is read would leave people out of a rota, or bring in those of
//! another one; no page shows by itself that it is wrong.

use std::collections::BTreeSet;
use std::vec;

use super::ProviderError;

/// Which page is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// How many entries come before it.
    pub offset: usize,
    /// The most that are on it.
    pub limit: usize,
}

/// One page as the service tells it.
#[derive(Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on it.
    pub entries: Vec<T>,
    /// Is there a further page?
    pub more: bool,
    /// The offset that the service says it answers.
    pub offset: Option<u64>,
    /// The limit that it says it answers.
    pub limit: Option<u64>,
    /// How many entries the whole list has, where it tells.
    pub total: Option<u64>,
}

/// How a service lets its lists be read.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// What people call the service.
    pub service: &'static str,
    /// Entries to a page.
    pub limit: usize,
    /// It refuses to show what `offset` and `limit` put behind this.
    pub deepest: usize,
    /// The most pages of one list that are asked for.
    pub pages: usize,
    /// What makes a list shorter.
    pub shorter: &'static str,
}

/// One page of a list whose pages are chained.
#[derive(Debug, PartialEq, Eq)]
pub struct Leaf<T> {
    /// What is on it.
    pub entries: Vec<T>,
    /// What asks for the next page, if there is one.
    pub next: Option<String>,
    /// How many entries the whole list has, where it tells.
    pub total: Option<u64>,
}

/// All of a list. Nothing else is taken into an [`Answer`](super::Answer), and only what is here makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole<T>(Vec<T>);

impl<T> Whole<T> {
    /// What came in one answer, which has no pages.
    pub fn at_once(entries: Vec<T>) -> Self {
        Self(entries)
    }

    /// Reads `list` to its end by `page`.
    ///
    /// # Errors
    /// The first page that cannot be had, or that is not what was asked for.
    pub fn read(
        list: &str,
        bounds: Bounds,
        mut page: impl FnMut(Asked) -> Result<Page<T>, ProviderError>,
    ) -> Result<Self, ProviderError> {
        let incomplete = |why: &str| ProviderError::incomplete(&format!("/{list}: {why}"));
        let Bounds { service, limit, deepest, pages, shorter } = bounds;
        let mut reading = Reading { entries: Vec::new(), total: None };
        for _ in 0..pages {
            let asked = Asked { offset: reading.entries.len(), limit };
            if asked.offset + limit > deepest {
                return Err(incomplete(&format!("{service} returns at most {deepest} entries; {shorter}")));
            }
            if reading.take(asked, page(asked)?).map_err(|why| incomplete(&why))? {
                return Ok(Self(reading.entries));
            }
        }
        Err(incomplete(&format!("more than {pages} pages; {shorter}")))
    }

    /// Reads `list` to its end by `page`, where each says what asks for the next one.
    ///
    /// # Errors
    /// The first page that cannot be had, or that leads nowhere.
    pub fn follow<E: From<ProviderError>>(
        list: &str,
        mut page: impl FnMut(Option<&str>) -> Result<Leaf<T>, E>,
    ) -> Result<Self, E> {
        /// The most pages of one list that are asked for.
        const PAGES: usize = 200;
        /// The most entries of one list that are kept.
        const ENTRIES: usize = 50_000;
        let incomplete = |why: &str| {
            E::from(ProviderError::incomplete(&format!("/{list}: {why}; the next sync tries again")))
        };
        let (mut entries, mut met, mut next): (_, BTreeSet<String>, Option<String>) =
            (Vec::new(), BTreeSet::new(), None);
        for _ in 0..PAGES {
            let mut leaf = page(next.as_deref())?;
            let is_empty = leaf.entries.is_empty();
            entries.append(&mut leaf.entries);
            if entries.len() > ENTRIES {
                return Err(incomplete(&format!("more than {ENTRIES} entries")));
            }
            let Some(cursor) = leaf.next else {
                return match leaf.total {
                    Some(total) if total != entries.len() as u64 => Err(incomplete(&format!(
                        "there are {total} entries, {} have come, and that is the end",
                        entries.len()
                    ))),
                    _ => Ok(Self(entries)),
                };
            };
            if is_empty {
                return Err(incomplete("an empty page says that more follow"));
            }
            if !met.insert(cursor.clone()) {
                return Err(incomplete("a page leads back to one that was read"));
            }
            next = Some(cursor);
        }
        Err(incomplete(&format!("more than {PAGES} pages")))
    }

    /// Those that `counts` takes: of a whole list all that belong to something are all there are.
    pub fn of(&self, counts: impl Fn(&T) -> bool) -> Self
    where
        T: Clone,
    {
        Self(self.0.iter().filter(|entry| counts(entry)).cloned().collect())
    }

    /// This list and another as one.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// What `entry` makes of each, where that is something.
    pub fn filter_map<U>(self, entry: impl FnMut(T) -> Option<U>) -> Whole<U> {
        Whole(self.0.into_iter().filter_map(entry).collect())
    }

    /// Each entry as something else.
    pub fn map<U>(self, entry: impl FnMut(T) -> U) -> Whole<U> {
        Whole(self.0.into_iter().map(entry).collect())
    }

    /// The entries.
    pub fn entries(&self) -> &[T] {
        &self.0
    }
}

impl<T> IntoIterator for Whole<T> {
    type Item = T;
    type IntoIter = vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// A list half read.
struct Reading<T> {
    entries: Vec<T>,
    total: Option<u64>,
}

impl<T> Reading<T> {
    /// Takes the next page; was it the last?
    fn take(&mut self, asked: Asked, mut page: Page<T>) -> Result<bool, String> {
        const AGAIN: &str = "the next sync tries again";
        for (name, asked, told) in [("offset", asked.offset, page.offset), ("limit", asked.limit, page.limit)]
        {
            match told {
                Some(told) if told == asked as u64 => {}
                Some(told) => {
                    return Err(format!(
                        "asked for {name} {asked}, the answer is for {name} {told}; {AGAIN}"
                    ));
                }
                None => return Err(format!("the answer does not say which `{name}` it is for; {AGAIN}")),
            }
        }
        let count = page.entries.len();
        if count > asked.limit {
            return Err(format!("{count} entries on a page of at most {}; {AGAIN}", asked.limit));
        }
        if page.more && count == 0 {
            return Err(format!("an empty page says that more follow; {AGAIN}"));
        }
        self.entries.append(&mut page.entries);
        if let (Some(was), Some(is)) = (self.total, page.total)
            && was != is
        {
            return Err(format!("a page says that there are {was} entries, another one {is}; {AGAIN}"));
        }
        self.total = self.total.or(page.total);
        let had = self.entries.len() as u64;
        match self.total {
            Some(total) if had > total || (had < total) != page.more => {
                let end = if page.more { "and more are to come" } else { "and that is the end" };
                Err(format!("there are {total} entries, {had} have come, {end}; {AGAIN}"))
            }
            _ => Ok(!page.more),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { service: "S", limit: 3, deepest: 30, pages: 8, shorter: "ask for less" };

    /// A page of `list` as an honest service tells it.
    fn honest(list: &[u8], asked: Asked) -> Page<u8> {
        let entries: Vec<u8> = list.iter().skip(asked.offset).take(asked.limit).copied().collect();
        Page {
            more: list.len() > asked.offset + entries.len(),
            entries,
            offset: Some(asked.offset as u64),
            limit: Some(asked.limit as u64),
            total: Some(list.len() as u64),
        }
    }

    fn read(mut page: impl FnMut(Asked) -> Page<u8>) -> Result<Vec<u8>, String> {
        let whole = Whole::read("list", BOUNDS, |asked| Ok(page(asked)));
        whole.map(|whole| whole.into_iter().collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn lists_of_every_length_are_read_whole() {
        for length in 0..=20 {
            let list: Vec<u8> = (0..length).collect();
            assert_eq!(read(|asked| honest(&list, asked)), Ok(list.clone()));
            assert_eq!(read(|asked| Page { total: None, ..honest(&list, asked) }), Ok(list.clone()));
        }
        // A page may hold less than was asked for; what follows is asked for by what came.
        let list = [1, 2, 3, 4, 5];
        let short = |asked| {
            let page = honest(&list, Asked { limit: 1, ..asked });
            Page { limit: Some(3), ..page }
        };
        assert_eq!(read(short), Ok(list.to_vec()));
    }

    /// Each field of each page wrong in each way: never a list, and always why.
    #[test]
    fn a_page_that_is_not_the_one_asked_for_spoils_the_list() {
        type Change = fn(&mut Page<u8>);
        let changes: [(&str, Change); 12] = [
            ("does not say which `offset`", |page| page.offset = None),
            ("does not say which `limit`", |page| page.limit = None),
            ("the answer is for offset", |page| page.offset = page.offset.map(|offset| offset + 3)),
            ("the answer is for offset", |page| page.offset = page.offset.map(|offset| offset ^ 1)),
            ("the answer is for limit", |page| page.limit = Some(100)),
            ("the answer is for limit", |page| page.limit = Some(0)),
            ("entries on a page of at most 3", |page| page.entries.extend([9, 9, 9])),
            ("there are", |page| page.total = page.total.map(|total| total - 1)),
            ("there are", |page| page.total = page.total.map(|total| total + 1)),
            ("there are", |page| page.more = !page.more),
            ("there are", |page| page.total = Some(0)),
            ("there are", |page| page.total = Some(u64::MAX)),
        ];
        let list = [1, 2, 3, 4, 5, 6, 7];
        for (words, change) in changes {
            for spoilt in [0, 3, 6] {
                let page = |asked: Asked| {
                    let mut page = honest(&list, asked);
                    if asked.offset == spoilt {
                        change(&mut page);
                    }
                    page
                };
                let error = read(page).expect_err(words);
                assert!(error.starts_with("source-incomplete: /list: "), "{error}");
                assert!(error.contains(words) || error.contains("another one"), "{words}: {error}");
            }
        }
    }

    #[test]
    fn a_list_that_ends_too_soon_is_none() {
        let short = |asked: Asked| {
            let mut page = honest(&[1, 2, 3, 4], asked);
            page.entries.truncate(if page.more { 3 } else { 0 });
            page
        };
        assert!(read(short).unwrap_err().contains("there are 4 entries, 3 have come, and that is the end"));
    }

    #[test]
    fn a_chained_list_is_bounded_by_its_entries_and_its_pages() {
        let read = |step: usize, pages: usize| {
            let mut asked = 0;
            let whole = Whole::follow("list", |_| {
                asked += 1;
                let next = (asked < pages).then(|| asked.to_string());
                Ok::<_, ProviderError>(Leaf { entries: vec![7; step], next, total: None })
            });
            (whole.map(|whole| whole.entries().len()).map_err(|error| error.to_string()), asked)
        };
        assert_eq!(read(1_000, 50), (Ok(50_000), 50));
        let (error, asked) = read(1_000, 200);
        assert_eq!(asked, 51, "no more is asked for than is kept");
        assert!(error.unwrap_err().contains("/list: more than 50000 entries"));
        assert!(read(1, 201).0.unwrap_err().contains("more than 200 pages"));
    }

    #[test]
    fn a_list_that_never_ends_is_given_up() {
        let endless = |step: usize| {
            move |asked: Asked| Page { entries: vec![7; step], more: true, total: None, ..honest(&[], asked) }
        };
        assert!(read(endless(0)).unwrap_err().contains("an empty page says that more follow"));
        assert!(read(endless(1)).unwrap_err().contains("more than 8 pages; ask for less"));
        let deep = Whole::read("list", Bounds { pages: 99, ..BOUNDS }, |asked| {
            assert!(asked.offset + asked.limit <= 30);
            Ok(endless(3)(asked))
        });
        assert!(deep.unwrap_err().to_string().contains("S returns at most 30 entries"));
        let failing = |asked: Asked| match asked.offset {
            0 => Ok(Page { more: true, total: None, ..honest(&[1], asked) }),
            _ => Err(ProviderError::source("broken")),
        };
        assert_eq!(Whole::read("list", BOUNDS, failing), Err(ProviderError::source("broken")));
    }
}

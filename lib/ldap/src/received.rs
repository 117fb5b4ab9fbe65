//! One entry as a server sent it.
//!
//! Read here and not by ldap3, whose reader panics on an entry of another form and keeps the last of several lists of
//! values that one attribute has: an account could be shown as open after it was shown as disabled.

use std::collections::BTreeMap;

use ldap3::ResultEntry;
use ldap3::asn1::StructureTag;

/// A DN, and attributes with their values. Whatever came under one name, in whichever spelling, is together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Where the entry is.
    pub dn: String,
    /// By name: as it was first written, and all values.
    attributes: BTreeMap<String, (String, Vec<Vec<u8>>)>,
}

impl Received {
    /// Reads RFC 4511's SearchResultEntry; `None` if it is something else.
    pub fn read(item: ResultEntry) -> Option<Self> {
        let mut parts = item.0.match_id(4)?.expect_constructed()?.into_iter();
        let mut received = Self::at(&text(parts.next()?)?);
        for attribute in parts.next()?.expect_constructed()? {
            let mut parts = attribute.expect_constructed()?.into_iter();
            let name = text(parts.next()?)?;
            let values = parts.next()?.expect_constructed()?.into_iter();
            received.add(&name, values.map(StructureTag::expect_primitive).collect::<Option<_>>()?);
        }
        Some(received)
    }

    /// An entry at `dn` with nothing in it.
    pub fn at(dn: &str) -> Self {
        Self { dn: dn.to_string(), attributes: BTreeMap::new() }
    }

    /// Adds values of an attribute.
    pub fn add(&mut self, name: &str, values: Vec<Vec<u8>>) {
        let known = self.attributes.entry(name.to_ascii_lowercase());
        known.or_insert_with(|| (name.to_string(), Vec::new())).1.extend(values);
    }

    /// Takes those attributes out whose names are `wanted`.
    pub fn take(&mut self, wanted: impl Fn(&str) -> bool) -> Vec<(String, Vec<Vec<u8>>)> {
        let mut taken = Vec::new();
        self.attributes.retain(|_, (name, values)| {
            let stays = !wanted(name);
            if !stays {
                taken.push((std::mem::take(name), std::mem::take(values)));
            }
            stays
        });
        taken
    }

    /// The values of an attribute; none if it is not there.
    pub fn values(&self, name: &str) -> &[Vec<u8>] {
        self.attributes
            .get(&name.to_ascii_lowercase())
            .map(|(_, values)| values.as_slice())
            .unwrap_or_default()
    }

    /// The bytes that it takes, about.
    pub fn size(&self) -> usize {
        let values = self.attributes.values().flat_map(|(_, values)| values);
        values.map(Vec::len).fold(self.dn.len(), usize::saturating_add)
    }

    /// Every attribute with all of its values.
    pub fn into_attributes(self) -> impl Iterator<Item = (String, Vec<Vec<u8>>)> {
        self.attributes.into_values()
    }
}

fn text(tag: StructureTag) -> Option<String> {
    String::from_utf8(tag.expect_primitive()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ldap3::asn1::{PL, TagClass};

    fn tag(id: u64, payload: PL) -> StructureTag {
        StructureTag { class: TagClass::Universal, id, payload }
    }

    fn octets(text: &str) -> StructureTag {
        tag(4, PL::P(text.as_bytes().to_vec()))
    }

    fn entry(attributes: &[(&str, &[&str])]) -> ResultEntry {
        let attribute = |(name, values): &(&str, &[&str])| {
            let values = values.iter().map(|value| octets(value)).collect();
            tag(16, PL::C(vec![octets(name), tag(17, PL::C(values))]))
        };
        let attributes = tag(16, PL::C(attributes.iter().map(attribute).collect()));
        ResultEntry::new(tag(4, PL::C(vec![octets("cn=a,dc=x"), attributes])))
    }

    #[test]
    fn an_attribute_that_comes_twice_is_taken_together() {
        let twice =
            entry(&[("nsAccountLock", &["TRUE"]), ("uid", &["a"]), ("NSACCOUNTLOCK", &["FALSE", "x"])]);
        let mut wanted = Received::at("cn=a,dc=x");
        wanted.add("nsAccountLock", ["TRUE", "FALSE", "x"].map(|value| value.as_bytes().to_vec()).into());
        wanted.add("uid", vec![b"a".to_vec()]);
        assert_eq!(Received::read(twice), Some(wanted));
    }

    #[test]
    fn what_has_another_form_is_none() {
        let whole = entry(&[("uid", &["a"])]).0;
        let of = |id, payload| Received::read(ResultEntry::new(tag(id, payload)));
        let PL::C(parts) = whole.payload else { panic!() };
        assert!(of(4, PL::C(parts.clone())).is_some());
        assert!(of(5, PL::C(parts.clone())).is_none());
        assert!(of(4, PL::C(parts[..1].to_vec())).is_none());
        assert!(of(4, PL::C(Vec::new())).is_none());
        assert!(of(4, PL::P(Vec::new())).is_none());
        for odd in [
            octets("uid"),
            tag(16, PL::C(vec![octets("uid")])),
            tag(16, PL::C(vec![octets("uid"), octets("a")])),
        ] {
            assert!(of(4, PL::C(vec![parts[0].clone(), tag(16, PL::C(vec![odd]))])).is_none());
        }
        let no_text = tag(4, PL::P(vec![0xff]));
        assert!(of(4, PL::C(vec![no_text, parts[1].clone()])).is_none());
    }
}

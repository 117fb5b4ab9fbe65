//! What `config check` says of `[[policy.grant]]` by what is round it: people whose
//! signature counts and who have no key for it, and rules by which everybody lets in everybody.
//!
//! None of it makes a file wrong: a key may come later. The doctor says the first by itself.

use std::collections::BTreeSet;

use host::Config;
use host::config::references::{Kind, Reference, references};
use policy::{GrantRule, Quorum, Timestamp};
use signed::{Purpose, Signers};
use trust::Owner;

use crate::names::Remark;
use crate::sync;

/// Approvers in `text`, which is that of `config`, and those who let themselves in, who have no line in its grant-signers by
/// which their signature counts for that.
pub fn remarks(config: &Config, text: &[u8], now: Timestamp) -> Vec<Remark> {
    let Some(grants) = &config.grants else { return Vec::new() };
    // What comes from standard input has nothing beside it.
    if !config.path.is_file() {
        return Vec::new();
    }
    let signers = match trust::read(&grants.signers, Owner::Root, Signers::LARGEST as u64) {
        Ok(text) => Signers::parse(&text).0,
        Err(refusal) if refusal.is_missing() => Signers::default(),
        Err(_) => return Vec::new(),
    };
    let named = |purpose| -> BTreeSet<&str> {
        signers.current(purpose, now).map(|signer| signer.name.as_str()).collect()
    };
    let (sign, review) = (named(Purpose::Grant), named(Purpose::Review));
    let remark = |one: Reference| {
        let (named, purpose, so) = match one.kind {
            Kind::Signer => (&sign, Purpose::Grant, "nothing that they sign counts"),
            Kind::Reviewer => (&review, Purpose::Review, "they review nothing"),
            _ => return None,
        };
        (!named.contains(one.name.as_str())).then(|| Remark {
            line: one.line,
            text: format!(
                "{}: `{}` has no line in {} with namespaces=\"{}\", so {so}",
                one.setting,
                one.name,
                grants.signers.display(),
                purpose.namespace()
            ),
        })
    };
    references(text).into_iter().filter_map(remark).collect()
}

/// Rules by which one signature of anybody who may become root lets in any other of them: a line each.
pub fn notes(config: &Config, now: Timestamp) -> Vec<String> {
    let alone = config.rules.grants.iter().filter(|rule| rule.quorum == Quorum::One);
    let alone: Vec<&GrantRule> = alone.collect();
    // The copy is large.
    if alone.is_empty() {
        return Vec::new();
    }
    let Some(eligible) = sync::read_eligible(config, now).filter(|eligible| !eligible.is_empty()) else {
        return Vec::new();
    };
    let takes_all = |rule: &&&GrantRule| {
        eligible.iter().all(|name| rule.approvers.iter().any(|one| one.as_str() == name))
    };
    let note = |rule: &GrantRule| {
        format!(
            "[[policy.grant]] {}: everybody who may become root is an approver, and one of them is enough; \
             ask for two (`quorum = 2`), or name fewer",
            rule.name
        )
    };
    alone.iter().filter(takes_all).map(|rule| note(rule)).collect()
}

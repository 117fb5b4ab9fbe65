//! `[names]`: which person an account is of.

use policy::{Affix, Names};
use serde::Deserialize;
use toml::Spanned;

use super::values::{Problem, problem};

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NamesSection {
    strip: Vec<Spanned<String>>,
    fold_case: bool,
}

impl NamesSection {
    pub(super) fn check(&self) -> Result<Names, Problem> {
        let affix = |written: &Spanned<String>| {
            Affix::parse(written.get_ref()).ok_or_else(|| {
                let text = format!(
                    "`{}` is neither the end of an account's name (\"@example.com\") nor its beginning (\"EXAMPLE\\\\\")",
                    written.get_ref()
                );
                problem(written, text)
            })
        };
        Ok(Names {
            strip: self.strip.iter().map(affix).collect::<Result<_, _>>()?,
            fold_case: self.fold_case,
        })
    }
}

/// What an administrator should look at, although it is no mistake.
pub(super) fn remarks(names: &Names) -> Vec<String> {
    let (before, after): (Vec<_>, Vec<_>) =
        names.strip.iter().partition(|affix| matches!(affix, Affix::Before(_)));
    let several = |affixes: &[&Affix]| {
        let list: Vec<&str> = affixes.iter().map(|affix| affix.as_str()).collect();
        (list.len() > 1).then(|| {
            format!(
                "[names] strip has {}: people with the same name in two of these are one person here",
                list.join(" and ")
            )
        })
    };
    [several(&before), several(&after)].into_iter().flatten().collect()
}

//! A report as people and programs read it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use policy::Timestamp;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};

use super::contents::{Gap, Report};
use super::could::Right;
use super::login::{Certificate, Class, Count, Kind, Login};
use super::until::Until;
use crate::table::aligned;
use crate::when::When;

/// The most logins of a table; JSON and CSV have all of them.
const MOST_ROWS: usize = 500;

/// What is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Tables.
    Table,
    /// One document.
    Json,
    /// A row for each thing, with one head.
    Csv,
}

impl Report {
    /// The whole report.
    pub fn show(&self, form: Form) -> String {
        match form {
            Form::Table => self.table(),
            Form::Json => serde_json::to_string_pretty(&Document(self)).unwrap_or_default(),
            Form::Csv => self.csv(),
        }
    }

    /// Who would be refused if decisions were enforced.
    pub fn show_would_refuse(&self, form: Form) -> String {
        match form {
            Form::Table => self.would_refuse_table(),
            Form::Json => {
                let rows: Vec<Value> = counted_json(&self.logins.would_refuse).collect();
                format!("{:#}", self.document(json!({ "would_refuse": rows })))
            }
            Form::Csv => csv(self.counted_rows("would-refuse", &self.logins.would_refuse)),
        }
    }

    fn head(&self) -> String {
        let Self { host, period, .. } = self;
        format!("{host}, {} to {}", When(period.since, period.until), When(period.until, period.since))
    }

    fn table(&self) -> String {
        let mut text = format!("{}\n", self.head());
        self.could_section(&mut text);
        self.left_section(&mut text);
        for (class, title) in [
            (Class::OnCall, "who became root while on call"),
            (Class::BreakGlass, "let themselves in, by break-glass"),
            (Class::Grant, "let in by colleagues, with a grant"),
            (Class::Exempt, "by an exempt account or on the console"),
            (Class::Automation, "listed programs"),
            (Class::Observed, "let in only because nothing was enforced"),
        ] {
            self.login_section(&mut text, class, title);
        }
        self.counted_section(&mut text, "revoked, and tried", &self.logins.revoked);
        self.counted_section(&mut text, "refused", &self.logins.refused);
        self.counted_section(&mut text, "still there after their right had ended", &self.logins.would_end);
        let others = self.logins.not_ours;
        if others > 0 {
            let _ = writeln!(text, "\n{others} more logins were not guarded, or were root's own");
        }
        self.gap_section(&mut text);
        text.trim_end().to_string()
    }

    fn could_section(&self, text: &mut String) {
        let _ = writeln!(text, "\nwho could become root, as far as this host knew");
        let (rights, others): (Vec<_>, Vec<_>) =
            self.could.stretches().into_iter().partition(|right| self.takes(right));
        if rights.is_empty() {
            let _ = writeln!(text, "  nobody known");
        }
        self.push_rights(text, &rights);
        if self.could.policies > 0 {
            let _ = writeln!(text, "  the configuration changed {} times", self.could.policies);
        }
        if !self.are_rules_known() {
            let _ = writeln!(text, "  {RULES_UNKNOWN}");
        }
        for rule in &self.waiting {
            let _ = writeln!(text, "  {}", policy::OneLine::new(&format!("rule {rule} {WAITS}")));
        }
        if !others.is_empty() {
            let _ = writeln!(
                text,
                "\non call, but no rule of this host takes these shifts: nobody is root here by them"
            );
            self.push_rights(text, &others);
        }
    }

    fn push_rights(&self, text: &mut String, rights: &[Right]) {
        let mut rows = vec![["  PERSON", "FROM", "TO", "SCHEDULE", "LEVEL"].map(str::to_string)];
        rows.extend(rights.iter().take(MOST_ROWS).map(|right| {
            [
                format!("  {}", right.person),
                self.near(right.from),
                self.near(right.to),
                right.schedule.clone(),
                right.level.to_string(),
            ]
        }));
        push_table(text, rows, rights.len());
    }

    fn left_section(&self, text: &mut String) {
        let left = &self.could.left_out;
        if left.is_empty() {
            return;
        }
        let _ = writeln!(text, "\non call by the rota, and not here: left out by files of [[policy.rego]]");
        let mut rows =
            vec![["  PERSON", "FROM", "TO", "SCHEDULE", "LEVEL", "FILE", "WHY"].map(str::to_string)];
        rows.extend(left.iter().take(MOST_ROWS).map(|left| {
            [
                format!("  {}", left.person),
                self.near(left.from),
                self.near(left.to),
                left.schedule.clone(),
                left.level.to_string(),
                left.by.clone(),
                left.why_in_words(),
            ]
        }));
        push_table(text, rows, left.len());
    }

    fn login_section(&self, text: &mut String, class: Class, title: &str) {
        let logins: Vec<&Login> = self.logins.logins.iter().filter(|login| login.class == class).collect();
        if logins.is_empty() && class != Class::OnCall {
            return;
        }
        let _ = writeln!(text, "\n{title}");
        if logins.is_empty() {
            let _ = writeln!(text, "  nobody");
        }
        let head = ["  PERSON", "ACCOUNT", "SERVICE", "WHEN", "UNTIL", "FROM", "GROUND", "ID"];
        let mut rows = vec![head.map(str::to_string)];
        rows.extend(logins.iter().take(MOST_ROWS).map(|login| {
            let until = Until::of(login).told(|at| self.near(at));
            let ground = match (login.class, login.signed_ground()) {
                (_, ground) if ground.is_empty() => login.reason.clone(),
                // Why they would have been refused.
                (Class::Observed, ground) => format!("{}, {ground}", login.reason),
                (_, ground) => ground,
            };
            [
                format!("  {}", or_dash(&login.person)),
                login.account.clone(),
                login.service.clone(),
                self.near(login.decided),
                or_dash(&until),
                or_dash(if login.remote_host.is_empty() { &login.tty } else { &login.remote_host }),
                ground,
                login.id.clone(),
            ]
        }));
        push_table(text, rows, logins.len());
    }

    fn counted_section(&self, text: &mut String, title: &str, counts: &BTreeMap<Kind, Count>) {
        if counts.is_empty() {
            return;
        }
        let _ = writeln!(text, "\n{title}");
        self.push_counts(text, counts.iter());
    }

    fn push_counts<'a>(&self, text: &mut String, counts: impl Iterator<Item = (&'a Kind, &'a Count)>) {
        let mut counts: Vec<_> = counts.collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(count.count));
        let head = ["  WHO", "ACCOUNT", "SERVICE", "REASON", "COUNT", "LAST"];
        let mut rows = vec![head.map(str::to_string)];
        rows.extend(counts.iter().take(MOST_ROWS).map(|(kind, count)| {
            [
                format!("  {}", kind.who),
                kind.account.clone(),
                kind.service.clone(),
                kind.reason.clone(),
                count.count.to_string(),
                self.near(count.last),
            ]
        }));
        push_table(text, rows, counts.len());
    }

    fn would_refuse_table(&self) -> String {
        let mut text = format!("{}\n", self.head());
        let counts = &self.logins.would_refuse;
        for (is_person, title) in [
            (true, "people who would be refused"),
            (false, "programs, and others who are not in the directory"),
        ] {
            let _ = writeln!(text, "\n{title}");
            let of_kind = || counts.iter().filter(|(kind, _)| kind.is_person == is_person);
            if of_kind().next().is_none() {
                let _ = writeln!(text, "  nobody");
            } else {
                self.push_counts(&mut text, of_kind());
            }
        }
        self.gap_section(&mut text);
        text.trim_end().to_string()
    }

    fn gap_section(&self, text: &mut String) {
        if self.gaps.is_empty() {
            return;
        }
        let _ = writeln!(text, "\nwhat is not known");
        for gap in &self.gaps {
            let _ = writeln!(text, "  {}", policy::OneLine::new(&gap.to_string()));
        }
    }

    fn near(&self, at: Timestamp) -> String {
        // Always with its day: a report is read later.
        When(at, self.period.until.plus(policy::Span::hours(48))).to_string()
    }

    fn document(&self, more: Value) -> Value {
        let mut document = json!({
            "version": 1,
            "host": self.host,
            "since": self.period.since.to_string(),
            "until": self.period.until.to_string(),
            "gaps": self.gaps_text(),
        });
        if let (Some(fields), Value::Object(more)) = (document.as_object_mut(), more) {
            fields.extend(more);
        }
        document
    }

    fn gaps_text(&self) -> Vec<String> {
        self.gaps.iter().map(Gap::to_string).collect()
    }

    /// The shifts that a rule of this host takes, as far as is known; or those that none does.
    fn rights_json(&self, are_taken: bool) -> impl Iterator<Item = Value> {
        self.could.rights.iter().filter(move |right| self.takes(right) == are_taken).map(right_json)
    }

    fn late_json(&self) -> impl Iterator<Item = Value> {
        self.could.late.iter().map(|late| {
            let mut late_right = right_json(&late.right);
            if let Some(fields) = late_right.as_object_mut() {
                fields.insert("seen".to_string(), late.seen.to_string().into());
            }
            late_right
        })
    }

    fn ended_json(&self) -> impl Iterator<Item = Value> {
        self.logins.ended.iter().map(|ended| {
            json!({
                "at": ended.at.to_string(),
                "person": some(&ended.person),
                "account": ended.account,
                "cause": ended.cause,
                "by": some(&ended.by),
            })
        })
    }

    fn left_json(&self) -> impl Iterator<Item = Value> {
        self.could.left_out.iter().map(|left| {
            json!({
                "person": left.person,
                "schedule": left.schedule,
                "level": left.level,
                "from": left.from.to_string(),
                "to": left.to.to_string(),
                "by": left.by,
                "why": left.why,
            })
        })
    }

    fn logins_json(&self) -> impl Iterator<Item = Value> {
        let instant = |at: Option<Timestamp>| at.map(|at| at.to_string());
        self.logins.logins.iter().map(move |login| {
            json!({
                "class": login.class.token(),
                "id": login.id,
                "person": some(&login.person),
                "account": login.account,
                "service": login.service,
                "rhost": some(&login.remote_host),
                "tty": some(&login.tty),
                "fingerprint": some(&login.fingerprint),
                "certificate": login.certificate.as_ref().map(certificate_json),
                "reason": login.reason,
                "ground": some(&login.ground()),
                "incident": some(&login.incident),
                "grant": some(&login.grant),
                "approvers": login.approvers.split(',').filter(|name| !name.is_empty()).collect::<Vec<_>>(),
                "decided": login.decided.to_string(),
                "opened": instant(login.opened),
                "closed": instant(login.closed),
                "booted": instant(login.booted),
            })
        })
    }

    fn csv(&self) -> String {
        let mut rows = Vec::new();
        for right in &self.could.rights {
            rows.push(Row {
                kind: if self.takes(right) { "could" } else { "untaken" },
                who: right.person.clone(),
                from: right.from.to_string(),
                to: right.to.to_string(),
                ground: right.schedule.clone(),
                ..Row::default()
            });
        }
        rows.extend(self.could.left_out.iter().map(|left| Row {
            kind: "left-out",
            who: left.person.clone(),
            from: left.from.to_string(),
            to: left.to.to_string(),
            reason: format!("{} by {}", left.why_in_words(), left.by),
            ground: left.schedule.clone(),
            ..Row::default()
        }));
        for login in &self.logins.logins {
            rows.push(Row {
                kind: login.class.token(),
                who: login.person.clone(),
                account: login.account.clone(),
                service: login.service.clone(),
                place: login.remote_host.clone(),
                tty: login.tty.clone(),
                fingerprint: login.fingerprint.clone(),
                from: login.opened.unwrap_or(login.decided).to_string(),
                to: login.closed.map(|closed| closed.to_string()).unwrap_or_default(),
                reason: login.reason.clone(),
                ground: login.signed_ground(),
                id: login.id.clone(),
                ..Row::default()
            });
        }
        rows.extend(self.counted_rows("refused", &self.logins.refused));
        rows.extend(self.counted_rows("revoked", &self.logins.revoked));
        rows.extend(self.counted_rows("would-refuse", &self.logins.would_refuse));
        rows.extend(self.counted_rows("would-end", &self.logins.would_end));
        rows.extend(self.gaps.iter().map(|gap| Row {
            kind: "gap",
            reason: gap.to_string(),
            ..Row::default()
        }));
        csv(rows)
    }

    fn counted_rows(&self, name: &'static str, counts: &BTreeMap<Kind, Count>) -> Vec<Row> {
        let row = |(kind, count): (&Kind, &Count)| Row {
            kind: name,
            who: kind.who.clone(),
            account: kind.account.clone(),
            service: kind.service.clone(),
            from: count.first.to_string(),
            to: count.last.to_string(),
            reason: kind.reason.clone(),
            count: count.count.to_string(),
            ..Row::default()
        };
        counts.iter().map(row).collect()
    }
}

/// What is said where the configuration has changed since the period began.
const RULES_UNKNOWN: &str =
    "the configuration has changed since then, and whose shifts it took before is not known: all are shown";

/// What is said of a rule that waits for an incident, behind its name.
pub const WAITS: &str =
    "waits for an incident: by it nobody could be root without one, and when one was open is not recorded";

fn right_json(right: &Right) -> Value {
    json!({
        "person": right.person,
        "schedule": right.schedule,
        "level": right.level,
        "from": right.from.to_string(),
        "to": right.to.to_string(),
    })
}

fn certificate_json(certificate: &Certificate) -> Value {
    let Certificate { authority, serial, key_id } = certificate;
    json!({ "authority": authority, "serial": serial, "key_id": key_id })
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".to_string() } else { text.to_string() }
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn push_table<const COLUMNS: usize>(text: &mut String, rows: Vec<[String; COLUMNS]>, all: usize) {
    if all > 0 {
        text.push_str(&aligned(&rows));
    }
    if all > MOST_ROWS {
        let _ = writeln!(text, "  and {} more; --json and --csv have all of them", all - MOST_ROWS);
    }
}

fn counted_json(counts: &BTreeMap<Kind, Count>) -> impl Iterator<Item = Value> {
    let one = |(kind, count): (&Kind, &Count)| {
        json!({
            "who": kind.who,
            "person": kind.is_person,
            "account": kind.account,
            "service": kind.service,
            "reason": kind.reason,
            "count": count.count,
            "first": count.first.to_string(),
            "last": count.last.to_string(),
        })
    };
    counts.iter().map(one)
}

/// The whole report as JSON, with its keys in the order of serde_json's own maps. Row by row: a value for every row at
/// once takes many times what the rows do.
struct Document<'a>(&'a Report);

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Report { host, period, could, logins, .. } = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("could", &Rows(|| self.0.rights_json(true)))?;
        map.serialize_entry("ended", &Rows(|| self.0.ended_json()))?;
        map.serialize_entry("gaps", &self.0.gaps_text())?;
        map.serialize_entry("host", host)?;
        map.serialize_entry("incident_rules", &self.0.waiting)?;
        map.serialize_entry("late", &Rows(|| self.0.late_json()))?;
        map.serialize_entry("left_out", &Rows(|| self.0.left_json()))?;
        map.serialize_entry("logins", &Rows(|| self.0.logins_json()))?;
        map.serialize_entry("not_ours", &logins.not_ours)?;
        map.serialize_entry("policy_changes", &could.policies)?;
        map.serialize_entry("refused", &Rows(|| counted_json(&logins.refused)))?;
        map.serialize_entry("revoked", &Rows(|| counted_json(&logins.revoked)))?;
        map.serialize_entry("since", &period.since.to_string())?;
        map.serialize_entry(
            "untaken",
            &self.0.are_rules_known().then_some(Rows(|| self.0.rights_json(false))),
        )?;
        map.serialize_entry("until", &period.until.to_string())?;
        map.serialize_entry("version", &1)?;
        map.serialize_entry("would_end", &Rows(|| counted_json(&logins.would_end)))?;
        map.serialize_entry("would_refuse", &Rows(|| counted_json(&logins.would_refuse)))?;
        map.end()
    }
}

/// Rows that are made one by one.
struct Rows<F>(F);

impl<F: Fn() -> I, I: Iterator<Item = Value>> Serialize for Rows<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

/// One row of a spreadsheet.
#[derive(Debug, Default)]
struct Row {
    kind: &'static str,
    who: String,
    account: String,
    service: String,
    place: String,
    tty: String,
    fingerprint: String,
    from: String,
    to: String,
    reason: String,
    ground: String,
    count: String,
    id: String,
}

fn csv(rows: Vec<Row>) -> String {
    let mut text =
        "kind,who,account,service,rhost,tty,fingerprint,from,to,reason,ground,count,id".to_string();
    for row in rows {
        let Row { kind, who, account, service, place, tty, fingerprint, from, to, reason, ground, count, id } =
            row;
        let cells = [
            kind.to_string(),
            who,
            account,
            service,
            place,
            tty,
            fingerprint,
            from,
            to,
            reason,
            ground,
            count,
            id,
        ];
        let cells: Vec<String> = cells.iter().map(|text| cell(text)).collect();
        let _ = write!(text, "\n{}", cells.join(","));
    }
    text
}

/// One cell, as RFC 4180 quotes. What a spreadsheet would take for a formula is made text: names of terminals and
/// hosts are whatever others sent.
fn cell(text: &str) -> String {
    let formula = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    let needs_quotes = text.contains([',', '"', '\n', '\r']);
    let text = format!("{formula}{text}");
    if needs_quotes { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_text_whatever_is_in_it() {
        for (text, written) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("a\"b\n", "\"a\"\"b\n\""),
            ("=HYPERLINK(1,2)", "\"'=HYPERLINK(1,2)\""),
            ("-1", "'-1"),
        ] {
            assert_eq!(cell(text), written);
        }
    }
}

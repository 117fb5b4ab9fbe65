//! Who could be root and who was, drawn: a lane for each person of each schedule, and one for whoever came in otherwise.
//!
//! Positions are parts of the width in percent, so that letters keep their size on a narrow screen.

use std::collections::BTreeMap;

use maud::{Markup, html};
use policy::Timestamp;

use super::super::contents::Report;
use super::super::login::{Class, Count, Kind, Login};
use super::super::period::Period;
use super::super::until::Until;
use super::marks::{Mark, What};
use super::outlived::Outlived;
use super::people::{People, shown};
use super::story::{UNTAKEN, clock, moment, reason};

/// The most lanes of one group, and the most groups: a schedule each.
const MOST_LANES: usize = 40;
const MOST_GROUPS: usize = 20;

/// What is nearer to its neighbour than this part of the time is drawn with it: a hair's breadth on a wide screen. Where there
/// are many lanes the part is larger, so that all of them together have no more bars of a kind than [`MOST_BARS`].
const PARTS: i64 = 400;
const FEWEST_PARTS: i64 = 40;
const MOST_BARS: i64 = 8_000;

/// The same for signs, which are as wide as letters.
const SIGN_PARTS: i64 = 60;

/// The most lines across, and their distances: a minute to a quarter of a year.
const MOST_TICKS: i64 = 8;
const STEPS: [i64; 15] = [
    60, 300, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800, 1_209_600,
    2_592_000, 7_862_400,
];

/// The lanes of a group by who has them.
type Lanes = BTreeMap<String, Vec<Mark>>;

/// All that is drawn.
pub struct Timeline<'r> {
    period: Period,
    /// Until when something can have happened: the end of the time, or now.
    end: Timestamp,
    people: &'r People,
    /// By schedule.
    shifts: BTreeMap<String, Lanes>,
    others: Lanes,
    programs: Vec<Mark>,
    /// Between which instants records are missing.
    missing: Vec<(Timestamp, Timestamp)>,
    /// Into how many parts the time is divided.
    parts: i64,
}

impl<'r> Timeline<'r> {
    /// Of what is in `report`, as far as something can have happened by `now`.
    pub fn of(report: &Report, people: &'r People, outlived: &[Outlived], now: Timestamp) -> Self {
        let end = report.period.until.min(now);
        let (shifts, others, programs) = (BTreeMap::new(), Lanes::new(), Vec::new());
        let period = report.period;
        let is_seen = |(from, to): &&(Timestamp, Timestamp)| *from < period.until && *to >= period.since;
        let missing = report.logins.missing.iter().filter(is_seen).copied().collect();
        let mut timeline = Self { period, end, people, shifts, others, programs, missing, parts: PARTS };
        timeline.rota(report);
        report.logins.logins.iter().for_each(|login| timeline.login(login));
        let logins = &report.logins;
        // Where revoked people were let in, what they did is drawn as a login.
        let revoked = logins.revoked.iter().filter(|(_, count)| count.let_in == 0);
        let revoked = revoked.map(|(kind, count)| (kind, count, What::Revoked));
        let refused = logins.refused.iter().map(|(kind, count)| (kind, count, What::Refused));
        for (kind, count, what) in refused.chain(revoked) {
            let lane = timeline.others.entry(people.name(&kind.who)).or_default();
            lane.extend(tries(kind, count, what, timeline.period));
        }
        outlived.iter().for_each(|it| timeline.outlived(it));
        let groups = timeline.shifts.values().chain([&timeline.others]);
        let mut lanes: Vec<usize> = groups.map(|lanes| lanes.len().min(MOST_LANES)).collect();
        lanes.sort_unstable();
        let drawn = lanes.iter().rev().take(MOST_GROUPS + 1).sum::<usize>();
        let drawn = i64::try_from(drawn).unwrap_or(i64::MAX);
        timeline.parts = (MOST_BARS / drawn.max(1)).clamp(FEWEST_PARTS, PARTS);
        timeline
    }

    /// The shifts: those that count, those that do not, and those that this host learned of late.
    fn rota(&mut self, report: &Report) {
        for right in report.could.stretches() {
            let (what, told) =
                if report.takes(&right) { (What::Could, "could be root") } else { (What::Untaken, UNTAKEN) };
            let title = format!("{told}: {} to {}", moment(right.from), moment(right.to));
            self.lane(&right.schedule, &right.person).push(Mark::bar(right.from, right.to, what, title));
        }
        for left in &report.could.left_out {
            let (why, by) = (self.people.label(&left.why_in_words()), self.people.label(&left.by));
            let title = format!("{why} by {by}: {} to {}", moment(left.from), moment(left.to));
            self.lane(&left.schedule, &left.person).push(Mark::bar(left.from, left.to, What::LeftOut, title));
        }
        for late in &report.could.late {
            let title = format!("this host first saw the shift at {}", moment(late.seen));
            let lane = self.lane(&late.right.schedule, &late.right.person);
            lane.push(Mark::sign(late.seen, What::Late, title));
        }
    }

    fn outlived(&mut self, it: &Outlived) {
        let Outlived { login, since } = it;
        let to = Until::of(login).latest(self.end).unwrap_or(*since);
        let may =
            if it.is_certain() { "session open" } else { "no end recorded: session may have been open" };
        let title = format!("{may} after the right had ended at {}", moment(*since));
        let person = self.people.name(&login.person);
        let lane = match login.class {
            Class::OnCall => self.lane(&login.schedule, &login.person),
            _ => self.others.entry(person).or_default(),
        };
        lane.push(Mark { is_open: !it.is_certain(), ..Mark::bar(*since, to, What::Outlived, title) });
    }

    fn lane(&mut self, schedule: &str, person: &str) -> &mut Vec<Mark> {
        let (schedule, person) = (self.people.label(schedule), self.people.name(person));
        self.shifts.entry(schedule).or_default().entry(person).or_default()
    }

    fn login(&mut self, login: &Login) {
        let (from, until) = (login.opened.unwrap_or(login.decided), Until::of(login));
        let (to, what) = (until.latest(self.end).unwrap_or(from), What::of(login.class));
        let is_open = until.is_unrecorded();
        let ended = match until {
            Until::Unsaid => String::new(),
            Until::At(_) => format!(" to {}", until.seen_from(from)),
            until => format!(", {}", until.seen_from(from)),
        };
        let (account, service) = (self.people.label(&login.account), shown(&login.service));
        let title = format!("{account} by {service}: {}{ended}", moment(from));
        let drawn = Mark { is_open, ..Mark::bar(from, to, what, title.clone()) };
        let open = is_open.then(|| Mark::sign(to, What::Unsure, title.clone()));
        let at = what.sign().map(|_| Mark::sign(from, what, title.clone()));
        let lane = match login.class {
            Class::Automation => &mut self.programs,
            Class::OnCall if !login.schedule.is_empty() => self.lane(&login.schedule, &login.person),
            _ => self.others.entry(self.people.name(&login.person)).or_default(),
        };
        lane.push(drawn);
        lane.extend(at);
        lane.extend(open);
    }

    /// The drawing.
    pub fn draw(&self) -> Markup {
        html! {
            div.timeline {
                (self.axis())
                @for (schedule, lanes) in first(&self.shifts, MOST_GROUPS, |lanes| lanes.values().flatten().map(|mark| mark.what.weight()).min()) {
                    (self.group(schedule, lanes))
                }
                @if self.shifts.len() > MOST_GROUPS {
                    p.more { "and " (self.shifts.len() - MOST_GROUPS) " more schedules, in the tables below" }
                }
                @if !self.others.is_empty() { (self.group("let in otherwise than by a shift, or refused", &self.others)) }
                @if !self.programs.is_empty() {
                    h3 { "programs" }
                    (self.drawn("all listed programs", &self.programs))
                }
            }
            (self.legend())
        }
    }

    fn group(&self, title: &str, lanes: &Lanes) -> Markup {
        html! {
            h3 { (title) }
            @for (who, marks) in first(lanes, MOST_LANES, |marks| marks.iter().map(|mark| mark.what.weight()).min()) { (self.drawn(who, marks)) }
            @if lanes.len() > MOST_LANES {
                p.more { "and " (lanes.len() - MOST_LANES) " more people, in the tables below" }
            }
        }
    }

    fn drawn(&self, who: &str, marks: &[Mark]) -> Markup {
        let (bars, signs): (Vec<_>, Vec<_>) =
            self.together(marks).into_iter().partition(|mark| !mark.is_sign);
        let said = format!("{who}: {} marks, told in the list below", bars.len() + signs.len());
        html! {
            div.lane {
                span.who { (who) }
                svg role="img" aria-label=(said) {
                    @for at in self.ticks() { line.tick x1=(self.percent(at)) x2=(self.percent(at)) y1="0" y2="100%" {} }
                    @for bar in &bars {
                        @let (y, height) = if bar.what.is_band() { ("2", "22") } else { ("8", "10") };
                        rect class={ (bar.what.class()) @if bar.is_open { " open" } } x=(self.percent(bar.from)) y=(y) width=(self.width(bar)) height=(height) rx="2" { title { (bar.title) (bar.drawn_with()) } }
                    }
                    (self.gaps())
                    @for sign in &signs {
                        text class=(sign.what.class()) x=(self.percent(sign.from)) y="18" text-anchor=(self.anchor(sign)) { (sign.what.sign().unwrap_or_default()) @if sign.what.is_counted() && sign.count > 1 { (sign.count) } title { (sign.title) (sign.drawn_with()) } }
                    }
                }
            }
        }
    }

    /// Where records are missing, in a lane.
    fn gaps(&self) -> Markup {
        html! {
            @for (from, to) in &self.missing {
                rect.missing x=(self.percent(*from)) y="0" width=(percent(self.place(*to) - self.place(*from))) height="100%" fill="url(#hatched)" {
                    title { "records are missing: " (moment(*from)) " to " (clock(*to, *from)) }
                }
            }
        }
    }

    /// A sign is beside what it is of: before a beginning, behind an end. At the edges it is on the inner side of its place.
    fn anchor(&self, sign: &Mark) -> &'static str {
        match (sign.what, self.place(sign.from)) {
            (_, ..3_000) => "start",
            (_, 97_001..) | (What::Grant | What::BreakGlass | What::Late, _) => "end",
            (What::Unsure, _) => "start",
            _ => "middle",
        }
    }

    /// In order, those that cannot be told from their neighbours drawn with them; bands first, since they are behind.
    fn together(&self, marks: &[Mark]) -> Vec<Mark> {
        let mut alike: BTreeMap<(What, bool, bool), Vec<Mark>> = BTreeMap::new();
        let mut sorted: Vec<&Mark> = marks.iter().collect();
        sorted.sort();
        for mark in sorted {
            let near = self.span() / if mark.is_sign { SIGN_PARTS } else { self.parts };
            let same = alike.entry((mark.what, mark.is_sign, mark.is_open)).or_default();
            match same.last_mut() {
                // Two shifts that can be seen are two.
                Some(last)
                    if mark.from.since(last.to).as_seconds() <= near
                        && !(mark.what.is_band() && self.is_wide(last) && self.is_wide(mark)) =>
                {
                    last.to = last.to.max(mark.to);
                    last.count += mark.count;
                }
                _ => same.push(mark.clone()),
            }
        }
        alike.into_values().flatten().collect()
    }

    /// What each kind of mark is: of those that are drawn.
    fn legend(&self) -> Markup {
        let lanes = self.shifts.values().flat_map(BTreeMap::values).chain(self.others.values());
        let marks: Vec<&Mark> = lanes.chain([&self.programs]).flatten().collect();
        let has = |what: What| what == What::Could || marks.iter().any(|mark| mark.what == what);
        let outlived =
            |is_open| marks.iter().any(|mark| mark.what == What::Outlived && mark.is_open == is_open);
        let of = |is_bar| What::ALL.into_iter().filter(move |what| what.is_bar() == is_bar && has(*what));
        let sign = |what: What| {
            let sign = what.sign();
            html! { @if let Some(sign) = sign { span class={ "sign " (what.class()) } aria-hidden="true" { (sign) } } }
        };
        html! {
            ul.legend {
                @for what in of(true).filter(|what| *what != What::Outlived) {
                    li { (sign(what)) (key(what, false)) (what.told()) }
                }
                @if outlived(false) { li { (key(What::Outlived, false)) (What::Outlived.told()) } }
                @if outlived(true) {
                    li { (key(What::Outlived, true)) "the same, if it was open: no end recorded" }
                }
                @for what in of(false) {
                    li { @if what == What::Unsure { (key(What::OnCall, true)) } (sign(what)) (what.told()) }
                }
                @if !self.missing.is_empty() {
                    li { svg.key aria-hidden="true" { rect.missing x="1" y="1" width="20" height="12" fill="url(#hatched)" {} } "records are missing: of whom is not known" }
                }
            }
        }
    }

    fn span(&self) -> i64 {
        self.period.until.since(self.period.since).as_seconds().max(1)
    }

    /// Where an instant is, in thousandths of a percent.
    fn place(&self, at: Timestamp) -> i64 {
        let at = at.max(self.period.since).min(self.period.until);
        let passed = i128::from(at.since(self.period.since).as_seconds());
        i64::try_from(passed * 100_000 / i128::from(self.span())).unwrap_or(0)
    }

    fn percent(&self, at: Timestamp) -> String {
        percent(self.place(at))
    }

    /// Can it be told from what is beside it?
    fn is_wide(&self, mark: &Mark) -> bool {
        mark.to.since(mark.from).as_seconds() > self.span() / self.parts
    }

    fn width(&self, mark: &Mark) -> String {
        percent(self.place(mark.to) - self.place(mark.from))
    }

    /// From one line across to the next.
    fn step(&self) -> i64 {
        let fitting = STEPS.into_iter().find(|step| self.span() / step <= MOST_TICKS);
        fitting.unwrap_or(self.span() / MOST_TICKS)
    }

    /// The instants at which a line is drawn across.
    fn ticks(&self) -> impl Iterator<Item = Timestamp> {
        let (step, until) = (self.step(), self.period.until);
        let first = (self.period.since.unix().div_euclid(step) + 1) * step;
        let instants = (0..=MOST_TICKS).map(move |number| first + number * step);
        instants.map(Timestamp::from_unix).take_while(move |at| *at < until)
    }

    /// What is written at an instant: the time of day, at midnight with the day; the day alone where lines are days apart.
    fn label(&self, at: Timestamp) -> String {
        let text = moment(at);
        let (day, time) = text.split_once(' ').unwrap_or((&text, ""));
        match time.get(..5) {
            Some("00:00") if self.step() < 86_400 => format!("{day} 00:00"),
            Some(time) if self.step() < 86_400 => time.to_string(),
            _ => day.to_string(),
        }
    }

    fn axis(&self) -> Markup {
        let edges = [(self.period.since, "start"), (self.period.until, "end")]
            .map(|(at, anchor)| (at, anchor, self.label(at)));
        // A letter is less than a hundredth of the width; what is in the middle has half of its letters on each side.
        let room =
            |edge: &str, label: &str| i64::try_from(edge.len() + label.len() / 2).unwrap_or(0) * 800 + 1_000;
        let has_room = |(at, label): &(Timestamp, String)| {
            let [first, last] = &edges;
            (room(&first.2, label)..100_000 - room(&last.2, label)).contains(&self.place(*at))
        };
        let all = self.ticks().map(|at| (at, self.label(at)));
        let ticks: Vec<_> = all.filter(has_room).collect();
        html! {
            div.lane {
                span.who { "UTC" }
                svg.axis aria-hidden="true" {
                    defs {
                        pattern id="hatched" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                            line.hatch x1="0" y1="0" x2="0" y2="6" {}
                        }
                    }
                    @for (at, anchor, label) in &edges { text.edge x=(self.percent(*at)) y="16" text-anchor=(anchor) { (label) } }
                    @for (number, (at, label)) in ticks.iter().enumerate() {
                        text.odd[number % 2 == 1] x=(self.percent(*at)) y="16" text-anchor="middle" { (label) }
                    }
                }
            }
        }
    }
}

/// A bar of the legend.
fn key(what: What, is_open: bool) -> Markup {
    html! {
        svg.key aria-hidden="true" { rect class={ (what.class()) @if is_open { " open" } } x="1" y="2" width="20" height="10" rx="2" {} }
    }
}

/// The `most` of `all` that somebody should see first, by the least `weight` in each; in the order of their names.
fn first<T>(
    all: &BTreeMap<String, T>,
    most: usize,
    weight: impl Fn(&T) -> Option<u8>,
) -> impl Iterator<Item = (&String, &T)> {
    let mut sorted: Vec<_> = all.iter().collect();
    sorted.sort_by_key(|(_, one)| weight(one).unwrap_or(u8::MAX));
    sorted.truncate(most);
    sorted.sort_by_key(|(name, _)| *name);
    sorted.into_iter()
}

/// The first and the last of what is counted; one sign where they are too near to each other to be told apart.
fn tries(kind: &Kind, count: &Count, what: What, period: Period) -> Vec<Mark> {
    let (first, last) = (count.first, count.last);
    let why = format!("refused by {}, {}", shown(&kind.service), reason(&kind.reason));
    let sign = |at, count, title| Mark { count, ..Mark::sign(at, what, title) };
    let span = period.until.since(period.since).as_seconds();
    if last.since(first).as_seconds() <= span / SIGN_PARTS {
        return vec![sign(first, count.count, format!("{why}: {}", moment(first)))];
    }
    let title = format!("{why}: {} times, {} to {}", count.count, moment(first), clock(last, first));
    vec![sign(first, 1, title.clone()), sign(last, 1, title)]
}

fn percent(thousandths: i64) -> String {
    format!("{}.{:03}%", thousandths / 1_000, thousandths % 1_000)
}

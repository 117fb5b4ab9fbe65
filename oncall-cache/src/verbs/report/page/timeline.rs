//! Who could be root and who was, drawn: a lane for each person of each schedule, and one for whoever came in otherwise.
//!
//! Positions are parts of the width in percent, so that letters keep their size on a narrow screen.

use std::collections::BTreeMap;

use maud::{Markup, html};
use policy::Timestamp;

use super::super::contents::Report;
use super::super::login::{Class, Login};
use super::super::period::Period;
use super::outlived::Outlived;
use super::people::People;
use super::story::{Tone, clock, moment, reason};

/// The most lanes of one group.
const MOST_LANES: usize = 40;

/// What is nearer to its neighbour than this part of the time is drawn with it.
const PARTS: i64 = 400;

/// The most lines across, and their distances: a minute to a quarter of a year.
const MOST_TICKS: i64 = 8;
const STEPS: [i64; 15] = [
    60, 300, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800, 1_209_600,
    2_592_000, 7_862_400,
];

/// What is drawn from one instant to another, or at one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Mark {
    from: Timestamp,
    to: Timestamp,
    class: &'static str,
    /// A letter or sign, where it is no bar.
    sign: &'static str,
    title: String,
    /// How many are drawn together.
    count: usize,
}

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
}

impl<'r> Timeline<'r> {
    /// Of what is in `report`, as far as something can have happened by `now`.
    pub fn of(report: &Report, people: &'r People, outlived: &[Outlived], now: Timestamp) -> Self {
        let end = report.period.until.min(now);
        let (shifts, others, programs) = (BTreeMap::new(), Lanes::new(), Vec::new());
        let mut timeline = Self { period: report.period, end, people, shifts, others, programs };
        for right in report.could.stretches() {
            let title = format!("could be root: {} to {}", moment(right.from), moment(right.to));
            let lane = timeline.lane(&right.schedule, &right.person);
            lane.push(mark(right.from, right.to, "could", title));
        }
        for late in &report.could.late {
            let title = format!("came into the rota at {}", moment(late.seen));
            let lane = timeline.lane(&late.right.schedule, &late.right.person);
            lane.push(Mark { sign: "▾", ..mark(late.seen, late.seen, "late", title) });
        }
        report.logins.logins.iter().for_each(|login| timeline.login(login));
        let logins = &report.logins;
        for (kind, count) in logins.refused.iter().chain(&logins.revoked) {
            let who = people.name(&kind.who);
            let title =
                format!("refused by {}, {}: {}", kind.service, reason(&kind.reason), moment(count.first));
            let lane = timeline.others.entry(who).or_default();
            let sign =
                |at| Mark { sign: "×", title: title.clone(), ..mark(at, at, "refused", String::new()) };
            lane.push(sign(count.first));
            lane.extend((count.last > count.first).then(|| sign(count.last)));
        }
        for Outlived { login, since } in outlived {
            let to = login.closed.unwrap_or(end);
            let title = format!("session open after the right had ended at {}", moment(*since));
            let person = people.name(&login.person);
            let lane = match login.class {
                Class::OnCall => timeline.lane(&login.schedule, &login.person),
                _ => timeline.others.entry(person).or_default(),
            };
            lane.push(mark(*since, to, "outlived", title));
        }
        timeline
    }

    fn lane(&mut self, schedule: &str, person: &str) -> &mut Vec<Mark> {
        let (schedule, person) = (self.people.label(schedule), self.people.name(person));
        self.shifts.entry(schedule).or_default().entry(person).or_default()
    }

    fn login(&mut self, login: &Login) {
        let from = login.opened.unwrap_or(login.decided);
        let to = match (login.opened, login.closed) {
            (_, Some(closed)) => closed,
            (Some(_), None) => self.end,
            (None, None) => from,
        };
        let class = Tone::of(login.class).word();
        let title =
            format!("{} by {}: {} to {}", login.account, login.service, moment(from), clock(to, from));
        let title = self.people.label(&title);
        let drawn = mark(from, to, class, title);
        let is_special = matches!(login.class, Class::Grant | Class::BreakGlass);
        let sign = if login.class == Class::BreakGlass { "!" } else { "+" };
        let at = is_special.then(|| Mark { sign, ..mark(from, from, class, drawn.title.clone()) });
        let lane = match login.class {
            Class::Automation => &mut self.programs,
            Class::OnCall if !login.schedule.is_empty() => self.lane(&login.schedule, &login.person),
            _ => self.others.entry(self.people.name(&login.person)).or_default(),
        };
        lane.push(drawn);
        lane.extend(at);
    }

    /// The drawing.
    pub fn draw(&self) -> Markup {
        html! {
            div.timeline {
                (self.axis())
                @for (schedule, lanes) in &self.shifts { (self.group(schedule, lanes)) }
                @if !self.others.is_empty() { (self.group("without a shift", &self.others)) }
                @if !self.programs.is_empty() {
                    h3 { "programs" }
                    (self.drawn("all listed programs", &self.programs))
                }
            }
            (legend())
        }
    }

    fn group(&self, title: &str, lanes: &Lanes) -> Markup {
        html! {
            h3 { (title) }
            @for (who, marks) in lanes.iter().take(MOST_LANES) { (self.drawn(who, marks)) }
            @if lanes.len() > MOST_LANES {
                p.more { "and " (lanes.len() - MOST_LANES) " more people, in the tables below" }
            }
        }
    }

    fn drawn(&self, who: &str, marks: &[Mark]) -> Markup {
        let (bars, signs): (Vec<_>, Vec<_>) =
            self.together(marks).into_iter().partition(|mark| mark.sign.is_empty());
        let said = format!("{who}: {} marks, told in the list below", bars.len() + signs.len());
        html! {
            div.lane {
                span.who { (who) }
                svg role="img" aria-label=(said) {
                    @for (at, _) in self.ticks() { line.tick x1=(self.percent(at)) x2=(self.percent(at)) y1="0" y2="100%" {} }
                    @for bar in &bars {
                        @let (y, height) = if bar.class == "could" { ("2", "22") } else { ("8", "10") };
                        rect class=(bar.class) x=(self.percent(bar.from)) y=(y) width=(self.width(bar)) height=(height) rx="2" { title { (bar.title) (drawn_with(bar)) } }
                    }
                    @for sign in &signs {
                        text class=(sign.class) x=(self.percent(sign.from)) y="18" text-anchor="middle" { (sign.sign) title { (sign.title) (drawn_with(sign)) } }
                    }
                }
            }
        }
    }

    /// In order, those that cannot be told from their neighbours drawn with them; bands first, since they are behind.
    fn together(&self, marks: &[Mark]) -> Vec<Mark> {
        let near = self.span() / PARTS;
        let mut alike: BTreeMap<(u8, &str, &str), Vec<Mark>> = BTreeMap::new();
        let mut sorted: Vec<&Mark> = marks.iter().collect();
        sorted.sort();
        for mark in sorted {
            let order = match mark.class {
                "could" => 0,
                "outlived" => 2,
                _ => 1,
            };
            let same = alike.entry((order, mark.class, mark.sign)).or_default();
            match same.last_mut() {
                Some(last) if mark.from.since(last.to).as_seconds() <= near && mark.class != "could" => {
                    last.to = last.to.max(mark.to);
                    last.count += mark.count;
                }
                _ => same.push(mark.clone()),
            }
        }
        alike.into_values().flatten().collect()
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

    fn width(&self, mark: &Mark) -> String {
        percent(self.place(mark.to) - self.place(mark.from))
    }

    /// The instants at which a line is drawn across, and what is written there.
    fn ticks(&self) -> Vec<(Timestamp, String)> {
        let step = STEPS
            .into_iter()
            .find(|step| self.span() / step <= MOST_TICKS)
            .unwrap_or(self.span() / MOST_TICKS);
        let first = (self.period.since.unix().div_euclid(step) + 1) * step;
        let instants = (0..=MOST_TICKS).map(|number| first + number * step);
        let all = instants.map(Timestamp::from_unix).take_while(|at| *at < self.period.until);
        let label = |at: Timestamp| {
            let text = moment(at);
            let (day, time) = text.split_once(' ').unwrap_or((&text, ""));
            let is_midnight = step >= 86_400 || time == "00:00:00";
            let part = if is_midnight { day.get(5..) } else { time.get(..5) };
            (at, part.unwrap_or_default().to_string())
        };
        all.map(label).collect()
    }

    fn axis(&self) -> Markup {
        let ticks: Vec<_> =
            self.ticks().into_iter().filter(|(at, _)| (5_000..95_000).contains(&self.place(*at))).collect();
        html! {
            div.lane {
                span.who { "UTC" }
                svg.axis aria-hidden="true" {
                    @for (number, (at, label)) in ticks.iter().enumerate() {
                        text.odd[number % 2 == 1] x=(self.percent(*at)) y="16" text-anchor="middle" { (label) }
                    }
                }
            }
        }
    }
}

fn mark(from: Timestamp, to: Timestamp, class: &'static str, title: String) -> Mark {
    Mark { from, to, class, sign: "", title, count: 1 }
}

fn percent(thousandths: i64) -> String {
    format!("{}.{:03}%", thousandths / 1_000, thousandths % 1_000)
}

fn drawn_with(mark: &Mark) -> String {
    if mark.count > 1 { format!(", and {} more", mark.count - 1) } else { String::new() }
}

fn legend() -> Markup {
    let bars = [
        ("could", "could be root"),
        ("oncall", "was root, on call"),
        ("grant", "by a grant"),
        ("glass", "break-glass"),
        ("exempt", "exempt account or program"),
        ("observed", "not enforced"),
        ("outlived", "open after the right had ended"),
    ];
    html! {
        ul.legend {
            @for (class, text) in bars {
                li { svg.key aria-hidden="true" { rect class=(class) x="1" y="2" width="20" height="10" rx="2" {} } (text) }
            }
            li { span.sign.refused aria-hidden="true" { "×" } "refused" }
            li { span.sign.late aria-hidden="true" { "▾" } "late change of the rota" }
        }
    }
}

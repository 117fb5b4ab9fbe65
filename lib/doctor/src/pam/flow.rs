//! How a stack can end: libpam's rules, walked for every answer that its modules could give.
//!
//! libpam's `_pam_dispatch_aux`: an impression that the answers so far have made, and a status. What has been
//! denied stays denied, what nobody spoke for is denied, and what a module answers counts as its control says.

use std::collections::BTreeSet;

use super::stack::{Action, Entry};

/// What a module may answer.
pub type Answers<'a> = &'a dyn Fn(&Entry) -> Vec<String>;

/// How a stack ended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct End {
    /// Does the user pass?
    pub passes: bool,
    /// Was our module asked?
    pub asked: bool,
    /// If it was not: the line that ended the stack before it, or left it out.
    pub culprit: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Impression {
    Undefined,
    Positive,
    Negative,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Status {
    Success,
    /// The password has to be changed first, and then the login goes on.
    NewToken,
    Failure,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct State {
    next: usize,
    level: usize,
    impression: Impression,
    status: Status,
    asked: bool,
    culprit: Option<usize>,
    /// What held when each substack was entered.
    saved: Vec<(Impression, Status)>,
}

/// Every way in which `stack` can end.
pub fn ends(stack: &[Entry], answers: Answers<'_>) -> BTreeSet<End> {
    let (mut ends, mut seen, mut ahead) = (BTreeSet::new(), BTreeSet::new(), vec![State::start()]);
    while let Some(state) = ahead.pop() {
        let Some(entry) = stack.get(state.next) else {
            ends.insert(End { passes: state.passes(), asked: state.asked, culprit: state.culprit });
            continue;
        };
        if !seen.insert(state.clone()) {
            continue;
        }
        for answer in answers(entry) {
            ahead.push(state.after(stack, entry, &answer));
        }
    }
    ends
}

/// What one more line makes of a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// A user who passed before passes, one who was refused is refused.
    Nothing,
    /// Somebody passes who was refused.
    Opens,
    /// Somebody is refused who passed, or a jump leads elsewhere.
    Shuts,
}

/// What the line `at` of `longer` makes of the stack if it answers `answer`, whatever the others answer.
pub fn change(longer: &[Entry], at: usize, answer: &str, answers: Answers<'_>) -> Change {
    let mut shorter = longer.to_vec();
    if at < shorter.len() {
        shorter.remove(at);
    }
    let (mut seen, mut ahead, mut opens) = (BTreeSet::new(), vec![(State::start(), State::start())], false);
    while let Some((without, mut with)) = ahead.pop() {
        if let Some(entry) = longer.get(at).filter(|_| with.next == at) {
            with = with.after(longer, entry, answer);
        }
        // A jump that counts the line, or that line itself, has parted them.
        if without.next.min(shorter.len()) + usize::from(without.next >= at) != with.next.min(longer.len()) {
            return Change::Shuts;
        }
        let Some(entry) = shorter.get(without.next) else {
            match (without.passes(), with.passes()) {
                (true, false) => return Change::Shuts,
                (before, after) => opens |= before != after,
            }
            continue;
        };
        if !seen.insert((without.clone(), with.clone())) {
            continue;
        }
        for answer in answers(entry) {
            ahead.push((without.after(&shorter, entry, &answer), with.after(longer, entry, &answer)));
        }
    }
    if opens { Change::Opens } else { Change::Nothing }
}

impl State {
    fn start() -> Self {
        Self {
            next: 0,
            level: 0,
            impression: Impression::Undefined,
            status: Status::Failure,
            asked: false,
            culprit: None,
            saved: Vec::new(),
        }
    }

    /// Does the user pass, if the stack ends here?
    fn passes(&self) -> bool {
        match self.status {
            Status::Success => self.impression == Impression::Positive,
            Status::NewToken => true,
            Status::Failure => false,
        }
    }

    fn after(&self, stack: &[Entry], entry: &Entry, answer: &str) -> Self {
        let mut state = self.clone();
        state.asked |= entry.is_ours();
        state.enter(entry.level);
        let status = match answer {
            "success" => Status::Success,
            "new_authtok_reqd" => Status::NewToken,
            _ => Status::Failure,
        };
        let mut last = state.next;
        match entry.control.of(answer) {
            Action::Ignore => {}
            Action::Reset => (state.impression, state.status) = state.saved_at(entry.level),
            Action::Ok => state.accept(answer, status),
            Action::Done => {
                state.accept(answer, status);
                if state.impression != Impression::Negative {
                    last = end_of_substack(stack, state.next);
                }
            }
            Action::Bad => state.refuse(),
            Action::Die => {
                state.refuse();
                last = end_of_substack(stack, state.next);
            }
            Action::Jump(count) => match landing(stack, state.next, count) {
                Some(at) => last = at,
                // libpam cannot do it, and refuses.
                None => {
                    state.refuse();
                    last = stack.len();
                }
            },
        }
        let passed_over = stack.iter().skip(state.next + 1).take(last.saturating_sub(state.next));
        if !state.asked && state.culprit.is_none() && passed_over.into_iter().any(Entry::is_ours) {
            state.culprit = Some(state.next);
        }
        state.next = last + 1;
        state
    }

    fn enter(&mut self, level: usize) {
        if level > self.level {
            self.saved.resize(level, (self.impression, self.status));
        } else {
            self.saved.truncate(level);
        }
        self.level = level;
    }

    fn saved_at(&self, level: usize) -> (Impression, Status) {
        let saved = level.checked_sub(1).and_then(|at| self.saved.get(at)).copied();
        saved.unwrap_or((Impression::Undefined, Status::Failure))
    }

    fn accept(&mut self, answer: &str, status: Status) {
        let open = match self.impression {
            Impression::Undefined => true,
            Impression::Positive => self.status == Status::Success,
            Impression::Negative => false,
        };
        if !open || answer == "ignore" {
            return;
        }
        if self.impression == Impression::Undefined && status == Status::Success {
            self.impression = Impression::Positive;
        }
        self.status = status;
    }

    fn refuse(&mut self) {
        self.impression = Impression::Negative;
        self.status = Status::Failure;
    }
}

/// The first line that can leave out more lines than come after it.
pub fn overshoots(stack: &[Entry]) -> Option<usize> {
    let leaps = |at: usize, entry: &Entry| {
        let actions =
            entry.control.named().map(|answer| entry.control.of(answer)).chain([entry.control.of("")]);
        actions
            .into_iter()
            .any(|action| matches!(action, Action::Jump(count) if landing(stack, at, count).is_none()))
    };
    stack.iter().enumerate().find(|(at, entry)| leaps(*at, entry)).map(|(at, _)| at)
}

/// The last line of the substack, or of the stack, that the line `at` is in.
fn end_of_substack(stack: &[Entry], at: usize) -> usize {
    let level = stack.get(at).map_or(0, |entry| entry.level);
    let rest = stack.iter().skip(at + 1).take_while(|entry| entry.level >= level);
    at + rest.count()
}

/// The last line that is left out by a jump over `count` lines, each with the substack behind it.
fn landing(stack: &[Entry], from: usize, count: usize) -> Option<usize> {
    let level_at = |at: usize| stack.get(at).map(|entry| entry.level);
    let level = level_at(from)?;
    let mut at = from;
    for _ in 0..count {
        level_at(at + 1).filter(|next| *next >= level)?;
        at += 1;
        while level_at(at + 1).is_some_and(|next| next > level) {
            at += 1;
        }
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::super::stack::expand;
    use super::*;

    /// The ways in which a stack of these lines ends if our module answers `ours`, and others what they like.
    fn walk(text: &str, ours: &str) -> Vec<(bool, bool, Option<usize>)> {
        let read = |path: &str| match path {
            "/etc/pam.d/x" => Some(text.to_string()),
            "/etc/pam.d/inner" => {
                Some("account sufficient pam_a.so\naccount required pam_deny.so\n".to_string())
            }
            _ => None,
        };
        let stack = expand("x", "account", &read).unwrap();
        let answers = |entry: &Entry| -> Vec<String> {
            let words: &[&str] = match entry.name() {
                "pam_oncall.so" => &[ours],
                "pam_deny.so" => &["auth_err"],
                "pam_permit.so" => &["success"],
                super::super::stack::SUBSTACK => &["ignore"],
                _ => &["success", "ignore", "new_authtok_reqd", "acct_expired"],
            };
            words.iter().map(|word| word.to_string()).collect()
        };
        ends(&stack, &answers).into_iter().map(|end| (end.passes, end.asked, end.culprit)).collect()
    }

    fn passes(text: &str, ours: &str) -> bool {
        walk(text, ours).iter().any(|(passes, ..)| *passes)
    }

    const DEBIAN: &str = "account [success=1 new_authtok_reqd=done default=ignore] pam_unix.so\naccount requisite pam_deny.so\naccount required pam_permit.so\n";

    #[test]
    fn a_required_refusal_is_final_and_a_soft_one_is_not() {
        for (line, lets) in [
            ("account required pam_oncall.so", false),
            ("account requisite pam_oncall.so", false),
            ("account [success=ok ignore=ignore default=die] pam_oncall.so", false),
            ("account sufficient pam_oncall.so", true),
            ("account optional pam_oncall.so", true),
            ("account [default=ignore] pam_oncall.so", true),
            ("account [success=ok perm_denied=ignore default=bad] pam_oncall.so", true),
        ] {
            assert_eq!(passes(&format!("{line}\n{DEBIAN}"), "perm_denied"), lets, "{line}");
            assert!(passes(&format!("{line}\n{DEBIAN}"), "success"), "{line}");
        }
        assert!(passes(&format!("account required pam_oncall.so\n{DEBIAN}"), "ignore"));
    }

    #[test]
    fn a_stack_in_which_nobody_speaks_refuses() {
        assert!(!passes("account required pam_oncall.so", "ignore"));
        assert!(passes("account required pam_oncall.so", "success"));
        assert!(!passes("", "success"));
        assert!(!passes("account requird pam_unix.so", "success"));
    }

    #[test]
    fn what_ends_the_stack_before_us_is_named() {
        let ours = "account required pam_oncall.so\n";
        assert!(walk(&format!("account sufficient pam_a.so\n{ours}"), "perm_denied").contains(&(
            true,
            false,
            Some(0)
        )));
        let jump =
            format!("account required pam_permit.so\naccount [success=1 default=ignore] pam_a.so\n{ours}");
        assert!(walk(&jump, "perm_denied").contains(&(true, false, Some(1))));
        // Debian's own first line ends the stack for a password that has to be changed.
        assert!(walk(&format!("{DEBIAN}{ours}"), "perm_denied").contains(&(true, false, Some(0))));
        // A substack ends for itself alone.
        assert!(!passes(&format!("account substack inner\n{ours}"), "perm_denied"));
        assert!(passes(&format!("account include inner\n{ours}"), "perm_denied"));
        // A jump beyond the end refuses.
        assert!(!passes(
            &format!("account required pam_permit.so\naccount [success=2 default=die] pam_a.so\n{ours}"),
            "perm_denied"
        ));
    }

    #[test]
    fn a_reset_takes_a_refusal_back() {
        let text = format!("account required pam_oncall.so\naccount [default=reset] pam_permit.so\n{DEBIAN}");
        assert!(passes(&text, "perm_denied"));
    }
}

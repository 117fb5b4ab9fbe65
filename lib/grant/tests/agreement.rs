//! `judge` against a reference of ten lines, which reads the text itself line by line: on many random sites and grants, and
//! on texts with mistakes in them. Nobody is admitted whom the rule would not, and everybody whom it would.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use std::collections::BTreeSet;

use grant::{Document, Grant, GrantId, Holders, Known, judge};
use key::PublicKey;
use mutate::Dice;
use policy::revocations::{Order, Revocations, Subject};
use policy::{
    Account, Digest, GrantRule, Host, HostSelector, Principal, Quorum, Revoked, Span, Timestamp, Window,
};
use signed::SignatureError;

const PEOPLE: [&str; 4] = ["alice", "bob", "carol", "dave"];
const HOSTS: [&str; 4] = ["db7", "db8", "web1", "DB7"];
const ACCOUNTS: [&str; 3] = ["root", "postgres", "bob"];
const HOUR: i64 = 3_600;
/// 2026-11-20T09:00:00Z
const NOW: i64 = 1_795_165_200;

/// Everything that is judged by, but the text.
struct World {
    site: &'static str,
    host: &'static str,
    /// Keys by number.
    holders: BTreeSet<(&'static str, usize)>,
    /// By which keys there are good signatures.
    signed: Vec<Option<usize>>,
    approvers: BTreeSet<&'static str>,
    /// Who may let themselves in, where the quorum is 0.
    people: BTreeSet<&'static str>,
    rule_hosts: Vec<&'static str>,
    accounts: BTreeSet<&'static str>,
    quorum: usize,
    max: i64,
    revoked_people: BTreeSet<&'static str>,
    revoked_keys: BTreeSet<usize>,
    is_id_revoked: bool,
    memory: i64,
    now: i64,
}

/// The keys of the test: `TYPE BASE64`.
struct Keys(Vec<PublicKey>);

impl Keys {
    fn digest(&self, number: usize) -> Digest {
        self.0[number].sha256()
    }

    fn number(&self, line: &str) -> Option<usize> {
        self.0.iter().position(|key| key.line() == line)
    }
}

const ID: [u8; 16] = [0x5a; 16];

/// Does the rule let the person of this text in? What is no grant is not asked.
fn reference(text: &str, world: &World, keys: &Keys) -> bool {
    let of = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap();
    let at = |name: &str| Timestamp::parse(of(name)).unwrap().unix();
    let (start, end, issued, person, own) =
        (at("not-before"), at("not-after"), at("issued"), of("person"), keys.number(of("key")));
    let has =
        |person: &str, key: usize| world.holders.iter().any(|(who, which)| *who == person && *which == key);
    let covers = |name: &str| name == "*" || name.eq_ignore_ascii_case(world.host);
    let is_his = |key: usize| {
        !world.approvers.iter().any(|one| *one != person && has(one, key))
            && (has(person, key) || !PEOPLE.iter().any(|one| has(one, key)))
    };
    let counts = |who: &str, key: usize| {
        has(who, key)
            && !has(person, key)
            && own != Some(key)
            && !world.revoked_keys.contains(&key)
            && world.approvers.iter().filter(|one| has(one, key)).count() == 1
    };
    let people = world
        .approvers
        .iter()
        .filter(|who| {
            !world.revoked_people.contains(*who) && world.signed.iter().flatten().any(|key| counts(who, *key))
        })
        .count();
    // By break-glass the signature of the one whom it is for, and no other.
    let is_own = |key: usize| (has(person, key) || own == Some(key)) && !world.revoked_keys.contains(&key);
    let is_signed = match world.quorum {
        0 => world.people.contains(person) && world.signed.iter().flatten().any(|key| is_own(*key)),
        quorum => people >= quorum,
    };
    let longest = if world.quorum == 0 { HOUR } else { 12 * HOUR };
    let here = of("fleet") == world.site
        && of("hosts").split(' ').any(|name| name == world.host)
        && world.rule_hosts.iter().any(|name| covers(name))
        && world.accounts.contains(of("account"));
    let is_revoked = world.is_id_revoked && of("grant") == "5a".repeat(16);
    let valid = !world.revoked_people.contains(person)
        && !is_revoked
        && own.is_none_or(|key| is_his(key) && !world.revoked_keys.contains(&key));
    let timely = start <= world.now
        && world.now < end
        && end - start <= world.max.min(longest)
        && world.now - issued <= 24 * HOUR
        && start - issued <= 24 * HOUR
        && issued <= world.now + 120
        && issued >= world.memory;
    here && valid && timely && is_signed
}

fn some<T: Copy + Ord>(dice: &mut Dice, from: &[T], one_in: usize) -> BTreeSet<T> {
    from.iter().copied().filter(|_| dice.below(one_in) == 0).collect()
}

/// Each thing is wrong once in `odd` times, so that all together are often right, and often wrong by one thing alone.
fn world(dice: &mut Dice, odd: usize) -> World {
    let is_odd = |dice: &mut Dice| dice.below(odd) == 0;
    let numbers: Vec<usize> = (0..6).collect();
    let mut holders: BTreeSet<(&str, usize)> = (0..5).map(|key| (PEOPLE[key % 4], key)).collect();
    for _ in 0..3 {
        holders.extend(is_odd(dice).then(|| (PEOPLE[dice.below(4)], dice.below(6))));
    }
    let signed = (0..dice.below(5)).map(|_| (!is_odd(dice)).then(|| [0, 0, 2, 4, 1, 1, 3, 5][dice.below(8)]));
    let signed = signed.collect();
    let mut approvers = some(dice, &PEOPLE, 4);
    approvers.extend(["alice", "carol"].into_iter().filter(|_| !is_odd(dice)));
    let mut people = some(dice, &PEOPLE, 4);
    people.extend(["bob"].into_iter().filter(|_| !is_odd(dice)));
    let mut accounts = some(dice, &ACCOUNTS, 3);
    accounts.extend(["root"].into_iter().filter(|_| !is_odd(dice)));
    World {
        site: if is_odd(dice) { "other" } else { "example" },
        host: HOSTS[if is_odd(dice) { dice.below(4) } else { 0 }],
        holders,
        signed,
        approvers,
        people,
        rule_hosts: if is_odd(dice) {
            vec!["db8", "web1"]
        } else {
            vec![["*", "db7"][dice.below(2)], "web1"]
        },
        accounts,
        quorum: dice.below(3),
        max: [4, 4, 4, 1, 2, 12, 13, 100][dice.below(8)] * HOUR,
        revoked_people: some(dice, &PEOPLE, 3 * odd),
        revoked_keys: some(dice, &numbers, 3 * odd),
        is_id_revoked: is_odd(dice),
        memory: if is_odd(dice) { NOW - HOUR } else { i64::MIN },
        now: NOW,
    }
}

/// Near the edges of everything that counts.
fn grant(dice: &mut Dice, odd: usize, keys: &Keys) -> Grant {
    let is_odd = |dice: &mut Dice| dice.below(odd) == 0;
    let edge = |dice: &mut Dice| i64::try_from(dice.below(3)).unwrap() - 1;
    let pick = |dice: &mut Dice, hours: &[i64]| hours[dice.below(hours.len())] * HOUR;
    let mut issued = NOW - pick(dice, &[1, 1, 23, 0]);
    let mut start = NOW - pick(dice, &[0, 1, 1, 2]);
    let mut end = NOW + pick(dice, &[1, 1, 2]);
    if is_odd(dice) {
        issued = NOW - [24 * HOUR, -120, HOUR][dice.below(3)] + edge(dice);
    }
    if is_odd(dice) {
        start = [NOW, issued + 24 * HOUR, NOW + HOUR][dice.below(3)] + edge(dice);
        end = end.max(start + HOUR);
    }
    if is_odd(dice) {
        end = (start + 1).max([NOW, start + pick(dice, &[1, 2, 4, 12, 13])][dice.below(2)] + edge(dice));
    }
    if dice.below(3) == 0 {
        start = NOW - HOUR / 2;
        end = start + HOUR + edge(dice).min(dice.below(2).try_into().unwrap());
    }
    let at = Timestamp::from_unix;
    let mut hosts = some(dice, &HOSTS, 3);
    hosts.insert(if is_odd(dice) { "other" } else { "db7" });
    Grant {
        id: GrantId::new(if dice.below(4) > 0 { ID } else { [1; 16] }),
        site: if is_odd(dice) { "other" } else { "example" }.into(),
        hosts: hosts.into_iter().map(String::from).collect(),
        account: Account::new(ACCOUNTS[if is_odd(dice) { dice.below(3) } else { 0 }]).unwrap(),
        person: Principal::new(PEOPLE[if is_odd(dice) { dice.below(4) } else { 1 }]).unwrap(),
        key: (dice.below(3) == 0).then(|| keys.0[[1, 1, 5, dice.below(6)][dice.below(4)]].clone()),
        window: Window::new(at(start), at(end)).unwrap(),
        issued: at(issued),
        reason: "disk full".into(),
    }
}

fn revoked(world: &World, keys: &Keys) -> Revoked {
    let mut list = Revocations::none();
    let people = world.revoked_people.iter().map(|name| Subject::Person(Principal::new(name).unwrap()));
    let keys = world.revoked_keys.iter().map(|key| Subject::Key(keys.digest(*key)));
    let id = Subject::Grant(GrantId::new(ID).to_string());
    for subject in people.chain(keys).chain(world.is_id_revoked.then_some(id)) {
        let since = Timestamp::from_unix(NOW);
        let (by, reason) = ("eve".to_string(), String::new());
        list.insert(subject, Order { serial: 1, lifted: false, since, until: None, by, reason }).unwrap();
    }
    Revoked::nobody().with_fleet(list, None)
}

/// What the judge says of a text, if it is a grant; also, if it admits, that it admits for no longer than it says.
fn judged(text: &[u8], world: &World, keys: &Keys) -> Option<bool> {
    let document = Document::read(text).ok()?;
    let holders: Holders =
        world.holders.iter().map(|(name, key)| (Principal::new(name).unwrap(), keys.digest(*key))).collect();
    let host = Host { name: world.host.into(), labels: Vec::new() };
    let (revoked, grants, now) = (revoked(world, keys), BTreeSet::new(), Timestamp::from_unix(world.now));
    let known = Known {
        site: world.site,
        host: &host,
        holders: &holders,
        revoked: &revoked,
        revoked_grants: &grants,
        memory: Timestamp::from_unix(world.memory),
    };
    let rule = GrantRule {
        name: "night".into(),
        hosts: world.rule_hosts.iter().map(|name| HostSelector::parse(name)).collect(),
        accounts: world.accounts.iter().map(|name| Account::new(name).unwrap()).collect(),
        approvers: world.approvers.iter().map(|name| Principal::new(name).unwrap()).collect(),
        quorum: Quorum::new(world.quorum).unwrap(),
        people: world.people.iter().map(|name| Principal::new(name).unwrap()).collect(),
        always: false,
        max: Span::seconds(world.max),
    };
    let signatures =
        world.signed.iter().map(|key| key.map_or(Err(SignatureError::Blob), |key| Ok(keys.digest(key))));
    let judged = judge(&document.grant, &known, &rule, signatures, now);
    if let Ok(accepted) = &judged {
        let Grant { person, account, .. } = &document.grant;
        assert_eq!(accepted.admits(person, account, &known, now), Ok(document.grant.window.end()));
        let longest = Span::hours(if world.quorum == 0 { 1 } else { 12 });
        assert!(accepted.until() <= now.plus(rule.max.min(longest)));
        assert!(accepted.admits(person, account, &known, accepted.until()).is_err());
    }
    Some(judged.is_ok())
}

fn keys() -> Keys {
    Keys((1..=6).map(|number| PublicKey::parse(made_keys::numbered(number).as_bytes()).unwrap()).collect())
}

#[test]
fn a_grant_is_accepted_exactly_if_ten_lines_that_read_its_text_say_so() {
    let (keys, mut accepted, mut broken, mut dice) = (keys(), 0, 0, Dice(0x9a27));
    let count = 40_000;
    for number in 0..count {
        let odd = [3, 12, 40][dice.below(3)];
        let (world, grant) = (world(&mut dice, odd), grant(&mut dice, odd, &keys));
        let text = grant.write().unwrap();
        let expected = reference(&text, &world, &keys);
        assert_eq!(judged(text.as_bytes(), &world, &keys), Some(expected), "{number}: {text}");
        accepted += usize::from(expected);
        broken += usize::from(expected && world.quorum == 0);
    }
    // Both answers are common enough to have been tried.
    assert!((count / 10..count / 2).contains(&accepted), "{accepted} of {count}");
    assert!(broken > count / 50, "{broken} by themselves");
}

#[test]
fn no_text_whatsoever_lets_anybody_in_whom_the_rule_would_not() {
    let (keys, mut dice) = (keys(), Dice(0x51));
    let words = [
        "\n",
        ": ",
        " ",
        "db7",
        "root",
        "alice",
        "bob",
        "none",
        "2026-11-20T09:00:00Z",
        "5a5a",
        "form: 1\n",
        "person: ",
        "hosts: ",
        "not-after: ",
        "example",
    ];
    let (mut read, mut accepted) = (0, 0);
    for _ in 0..4_000 {
        let world = world(&mut dice, 40);
        let grants = [12, 40].map(|odd| grant(&mut dice, odd, &keys).write().unwrap());
        for _ in 0..5 {
            // Lines of both, and on every other text mistakes.
            let [one, two] = grants.each_ref().map(|text| text.split_inclusive('\n'));
            let lines = one.zip(two).map(|(one, two)| if dice.below(2) == 0 { one } else { two });
            let mixed = lines.collect::<String>();
            let text = match dice.below(2) {
                0 => mixed.into_bytes(),
                _ => dice.mistaken(&[mixed.as_bytes()], &words),
            };
            let Some(is_accepted) = judged(&text, &world, &keys) else { continue };
            (read, accepted) = (read + 1, accepted + usize::from(is_accepted));
            let text = String::from_utf8(text).expect("a grant is ASCII");
            assert_eq!(is_accepted, reference(&text, &world, &keys), "{text}");
        }
    }
    assert!(accepted > 1000 && read > 2 * accepted, "{accepted} of {read}");
}

//! `grant sign`: says it in words, asks, and has ssh-keygen sign the text.
//!
//! ssh-keygen runs in the environment of whoever signs: that is where their agent, their askpass and the library of their
//! security key are named. It asks for passphrases and touches itself, and is waited for as long as they take; Ctrl-C ends
//! both.

use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

use grant::{Document, Grant, LARGEST_DOCUMENT, Refusal, may_be_signed};
use policy::{GrantRule, Timestamp};
use signed::{MOST_SIGNATURES, Purpose, signing_key};

use super::identity::Identity;
use super::words::{row, words};
use super::{Failure, document, printed, random, read};
use crate::cli::grant::SignArguments;
use crate::said::{Live, Said};

/// Where the question is asked, whatever standard input and output are.
const TERMINAL: &str = "/dev/tty";

/// Prints the document with one more signature.
pub fn run(arguments: &SignArguments, live: Live<'_>, now: Timestamp) -> Result<Said, Failure> {
    let bytes = read(arguments.file.as_deref(), live)?;
    let document = document(&bytes)?;
    may_be_signed(&document.grant, now)?;
    if arguments.break_glass {
        may_be_for_oneself(&document.grant)?;
    }
    can_take_another(&document)?;
    let identity = Identity::of(arguments.identity.as_deref())?;
    let mut lines = words(&document.grant, now);
    if arguments.break_glass {
        lines.push(row("BREAK-GLASS", "you sign for yourself; it is recorded, and an approver reviews it"));
    }
    ask(&lines, SHOW, arguments.yes, live)?;
    let armour = ssh_keygen(&identity, Purpose::Grant, document.text)?;
    may_count(&document, armour.as_bytes(), arguments.break_glass)?;
    let signed = [&bytes, armour.as_bytes()].concat();
    String::from_utf8(signed)
        .map(|signed| printed(&signed))
        .map_err(|_| Failure::Failed("ssh-keygen printed no text".into()))
}

/// Is there room below the text, and nothing but signatures that could count?
fn can_take_another(document: &Document<'_>) -> Result<(), Failure> {
    if document.armours.len() >= MOST_SIGNATURES {
        return Err(Failure::Refused(format!(
            "it has {MOST_SIGNATURES} signatures already, the most there can be"
        )));
    }
    match document.keys().find_map(Result::err) {
        Some(error) => Err(Failure::Refused(format!(
            "a signature below the text counts for nobody: {error}; sign the text without it"
        ))),
        None => Ok(()),
    }
}

/// Is it so short that somebody may sign it for themselves?
fn may_be_for_oneself(grant: &Grant) -> Result<(), Failure> {
    let (window, max) = (grant.window, GrantRule::LONGEST_BROKEN);
    let length = window.end().since(window.start());
    if length <= max {
        return Ok(());
    }
    Err(Refusal::TooLong { length, max }.into())
}

/// What shows a text of grants.
pub const SHOW: &str = "oncall-cache grant show";

/// Says it in words at the terminal and asks; where it `is_certain`, says it alone. `show` is the command that shows it. What is typed in answer cannot be known
/// before: not to whoever wrote the text, which may be pasted at this same terminal with an answer behind it.
pub fn ask(words: &[String], show: &str, is_certain: bool, live: Live<'_>) -> Result<(), Failure> {
    if is_certain {
        words.iter().for_each(|line| (live.note)(format_args!("{line}")));
        return Ok(());
    }
    let terminal = OpenOptions::new().read(true).write(true).open(TERMINAL).map_err(|_| {
        Failure::Failed(format!("there is no terminal to ask at; read it by `{show}`, then give --yes"))
    })?;
    let failed = |error| Failure::Unreadable(TERMINAL.into(), error);
    let code = format!("{:04}", u16::from_le_bytes(random()?) % 10_000);
    let question = format!("{}\nto sign it, type {code}: ", words.join("\n"));
    (&terminal).write_all(question.as_bytes()).map_err(failed)?;
    let mut answer = String::new();
    // A line and no more: what answers is a person. From a terminal that is gone comes none.
    let _ = BufReader::new(terminal.take(64)).read_line(&mut answer);
    if answer.trim() == code {
        return Ok(());
    }
    Err(Failure::Refused(format!("not signed: {code} was not typed")))
}

/// The armour that ssh-keygen makes of the text; what goes wrong it says itself.
pub fn ssh_keygen(identity: &Identity, purpose: Purpose, text: &[u8]) -> Result<String, Failure> {
    let failed = |what: io::Error| Failure::Failed(format!("ssh-keygen: {what}; it is in openssh-client"));
    let mut child = Command::new("ssh-keygen")
        .args(["-q", "-Y", "sign", "-n", purpose.namespace(), "-f"])
        .arg(&identity.path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    // Shorter than a pipe holds. If it ends without reading, its status says more than a broken pipe.
    if let Some(mut input) = child.stdin.take() {
        let _ = input.write_all(text);
    }
    let mut armour = String::new();
    let longest = u64::try_from(LARGEST_DOCUMENT).unwrap_or(u64::MAX);
    let read = child.stdout.take().map(|output| output.take(longest).read_to_string(&mut armour));
    let is_read = matches!(read, Some(Ok(_)));
    if child.wait().map_err(failed)?.success() && is_read {
        return Ok(armour);
    }
    Err(Failure::Failed("not signed: ssh-keygen says why".into()))
}

/// Is it a signature that a host could count? Better said now than at night on the host.
fn may_count(document: &Document<'_>, armour: &[u8], is_own: bool) -> Result<(), Failure> {
    let refused = |why: String| Failure::Refused(format!("not signed: {why}"));
    let key =
        signing_key(Purpose::Grant, document.text, armour).map_err(|error| refused(error.to_string()))?;
    if !is_own && document.grant.key.as_ref() == Some(&key) {
        let why = "this is the key of the person it is for, which does not count; for yourself, where nobody can sign: --break-glass";
        return Err(refused(why.into()));
    }
    if document.keys().any(|other| other.as_ref() == Ok(&key)) {
        return Err(refused("this key has signed it already".into()));
    }
    Ok(())
}

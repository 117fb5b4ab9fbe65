//! Writes man pages and shell completions from the programs' own definitions of their arguments.
//!
//!     cargo run --manifest-path packaging/man/Cargo.toml -- DIRECTORY
//!
//! What has no arguments, the two modules and the configuration, has its page beside this crate, written by hand.

#![forbid(unsafe_code)]

use std::error::Error;
use std::fs;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_complete::{Shell, generate};
use clap_mangen::Man;

#[path = "../../../authkeys/src/cli.rs"]
#[allow(dead_code, reason = "what a program does with its arguments is not in its page")]
mod authkeys;
#[path = "../../../authkeys/sync/src/cli.rs"]
#[allow(dead_code, reason = "what a program does with its arguments is not in its page")]
mod authkeys_sync;
#[path = "../../../oncall-cache/src/cli.rs"]
#[allow(dead_code, reason = "what a program does with its arguments is not in its page")]
mod oncall_cache;

/// The suite's own Cargo.toml: all that is shipped has one version.
const WORKSPACE: &str = include_str!("../../../Cargo.toml");

/// What stands at the end of each page.
const PAGES: [(&str, &str); 3] = [
    ("authkeys", include_str!("../authkeys.8.end")),
    ("authkeys-sync", include_str!("../authkeys-sync.8.end")),
    ("oncall-cache", include_str!("../oncall-cache.8.end")),
];

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args_os().nth(1).ok_or("usage: man DIRECTORY")?;
    let directory = Path::new(&directory);
    fs::create_dir_all(directory)?;
    let commands = [
        authkeys::Arguments::command(),
        authkeys_sync::Arguments::command(),
        oncall_cache::Arguments::command(),
    ];
    for (mut command, (name, end)) in commands.into_iter().zip(PAGES) {
        for (shell, file) in [
            (Shell::Bash, format!("{name}.bash")),
            (Shell::Zsh, format!("_{name}")),
            (Shell::Fish, format!("{name}.fish")),
        ] {
            let mut text = Vec::new();
            generate(shell, &mut command, name, &mut text);
            fs::write(directory.join(file), text)?;
        }
        fs::write(directory.join(format!("{name}.8")), page(command, end)?)?;
    }
    let example = verbatim(include_str!("../../examples/config.toml"));
    for (name, text) in [
        ("pam_oncall.8", include_str!("../pam_oncall.8")),
        ("libnss_oncall.8", include_str!("../libnss_oncall.8")),
        ("authkeys-config.5", include_str!("../authkeys-config.5")),
    ] {
        fs::write(
            directory.join(name),
            text.replace("@version@", version()?).replace("@example@\n", &example),
        )?;
    }
    Ok(())
}

fn version() -> Result<&'static str, &'static str> {
    let line = WORKSPACE.lines().find_map(|line| line.strip_prefix("version = \""));
    line.and_then(|rest| rest.strip_suffix('"')).ok_or("Cargo.toml has no version")
}

/// Text as roff prints it unchanged between .nf and .fi.
fn verbatim(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-").lines().map(|line| format!("\\&{line}\n")).collect()
}

/// One page for a program, with a section for each of its verbs.
fn page(command: Command, end: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let name = command.get_name().to_string();
    let command = command.disable_help_subcommand(true).version(version()?);
    let man = Man::new(command.clone());
    let mut page = format!(".TH {name} 8 \"\" \"authkeys {}\"\n", version()?).into_bytes();
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        page.extend(b".SH COMMANDS\n");
        verbs(&command, &name, &mut page)?;
    }
    page.extend(end.as_bytes());
    Ok(page)
}

/// A subsection for each verb of `command`, which is called `name`, and for the verbs below those.
fn verbs(command: &Command, name: &str, page: &mut Vec<u8>) -> Result<(), Box<dyn Error>> {
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        let full = format!("{name} {}", verb.get_name());
        if verb.has_subcommands() {
            verbs(verb, &full, page)?;
            continue;
        }
        // What every verb has stands at the top of the page.
        let verb = verb.clone().bin_name(&full).mut_args(|argument| {
            let is_common = ["help", "config"].contains(&argument.get_id().as_str());
            if is_common { argument.hide(true) } else { argument }
        });
        page.extend(format!(".SS {}\n", full.replace('-', "\\-")).as_bytes());
        let man = Man::new(verb.disable_help_flag(true));
        let mut text = Vec::new();
        man.render_synopsis_section(&mut text)?;
        man.render_description_section(&mut text)?;
        man.render_options_section(&mut text)?;
        // What are sections of a page of its own are paragraphs here.
        let text = String::from_utf8(text)?.replace(".SH SYNOPSIS\n", "");
        page.extend(text.replace(".SH DESCRIPTION\n", ".PP\n").replace(".SH OPTIONS\n", "").as_bytes());
    }
    Ok(())
}

//! Writes man pages and shell completions from the programs' own definitions of their arguments.
//!
//!     cargo run --manifest-path packaging/man/Cargo.toml -- DIRECTORY
//!
//! What has no arguments, the two modules and the configuration, has its page beside this crate, written by hand; the
//! settings in the configuration's page are those of docs/configuration.md.

#![forbid(unsafe_code)]

mod settings;

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
#[path = "../../../oncall-collector/src/cli.rs"]
#[allow(dead_code, reason = "what a program does with its arguments is not in its page")]
mod oncall_collector;
#[path = "../../../oncall-notify/src/cli.rs"]
#[allow(dead_code, reason = "what a program does with its arguments is not in its page")]
mod oncall_notify;

/// The suite's own Cargo.toml: all that is shipped has one version.
const WORKSPACE: &str = include_str!("../../../Cargo.toml");

/// The end of each page.
const PAGES: [(&str, &str); 5] = [
    ("authkeys", include_str!("../authkeys.8.end")),
    ("authkeys-sync", include_str!("../authkeys-sync.8.end")),
    ("oncall-cache", include_str!("../oncall-cache.8.end")),
    ("oncall-collector", include_str!("../oncall-collector.8.end")),
    ("oncall-notify", include_str!("../oncall-notify.8.end")),
];

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args_os().nth(1).ok_or("usage: man DIRECTORY")?;
    let directory = Path::new(&directory);
    fs::create_dir_all(directory)?;
    let commands = [
        authkeys::Arguments::command(),
        authkeys_sync::Arguments::command(),
        oncall_cache::Arguments::definition(),
        oncall_collector::Arguments::definition(),
        oncall_notify::Arguments::definition(),
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
            text.replace("@version@", version()?)
                .replace("@settings@\n", &settings::settings())
                .replace("@example@\n", &example),
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

/// What comes below the options in `--help`: what else there is to know, examples, exit status.
fn after_help(command: &Command) -> String {
    command.get_after_help().map(ToString::to_string).unwrap_or_default()
}

/// One page for a program, with a section for each of its verbs.
fn page(command: Command, end: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let name = command.get_name().to_string();
    let command = command.disable_help_subcommand(true).version(version()?);
    let man = Man::new(command.clone());
    let mut page = format!(".TH {name} 8 \"\" \"authkeys {}\"\n", version()?).into_bytes();
    man.render_name_section(&mut page)?;
    page.extend(format!(".SH SYNOPSIS\n{}", synopsis(&command, &name)).as_bytes());
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        page.extend(b".SH COMMANDS\n");
        verbs(&command, &name, &mut page)?;
        page.extend(b".SH EXIT STATUS\nSee each command above; 64 is wrong usage everywhere.\n");
    }
    for section in after_help(&command).split("\n\n") {
        // `Examples:` and `Exit status:` are sections, as readers of man pages look for them.
        if let Some(text) = section.strip_prefix("Examples:\n") {
            page.extend(format!(".SH EXAMPLES\n.nf\n{}.fi\n", verbatim(text)).as_bytes());
        } else if let Some(text) =
            section.strip_prefix("Exit status: ").filter(|_| !command.has_subcommands())
        {
            page.extend(format!(".SH EXIT STATUS\n{}", verbatim(text)).as_bytes());
        } else if !command.has_subcommands() {
            page.extend(format!(".SH USE\n.nf\n{}.fi\n", verbatim(section)).as_bytes());
        }
    }
    page.extend(end.as_bytes());
    Ok(page)
}

/// How `command`, which is called `name`, is typed: each option with its values, which clap_mangen leaves out.
fn synopsis(command: &Command, name: &str) -> String {
    let mut words = vec![format!("\\fB{}\\fR", name.replace('-', "\\-"))];
    for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
        let values: Vec<String> = if argument.get_action().takes_values() {
            let names = argument.get_value_names().unwrap_or_default();
            let is_optional = argument.get_num_args().is_some_and(|number| number.min_values() == 0);
            let word =
                |name| if is_optional { format!("[\\fI{name}\\fR...]") } else { format!("\\fI{name}\\fR") };
            names.iter().map(word).collect()
        } else {
            Vec::new()
        };
        let long = argument.get_long().map(|long| format!("\\fB\\-\\-{}\\fR", long.replace('-', "\\-")));
        let option = long.or_else(|| Some(format!("\\fB\\-{}\\fR", argument.get_short()?)));
        let word = option.into_iter().chain(values).collect::<Vec<_>>().join(" ");
        words.push(if argument.is_required_set() { word } else { format!("[{word}]") });
    }
    if command.has_subcommands() {
        words.push("\\fICOMMAND\\fR".to_string());
    }
    format!("{}\n", words.join(" "))
}

/// A subsection for each verb of `command`, which is called `name`, and for the verbs below those.
fn verbs(command: &Command, name: &str, page: &mut Vec<u8>) -> Result<(), Box<dyn Error>> {
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        let full = format!("{name} {}", verb.get_name());
        if verb.has_subcommands() {
            verbs(verb, &full, page)?;
            continue;
        }
        // Options of every verb are at the top of the page.
        let verb = verb.clone().bin_name(&full).mut_args(|argument| {
            let is_common = ["help", "config"].contains(&argument.get_id().as_str());
            if is_common { argument.hide(true) } else { argument }
        });
        page.extend(format!(".SS {}\n", full.replace('-', "\\-")).as_bytes());
        let man = Man::new(verb.clone().disable_help_flag(true));
        let mut text = synopsis(&verb, &full).into_bytes();
        man.render_description_section(&mut text)?;
        man.render_options_section(&mut text)?;
        // Sections of a separate page are paragraphs here.
        let text =
            String::from_utf8(text)?.replace(".SH DESCRIPTION\n", ".PP\n").replace(".SH OPTIONS\n", "");
        page.extend(text.as_bytes());
        page.extend(format!(".PP\n.nf\n{}.fi\n", verbatim(&after_help(&verb))).as_bytes());
    }
    Ok(())
}

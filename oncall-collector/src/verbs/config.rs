//! `config`: what this program reads, checked before the units do; and Deputize's, as ours.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use host::said::{CANNOT_TELL, Said};

use crate::config::Config;
use crate::sinks::{SinksConfig, deputize};

/// The largest file that is imported, in bytes.
const LARGEST: u64 = 1024 * 1024;

/// Checks collector.toml and sinks.toml, whichever there are.
pub fn check(collector: &Path) -> Said {
    let sinks = collector.parent().unwrap_or(Path::new("/")).join("sinks.toml");
    let mut said = Said::default();
    let mut code = 0;
    let collector_checked = collector.exists().then(|| (collector, Config::load(collector).map(drop)));
    let sinks_checked = sinks.exists().then(|| (sinks.as_path(), SinksConfig::load(&sinks).map(drop)));
    if collector_checked.is_none() && sinks_checked.is_none() {
        return Said::failure(
            CANNOT_TELL,
            format_args!("neither {} nor {} is there", collector.display(), sinks.display()),
        );
    }
    for (path, checked) in collector_checked.into_iter().chain(sinks_checked) {
        said = match checked {
            Ok(()) => said.then(format!("{}: accepted", path.display())),
            Err(problem) => {
                code = CANNOT_TELL;
                said.note(problem)
            }
        };
    }
    said.exit(code)
}

/// Checks what is in `file` as the sinks.toml beside `collector`, whoever may write `file`: it is not in its place yet.
pub fn check_sinks(collector: &Path, file: &Path) -> Said {
    let sinks = collector.parent().unwrap_or(Path::new("/")).join("sinks.toml");
    let mut text = Vec::new();
    let read = File::open(file).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut text));
    match read {
        Ok(_) if text.len() as u64 > LARGEST => {
            Said::failure(CANNOT_TELL, format_args!("{}: larger than {LARGEST} bytes", file.display()))
        }
        Ok(_) => match SinksConfig::parse(&sinks, &text) {
            Ok(_) => Said::text(format!("{}: accepted", file.display())),
            Err(problem) => Said::failure(CANNOT_TELL, problem),
        },
        Err(error) => Said::failure(CANNOT_TELL, format_args!("{}: {error}", file.display())),
    }
}

/// What Deputize's configuration in `file` comes to; it is not written anywhere.
pub fn import(file: &Path) -> Said {
    let mut text = Vec::new();
    let read = File::open(file).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut text));
    let problem = match read {
        Ok(_) if text.len() as u64 <= LARGEST => match deputize::import(&text) {
            Ok(imported) => {
                let said = Said::text(imported.text.trim_end());
                return match imported.problem {
                    None => said,
                    Some(problem) => said.note(format_args!("complete it: {problem}")).exit(1),
                };
            }
            Err(problem) => problem,
        },
        Ok(_) => format!("larger than {LARGEST} bytes; is it a configuration?"),
        Err(error) => error.to_string(),
    };
    Said::failure(CANNOT_TELL, format_args!("{}: {problem}", file.display()))
}

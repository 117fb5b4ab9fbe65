//! `config show`: the configuration with every default filled in, and the mode that holds.

use std::path::Path;

use policy::{Mode, Timestamp};
use serde_json::json;
use state::HostState;
use status::mode;

use crate::said::Said;

/// The configuration at `path`, as one again.
pub fn run(path: &Path, as_json: bool, now: Timestamp) -> Said {
    let state = HostState::load(path);
    let shown = state.config().map_err(ToString::to_string).and_then(|config| {
        let text = toml::to_string(&config.effective()).map_err(|error| error.to_string())?;
        Ok((config, text))
    });
    let (config, text) = match shown {
        Ok(shown) => shown,
        Err(problem) => {
            let json = || json!({ "version": 1, "error": problem });
            return Said::failure_as(as_json.then(json), &problem);
        }
    };
    let (mode, told) = (state.mode(now).0, mode::of(&state, now));
    let path = config.path.display().to_string();
    if as_json {
        let mode = if mode == Mode::Observe { "observe" } else { "enforce" };
        return Said::json(
            &json!({ "version": 1, "path": path, "mode": mode, "mode_by": told, "config": config.effective() }),
        );
    }
    let told = told.map(|told| format!("# not by this file: {told}\n")).unwrap_or_default();
    Said::text(format!("# {path} as it holds\n{told}{}", text.trim_end()))
}

//! Time zones by their names in the tz database: as the system has them, or else as they were when this program was built.

use host::toml_file::nearest;
use jiff::tz::{TimeZone, TimeZoneDatabase};

/// Where the system describes time zones, if it does. Debian and its kind are quicker with the change of a
/// zone's law than a release of ours.
const ZONES: &str = "/usr/share/zoneinfo";

/// The zones of this host.
pub struct Database {
    system: Option<TimeZoneDatabase>,
    bundled: TimeZoneDatabase,
}

impl Database {
    /// Finds out what there is. From one directory alone: jiff's own search would go where TZDIR says.
    pub fn open() -> Self {
        Self { system: TimeZoneDatabase::from_dir(ZONES).ok(), bundled: TimeZoneDatabase::bundled() }
    }

    /// The zone of a name, unless it is another one on each host.
    pub fn find(&self, name: &str) -> Option<TimeZone> {
        if is_no_zone(name) {
            return None;
        }
        let system = self.system.as_ref().and_then(|zones| zones.get(name).ok());
        system.or_else(|| self.bundled.get(name).ok()).filter(|zone| !zone.is_unknown())
    }

    /// Why there is no zone of that name, and what to write.
    pub fn missing(&self, name: &str) -> String {
        if is_no_zone(name) {
            return format!(
                "`{name}` may be a different time zone on each host; write a tz database name: Europe/Berlin, UTC"
            );
        }
        let known: Vec<String> = self.bundled.available().map(|known| known.to_string()).collect();
        let hint = match nearest(name, known.iter().map(String::as_str)) {
            Some(known) => format!("did you mean `{known}`?"),
            None => "write its tz database name: Europe/Berlin, UTC".to_string(),
        };
        format!("no time zone `{name}`; {hint}")
    }
}

/// Why there is no zone of that name, if there is none.
pub fn trouble(name: &str) -> Option<String> {
    let zones = Database::open();
    zones.find(name).is_none().then(|| zones.missing(name))
}

/// Names below /usr/share/zoneinfo that are no zones of the tz database: what this host's own clock shows, which every
/// host has another of; a sample of a zone's rules; and the same zones once more, one of the two sets with leap seconds
/// in them, which move every hand-over by half a minute (tzdata's Theory file). jiff ignores the case of a name.
fn is_no_zone(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["localtime", "posixrules", "factory"].contains(&&*name)
        || name.starts_with("posix/")
        || name.starts_with("right/")
}

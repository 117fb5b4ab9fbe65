use super::*;

/// A page of help, as `words` ask for it.
fn help(words: &[&str]) -> String {
    let asked = ["oncall-cache"].iter().chain(words).chain(&["--help"]);
    Arguments::definition().try_get_matches_from(asked).unwrap_err().to_string()
}

fn pages() -> Vec<(Vec<String>, String)> {
    let (command, mut pages) = (Arguments::definition(), vec![(Vec::new(), help(&[]))]);
    for verb in command.get_subcommands() {
        let name = verb.get_name();
        let below: Vec<&str> = verb.get_subcommands().map(Command::get_name).collect();
        for words in below.iter().map(|below| vec![name, below]).chain([vec![name]]) {
            pages.push((words.iter().map(ToString::to_string).collect(), help(&words)));
        }
    }
    pages
}

#[test]
fn every_verb_is_in_one_group_or_hidden() {
    let grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| *names).copied().collect();
    let command = Arguments::definition();
    let seen = command.get_subcommands().filter(|verb| !verb.is_hide_set()).map(Command::get_name);
    let mut seen: Vec<&str> = seen.collect();
    let mut sorted = grouped.clone();
    sorted.sort_unstable();
    seen.sort_unstable();
    assert_eq!(sorted, seen);
    let hidden = command.get_subcommands().filter(|verb| verb.is_hide_set()).map(Command::get_name);
    assert_eq!(
        hidden.collect::<Vec<_>>(),
        ["pam-lines", "pam-doors", "heartbeat", "end", "ask-rego", "watch", "explain"]
    );
}

#[test]
fn a_page_of_help_fits_a_terminal_and_ends_with_its_exit_status() {
    for (words, page) in pages() {
        let verbs = Arguments::definition();
        let verb = words.first().and_then(|name| verbs.find_subcommand(name));
        if verb.is_some_and(Command::is_hide_set) {
            continue;
        }
        let has_verbs = [["config"], ["grant"], ["policy"], ["provider"]].iter().any(|verb| words == verb);
        assert!(has_verbs || page.contains("\nExit status: "), "{words:?}: {page}");
        let is_of_grant = words.first().is_some_and(|verb| verb == "grant");
        for line in page.lines().filter(|line| is_of_grant || !line.starts_with("      --")) {
            assert!(line.chars().count() <= 100, "{words:?}: {line}");
            let is_option = line.starts_with("  -");
            let is_narrow = is_of_grant || words.is_empty() && !is_option;
            assert!(!is_narrow || line.chars().count() <= 80, "{line}");
        }
    }
}

#[test]
fn verbs_that_end_something_say_what_it_means_that_there_is_nothing_to_end() {
    for (verb, says) in [("pause", "with --end 1,"), ("enforce", "1, there is nothing to end")] {
        let page = help(&[verb]);
        assert!(page.contains(says), "{page}");
    }
}

#[test]
fn a_verb_that_reads_the_file_it_is_given_shows_no_other_configuration() {
    for (words, page) in pages() {
        let reads_a_file = words == ["config", "check"]
            || words == ["config", "import"]
            || words == ["policy", "plan"]
            || words.starts_with(&["grant".into()]);
        assert_eq!(page.contains("--config"), !reads_a_file, "{words:?}: {page}");
    }
    for words in [
        &["--config", "/c", "who"][..],
        &["who", "--config", "/c"],
        &["--config", "/c", "config", "check", "file"],
        &["config", "check", "--config", "/c", "file"],
        &["--config", "/c", "grant", "show"],
        &["grant", "--config", "/c", "show"],
        &["grant", "show", "--config", "/c"],
    ] {
        let words = ["oncall-cache"].iter().chain(words);
        let matches = Arguments::definition().try_get_matches_from(words).unwrap();
        assert_eq!(Arguments::from_arg_matches(&matches).unwrap().config, PathBuf::from("/c"));
    }
}

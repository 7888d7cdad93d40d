//! Texts derived from the arguments: the help with its commands in groups, manual pages, and shell completions.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

use super::{exit, output};

/// Commands by purpose, in the order of the help.
const GROUPS: [(&str, &[&str]); 6] = [
    ("Stores and records", &["stores", "ls", "get", "put", "rm"]),
    ("Server", &["serve", "status", "health", "check", "doctor", "clock", "version"]),
    ("Access", &["user", "token", "store", "sign"]),
    ("Import, export and backup", &["import", "export", "backup", "restore", "migrate"]),
    ("Actors", &["run"]),
    ("Shell", &["completions", "man", "help"]),
];

/// Text below the commands.
const CLOSING: &str = "\
Server: --url or LARDER_URL, else the local server of the configuration, else the data folder.
Token: LARDER_TOKEN, else the admin token in the data folder.
Settings: all commands accept the flags that `larder serve --help` lists.
Stores: by name, user~name or id; ~name is always a name.";

/// Returns the program with a help that lists its commands in groups.
pub(super) fn with_grouped_commands(program: Command) -> Command {
    let header = *program.get_styles().get_header();
    let literal = *program.get_styles().get_literal();
    let mut listed = String::new();
    for (title, names) in GROUPS {
        // Writing to a string cannot fail.
        let _ = writeln!(listed, "{header}{title}:{header:#}");
        for name in names {
            if let Some(description) = description(&program, name) {
                let _ = writeln!(listed, "  {literal}{name:<11}{literal:#}  {description}");
            }
        }
        listed.push('\n');
    }
    let template = format!(
        "{{about}}\n\n{{usage-heading}} {{usage}}\n\n{listed}{header}Options:{header:#}\n{{options}}{{after-help}}"
    );
    program.help_template(template).after_help(format!("{CLOSING}\n\n{}", exit::HELP))
}

fn description(program: &Command, name: &str) -> Option<String> {
    if name == "help" {
        return Some("Print the help of a command".to_owned());
    }
    Some(program.find_subcommand(name)?.get_about()?.to_string())
}

/// Prints the page of the command that `words` name below `program`, or of the program itself.
pub(super) fn print_page(program: Command, words: &[String]) -> ExitCode {
    let mut command = &mut built(program);
    for word in words {
        let Some(found) = command.find_subcommand_mut(word) else {
            output::print_error(&format!("unknown command {word:?}; `larder help` lists all commands"));
            return exit::invalid_usage();
        };
        command = found;
    }
    let mut text = Vec::new();
    print_text(manual(command).render(&mut text).map(|()| text))
}

/// Writes the pages of the program and of all its commands to a folder.
pub(super) fn write_pages(program: Command, folder: &Path) -> ExitCode {
    match write_page_tree(&built(program), folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::print_error(&format!("cannot write manual pages to {}: {error}", folder.display()));
            exit::failed()
        }
    }
}

fn write_page_tree(command: &Command, folder: &Path) -> io::Result<()> {
    manual(command).generate_to(folder)?;
    command.get_subcommands().try_for_each(|command| write_page_tree(command, folder))
}

fn manual(command: &Command) -> Man {
    Man::new(command.clone()).manual("Larder").source(concat!("Larder ", env!("CARGO_PKG_VERSION")))
}

/// Prints the completions for `shell`.
pub(super) fn print_completions(mut program: Command, shell: Shell) -> ExitCode {
    let mut text = Vec::new();
    let name = program.get_name().to_owned();
    clap_complete::generate(shell, &mut program, name, &mut text);
    print_text(Ok(text))
}

/// Returns the program with everything derived from its declaration: the names of its commands, and the global flags.
/// It has no page for help.
fn built(program: Command) -> Command {
    let mut program = program.disable_help_subcommand(true);
    program.build();
    program
}

/// Prints a text. A reader may go away at any time; that is no reason to fail.
fn print_text(text: io::Result<Vec<u8>>) -> ExitCode {
    match text {
        Ok(text) => {
            let _ = io::stdout().lock().write_all(&text);
            ExitCode::SUCCESS
        }
        Err(error) => {
            output::print_error(&format!("cannot generate the manual page: {error}"));
            exit::failed()
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::arguments::program;

    use super::*;

    /// Maximum number of lines of the help of a command with [`FEW_OPTIONS`]; each further option may add a line.
    const MAX_LINES: usize = 20;

    /// Maximum number of options of a small command, `--help` among them.
    const FEW_OPTIONS: usize = 6;

    /// Maximum number of characters of a line.
    const MAX_WIDTH: usize = 130;

    /// Collects the words of every command without subcommands.
    fn commands(command: &Command, before: &[&str], found: &mut Vec<Vec<String>>) {
        let words = [before, &[command.get_name()]].concat();
        if command.has_subcommands() {
            command.get_subcommands().for_each(|inner| commands(inner, &words, found));
        } else {
            found.push(words.into_iter().map(str::to_owned).collect());
        }
    }

    /// Returns the help that a command shows.
    fn shown(words: &[String], flag: &str) -> String {
        let words = words.iter().map(String::as_str).chain([flag]);
        program().try_get_matches_from(words).expect_err("help is shown in place of matches").to_string()
    }

    #[test]
    fn every_command_is_in_a_group() {
        let program = program();
        program.clone().debug_assert();
        assert!(shown(&["larder".to_owned()], "--help").contains("\n  3  store or record not found\n"));
        for command in program.get_subcommands() {
            let is_listed = GROUPS.iter().any(|(_, names)| names.contains(&command.get_name()));
            assert!(is_listed, "{} is in no group", command.get_name());
        }
    }

    #[test]
    fn the_help_of_a_command_is_short_and_shows_its_own_options_with_an_example() {
        let mut found = Vec::new();
        commands(&program(), &[], &mut found);
        assert!(found.len() > 30, "{found:?}");
        for words in found.iter().filter(|words| words[1] != "serve") {
            for help in [shown(words, "-h"), shown(words, "--help")] {
                let widest = help.lines().map(|line| line.chars().count()).max().unwrap_or_default();
                assert!(widest <= MAX_WIDTH, "{words:?} has a line of {widest} characters:\n{help}");
                let (_, own) = help.split_once("Options:\n").expect("there are options");
                let options = own.lines().take_while(|line| !line.is_empty()).count();
                let (lines, most) = (help.lines().count(), MAX_LINES + options.saturating_sub(FEW_OPTIONS));
                assert!(lines <= most, "{words:?} has {lines} lines and not {most}:\n{help}");
                assert!(help.contains("Example: larder ") || help.contains("| larder "), "{words:?}:\n{help}");
                assert!(!help.contains("--max-record-size"), "{words:?}:\n{help}");
            }
        }
    }

    #[test]
    fn serve_shows_the_usual_settings_in_short_and_all_of_them_in_long() {
        let serve = ["larder".to_owned(), "serve".to_owned()];
        let (short, long) = (shown(&serve, "-h"), shown(&serve, "--help"));
        assert!(short.lines().count() <= 30, "{short}");
        assert!(short.contains("--listen") && !short.contains("--idle-timeout"), "{short}");
        for expected in ["--idle-timeout", "LARDER_MAX_RECORD_SIZE", "[default: 127.0.0.1:8011]"] {
            assert!(long.contains(expected), "{expected}: {long}");
        }
        assert!(!long.contains("--token") && !long.contains("--secret"), "{long}");
    }
}

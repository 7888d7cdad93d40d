//! `larder man` and `larder completions`: manual pages and shell completions, generated from the arguments.

use std::{
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

use super::{exit, output};

/// Prints the page of the command that `words` name below `program`, or of the program itself.
pub(super) fn page(program: Command, words: &[String]) -> ExitCode {
    let mut command = &mut ready(program);
    for word in words {
        let Some(found) = command.find_subcommand_mut(word) else {
            output::print_error(&format!("there is no command {word:?}; `larder help` lists those there are"));
            return exit::wrong_settings();
        };
        command = found;
    }
    let mut text = Vec::new();
    told(manual(command).render(&mut text).map(|()| text))
}

/// Writes the pages of the program and of all its commands into a folder.
pub(super) fn pages(program: Command, folder: &Path) -> ExitCode {
    match write_pages(&ready(program), folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::print_error(&format!("the pages cannot be written into {}: {error}", folder.display()));
            exit::failed()
        }
    }
}

fn write_pages(command: &Command, folder: &Path) -> io::Result<()> {
    manual(command).generate_to(folder)?;
    command.get_subcommands().try_for_each(|command| write_pages(command, folder))
}

fn manual(command: &Command) -> Man {
    Man::new(command.clone()).manual("Larder").source(concat!("Larder ", env!("CARGO_PKG_VERSION")))
}

/// Prints the completions for `shell`.
pub(super) fn completions(mut program: Command, shell: Shell) -> ExitCode {
    let mut text = Vec::new();
    let name = program.get_name().to_owned();
    clap_complete::generate(shell, &mut program, name, &mut text);
    told(Ok(text))
}

/// Returns the program with everything derived from its declaration: the names of its commands, and the global flags.
/// It has no page for help.
fn ready(program: Command) -> Command {
    let mut program = program.disable_help_subcommand(true);
    program.build();
    program
}

/// Prints a text. A reader may go away at any time; that is no reason to fail.
fn told(text: io::Result<Vec<u8>>) -> ExitCode {
    match text {
        Ok(text) => {
            let _ = io::stdout().lock().write_all(&text);
            ExitCode::SUCCESS
        }
        Err(error) => {
            output::print_error(&format!("the page cannot be made: {error}"));
            exit::failed()
        }
    }
}

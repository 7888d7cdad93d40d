//! Test of the documents for newcomers: the first session of the README and the tutorial (`docs/TUTORIAL.md`), each
//! in bash and in zsh. The commands of a document run in one shell, one after the other, and their output is compared
//! with the output that the document shows.

use std::fmt::Write;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use crate::backends::free_ports;
use crate::supervisor::Supervised;
use crate::{shell, tools};

/// Shells that the documents are for.
const SHELLS: [&str; 2] = ["bash", "zsh"];

/// Sections of the tutorial that are not run: the program and the clients are installed by then, by steps of their own.
const INSTALLING: [&str; 2] = ["Build it", "Install the clients"];

/// Sections of the README that are run.
const FIRST_SESSION: [&str; 1] = ["First session"];

/// Minimum number of blocks that a document runs: fewer were not found.
const MIN_BLOCKS: usize = 3;

/// Time that a document may take.
const DOCUMENT_TIMEOUT: Duration = Duration::from_mins(5);

/// Pause between two looks whether it has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Text in the output behind that of each block.
const MARK: &str = "-- done with block";

/// Commands, and lines that have to come out of them.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    section: String,
    language: String,
    commands: String,
    expected: Vec<String>,
}

/// Document that is run in a shell.
struct Tour {
    document: PathBuf,
    shell: &'static str,
    blocks: Vec<Block>,
    /// Folder that its shell starts in.
    folder: PathBuf,
    /// Commands before those of the document.
    opening: String,
}

/// Checks for the programs it needs beside Rust, Python and Node.js.
///
/// # Errors
/// Returns a message with the command that installs what is missing.
pub fn install() -> Result<(), String> {
    tools::need_curl_and_openssl()?;
    tools::need_zsh()
}

/// Runs the documents in all shells.
///
/// # Errors
/// Returns a message with what came out, when a command fails, or something else comes out than the document says.
pub fn run() -> Result<(), String> {
    let mut tours = Vec::new();
    for shell in SHELLS {
        tours.push(first_session(shell)?);
        tours.push(tutorial(shell)?);
    }
    // They wait for servers most of the time.
    let ended: Vec<Result<(), String>> = thread::scope(|scope| {
        let started: Vec<_> = tours.iter().map(|tour| scope.spawn(|| tour.run())).collect();
        started.into_iter().map(|tour| tour.join().unwrap_or_else(|_| Err("a document panicked".to_owned()))).collect()
    });
    ended.into_iter().collect()
}

/// Prepares the first session of the README, over a server with a new folder.
fn first_session(shell: &'static str) -> Result<Tour, String> {
    let document = shell::root().join("README.md");
    let folder = shell::target().join("quickstart").join(format!("session-{shell}"));
    let [port] = free_ports(0)?;
    let mut blocks = blocks(&read(&document)?.replace("8011", &port.to_string()));
    check_for_zsh(&document, &blocks)?;
    blocks.retain(|block| FIRST_SESSION.contains(&block.section.as_str()));
    let folder = empty(folder)?;
    link_clients(&folder)?;
    let opening = format!(
        "export LARDER_LISTEN=127.0.0.1:{port}\nlarder serve > larder.log 2>&1 &\n\
         until larder health > /dev/null 2>&1; do sleep 0.1; done\n"
    );
    Ok(Tour { document, shell, blocks, folder, opening })
}

/// Prepares the tutorial. The second shell has other fixed names and ports, as both run at the same time.
fn tutorial(shell: &'static str) -> Result<Tour, String> {
    let document = shell::root().join("docs").join("TUTORIAL.md");
    let mut text = read(&document)?;
    let mut name = "tutorial".to_owned();
    if shell != SHELLS[0] {
        let [port] = free_ports(0)?;
        name = format!("tutorial-{shell}");
        text = text.replace("8443", &port.to_string()).replace("target/tutorial", &format!("target/{name}"));
        text = text.replace("target/seaweedfs.log", &format!("target/seaweedfs-{shell}.log"));
    }
    let mut blocks = blocks(&text);
    check_for_zsh(&document, &blocks)?;
    blocks.retain(|block| !INSTALLING.contains(&block.section.as_str()));
    link_clients(&empty(shell::root().join("target").join(name))?)?;
    Ok(Tour { document, shell, blocks, folder: shell::root().to_owned(), opening: String::new() })
}

fn read(document: &Path) -> Result<String, String> {
    fs::read_to_string(document).map_err(|error| format!("{}: {error}", document.display()))
}

/// Makes a folder, without what an earlier run has left in it.
fn empty(folder: PathBuf) -> Result<PathBuf, String> {
    let emptied = if folder.exists() { fs::remove_dir_all(&folder) } else { Ok(()) };
    emptied.and_then(|()| fs::create_dir_all(&folder)).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(folder)
}

/// Puts the clients of the other steps where programs in `folder` find them.
fn link_clients(folder: &Path) -> Result<(), String> {
    let clients = shell::target().join("clients");
    let links = [("node_modules", clients.join("js").join("node_modules")), ("python", clients.join("python"))];
    links.iter().try_for_each(|(name, installed)| {
        symlink(installed, folder.join(name)).map_err(|error| format!("{}: {error}", folder.display()))
    })
}

/// Returns the blocks of a document, each with the lines that are shown below it.
fn blocks(document: &str) -> Vec<Block> {
    let (mut blocks, mut section): (Vec<Block>, _) = (Vec::new(), "");
    let mut lines = document.lines();
    // `true` if only empty lines came since the last block of commands.
    let mut is_below = false;
    while let Some(line) = lines.next() {
        if let Some(title) = line.strip_prefix("## ") {
            section = title;
        }
        if let Some(language) = line.strip_prefix("```") {
            let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            let is_run = ["sh", "js", "python"].contains(&language);
            if is_run {
                let (section, language, commands) = (section.to_owned(), language.to_owned(), body.join("\n"));
                blocks.push(Block { section, language, commands, expected: Vec::new() });
            } else if let Some(block) = blocks.last_mut().filter(|_| is_below) {
                block.expected = body.into_iter().map(str::to_owned).collect();
            }
            is_below = is_run;
        } else if !line.is_empty() {
            is_below = false;
        }
    }
    blocks
}

/// Fails with a comment among commands: zsh takes none from a terminal, and here the commands come from a file.
fn check_for_zsh(document: &Path, blocks: &[Block]) -> Result<(), String> {
    let is_comment = |line: &&str| line.trim_start().starts_with('#') || line.contains(" # ");
    let commands = blocks.iter().filter(|block| block.language == "sh").flat_map(|block| block.commands.lines());
    match commands.into_iter().find(is_comment) {
        Some(line) => Err(format!("{}: zsh takes no comment from a terminal: {line}", document.display())),
        None => Ok(()),
    }
}

impl Tour {
    fn run(&self) -> Result<(), String> {
        let (shown, started) = (format!("{} in {}", self.document.display(), self.shell), Instant::now());
        if self.blocks.len() < MIN_BLOCKS {
            return Err(format!("{shown}: there are only {} blocks of commands", self.blocks.len()));
        }
        let output = self.output()?;
        complaints(&self.blocks, &output).map_err(|complaint| format!("{shown}: {complaint}\n\n{output}"))?;
        println!("{shown}: {} blocks in {:.1} s", self.blocks.len(), started.elapsed().as_secs_f64());
        Ok(())
    }

    /// Returns what comes out of the commands, with a [`MARK`] behind each block up to the first that fails.
    fn output(&self) -> Result<String, String> {
        let name = self.document.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let folder = empty(shell::target().join("quickstart").join(format!("{name}-{}", self.shell)))?;
        let (script, log, supervised) = (folder.join("script"), folder.join("log"), folder.join("supervised"));
        let written = fs::create_dir_all(&supervised).and_then(|()| fs::write(&script, self.script()));
        let made = written.and_then(|()| File::create(&log));
        let file = made.map_err(|error| format!("{}: {error}", folder.display()))?;
        let mut command = Command::new(self.shell);
        // No start-up files of the user.
        command.args(if self.shell == "zsh" { &["-f"][..] } else { &[] }).arg(&script);
        for (variable, _) in std::env::vars_os() {
            let name = variable.to_string_lossy();
            if ["LARDER_", "AWS_", "CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|prefix| name.starts_with(prefix)) {
                command.env_remove(&variable);
            }
        }
        command.env("NO_PROXY", "127.0.0.1,localhost").env("no_proxy", "127.0.0.1,localhost");
        let mut tour = Supervised::start(&command, &supervised, file)?;
        let deadline = Instant::now() + DOCUMENT_TIMEOUT;
        while tour.ended().is_none() && Instant::now() < deadline {
            sleep(POLL_INTERVAL);
        }
        drop(tour);
        fs::read_to_string(&log).map_err(|error| format!("{}: {error}", log.display()))
    }

    fn script(&self) -> String {
        let (built, python) =
            (shell::target().join("debug"), shell::target().join("clients").join("python").join("bin"));
        let mut script = format!(
            "set -euo pipefail\ncd '{}'\nexport PATH='{}':'{}':\"$PATH\"\n{}",
            self.folder.display(),
            built.display(),
            python.display(),
            self.opening
        );
        for (index, Block { language, commands, .. }) in self.blocks.iter().enumerate() {
            let commands = match language.as_str() {
                "js" => format!("node --input-type=module - <<'END OF PROGRAM'\n{commands}\nEND OF PROGRAM"),
                "python" => format!("python3 - <<'END OF PROGRAM'\n{commands}\nEND OF PROGRAM"),
                _ => commands.clone(),
            };
            // Writing to a string cannot fail.
            let _ = write!(script, "{commands}\necho; echo '{MARK} {index}'\n");
        }
        script
    }
}

/// Fails with the first block that did not come to its end, or out of which something else came.
fn complaints(blocks: &[Block], output: &str) -> Result<(), String> {
    let mut rest = output;
    for (index, block) in blocks.iter().enumerate() {
        let mark = format!("\n{MARK} {index}\n");
        let Some((part, further)) = rest.split_once(&mark) else {
            return Err(format!("under {:?} this fails:\n{}", block.section, block.commands));
        };
        rest = further;
        let lines: Vec<&str> = part.lines().collect();
        let missing = block.expected.iter().find(|expected| !lines.iter().any(|line| is_like(line, expected)));
        if let Some(missing) = missing {
            return Err(format!("under {:?} this does not come out: {missing}", block.section));
        }
    }
    Ok(())
}

/// Returns `true` if a line is as expected, where `…` stands for anything.
fn is_like(line: &str, expected: &str) -> bool {
    let Some((first, others)) = expected.split_once('…') else { return line == expected };
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = others.split('…').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match rest.split_once(part) {
            Some((_, further)) => rest = further,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_have_the_lines_that_are_shown_below_them() {
        let document = "## One\n```text\nno\n```\n```sh\na\nb\n```\n\n```text\nx…\n```\nwords\n```text\nno\n```\n## Two\n```js\nc\n```\n";
        let block = |section: &str, language: &str, commands: &str, expected: &[&str]| Block {
            section: section.to_owned(),
            language: language.to_owned(),
            commands: commands.to_owned(),
            expected: expected.iter().map(|line| (*line).to_owned()).collect(),
        };
        assert_eq!(blocks(document), [block("One", "sh", "a\nb", &["x…"]), block("Two", "js", "c", &[])]);
    }

    #[test]
    fn what_fails_or_comes_out_otherwise_is_named() {
        let blocks = blocks("## One\n```sh\na\n```\n\n```text\nx…z\n```\n## Two\n```sh\nc\n```\n");
        let whole = format!("xyz\n\n{MARK} 0\n\n{MARK} 1\n");
        assert_eq!(complaints(&blocks, &whole), Ok(()));
        assert!(complaints(&blocks, &whole.replace('z', "y")).unwrap_err().contains("does not come out: x…z"));
        assert!(complaints(&blocks, &whole.replace(" 1", "")).unwrap_err().contains("under \"Two\" this fails"));
    }

    #[test]
    fn comments_among_commands_are_refused() {
        let checked = |line: &str| check_for_zsh(Path::new("a.md"), &blocks(&format!("```sh\n{line}\n```\n"))).is_ok();
        assert!(checked("curl \"a#b\"") && !checked("curl a # b") && !checked("# curl"));
    }

    #[test]
    fn an_ellipsis_stands_for_anything() {
        for (line, expected) in [("abc", "abc"), ("abc", "…"), ("abc", "a…"), ("abc", "…c"), ("abcabc", "a…b…c")]
        {
            assert!(is_like(line, expected), "{line} {expected}");
        }
        for (line, expected) in [("abc", "ab"), ("abc", "b…"), ("abc", "…b"), ("abc", "a…x…"), ("", "a")] {
            assert!(!is_like(line, expected), "{line} {expected}");
        }
    }
}

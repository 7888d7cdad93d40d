//! The tools that the tests need beside cargo. Some are installed without a question: components of the Rust toolchain,
//! and Debian packages when this runs as root. Anything else fails at once, with the command that helps.

use std::process::Command;

use crate::shell;

/// The oldest Node.js that the official command line runs on.
const NODE_MAJOR: u32 = 20;

/// Makes sure of rustfmt and clippy.
///
/// # Errors
/// Returns a message with the command that installs what is missing.
pub fn need_components() -> Result<(), String> {
    for (component, subcommand) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        let installed = || shell::output("cargo", &[subcommand, "--version"]).is_some();
        if !installed() {
            let added = shell::run(shell::program_at_root("rustup").args(["component", "add", component]));
            if added.is_err() || !installed() {
                return Err(format!("{component} is missing; install it with: rustup component add {component}"));
            }
        }
    }
    Ok(())
}

/// Makes sure of Node.js and npm.
///
/// # Errors
/// Returns a message with the command that installs what is missing.
pub fn need_node() -> Result<(), String> {
    let installed =
        || shell::output("node", &["--version"]).is_some() && shell::output("npm", &["--version"]).is_some();
    if !installed() {
        install_packages(&["nodejs", "npm"]);
    }
    let version = shell::output("node", &["--version"]).filter(|_| installed());
    match version.as_deref().and_then(major) {
        Some(major) if major >= NODE_MAJOR => Ok(()),
        Some(major) => Err(format!(
            "Node.js {major} is too old for the official command line; install {NODE_MAJOR} or newer with: \
             npm install --global n && n {NODE_MAJOR}"
        )),
        None => Err(format!(
            "Node.js and npm are missing; install Node.js {NODE_MAJOR} or newer with: apt-get install nodejs npm \
             (or from https://nodejs.org/en/download)"
        )),
    }
}

/// Makes sure of a browser of Chromium's kind, and says where it is.
///
/// # Errors
/// Returns a message with the command that installs one.
pub fn need_chromium() -> Result<String, String> {
    let installed = || {
        let found = shell::output(
            "sh",
            &["-c", "command -v chromium || command -v chromium-browser || command -v google-chrome"],
        )?;
        shell::output(&found, &["--version"]).map(|_| found)
    };
    if let Some(path) = installed() {
        return Ok(path);
    }
    install_packages(&["chromium"]);
    installed().ok_or_else(|| "Chromium is missing; install it with: apt-get install chromium".to_owned())
}

/// Makes sure of `strace`, by which a test knows what a process did to files.
///
/// # Errors
/// Returns a message with the command that installs it.
pub fn need_strace() -> Result<(), String> {
    let is_installed = || shell::output("strace", &["-V"]).is_some();
    if !is_installed() {
        install_packages(&["strace"]);
    }
    if is_installed() { Ok(()) } else { Err("strace is missing; install it with: apt-get install strace".to_owned()) }
}

/// Makes sure of `man`, which shows the pages of the manual, and of `bash`, which loads the completions.
///
/// # Errors
/// Returns a message with the command that installs them.
pub fn need_man_and_bash() -> Result<(), String> {
    let are_installed =
        || ["man", "bash", "groff"].iter().all(|program| shell::output(program, &["--version"]).is_some());
    if !are_installed() {
        install_packages(&["man-db", "groff-base", "bash"]);
    }
    let missing = "man, groff or bash is missing; install them with: apt-get install man-db groff-base bash";
    if are_installed() { Ok(()) } else { Err(missing.to_owned()) }
}

/// Makes sure of `haproxy`, the balancer before gateways that are restarted.
///
/// # Errors
/// Returns a message with the command that installs it.
pub fn need_haproxy() -> Result<(), String> {
    let is_installed = || shell::output("haproxy", &["-v"]).is_some();
    if !is_installed() {
        install_packages(&["haproxy"]);
    }
    if is_installed() { Ok(()) } else { Err("haproxy is missing; install it with: apt-get install haproxy".to_owned()) }
}

/// Makes sure of `zsh`, in which the documents are run beside bash.
///
/// # Errors
/// Returns a message with the command that installs it.
pub fn need_zsh() -> Result<(), String> {
    let is_installed = || shell::output("zsh", &["--version"]).is_some();
    if !is_installed() {
        install_packages(&["zsh"]);
    }
    if is_installed() { Ok(()) } else { Err("zsh is missing; install it with: apt-get install zsh".to_owned()) }
}

/// Makes sure of `curl` and `openssl`, which the documents use.
///
/// # Errors
/// Returns a message with the command that installs them.
pub fn need_curl_and_openssl() -> Result<(), String> {
    let are_installed =
        || shell::output("curl", &["--version"]).is_some() && shell::output("openssl", &["version"]).is_some();
    if !are_installed() {
        install_packages(&["curl", "openssl"]);
    }
    let missing = "curl or openssl is missing; install them with: apt-get install curl openssl";
    if are_installed() { Ok(()) } else { Err(missing.to_owned()) }
}

/// Installs Debian packages if that is possible here. The caller checks whether it helped.
pub fn install_packages(packages: &[&str]) {
    let root = shell::output("id", &["-u"]).is_some_and(|id| id == "0");
    if root && shell::output("apt-get", &["--version"]).is_some() {
        let apt = |arguments: &[&str]| -> Command {
            let mut command = shell::program_at_root("apt-get");
            command.env("DEBIAN_FRONTEND", "noninteractive").args(arguments);
            command
        };
        let install: Vec<&str> =
            ["install", "--yes", "--no-install-recommends"].iter().chain(packages).copied().collect();
        // Failures are printed by apt-get itself, and shown again by the check that follows.
        let _ = shell::run(&mut apt(&["update", "--quiet"])).and_then(|()| shell::run(&mut apt(&install)));
    }
}

/// Returns the first number of a version such as `v20.20.2`.
fn major(version: &str) -> Option<u32> {
    version.trim_start_matches('v').split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_the_first_number() {
        assert_eq!(major("v20.20.2"), Some(20));
        assert_eq!(major("22"), Some(22));
        assert_eq!(major("nightly"), None);
    }
}

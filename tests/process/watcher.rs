//! Watcher over the processes of the tests: they end with the tests, also where those are killed. A shell beside the
//! tests reads the ids of processes from a pipe, and kills those that still run when the pipe is closed. The system
//! closes it however the tests end.

use std::{
    io::Write,
    os::unix::process::CommandExt,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{LazyLock, Mutex, PoisonError},
};

/// Keeps a variable for each process, and at the end of its input kills those that are `alive`.
const SCRIPT: &str = "while read -r id state; do eval \"watched_$id=$state\"; done; \
                      set | sed -n \"s/^watched_\\([0-9]*\\)='\\{0,1\\}alive.*/\\1/p\" | xargs -r kill -KILL";

#[expect(clippy::zombie_processes, reason = "it ends after these tests")]
static WATCHER: LazyLock<Mutex<ChildStdin>> = LazyLock::new(|| {
    let mut shell = Command::new("sh");
    // In a group of its own, so that what interrupts the tests does not end it first.
    shell.args(["-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let mut shell = shell.spawn().expect("a shell starts");
    Mutex::new(shell.stdin.take().expect("it is piped"))
});

/// A process that ends with the test that started it, also where the test fails, and with all tests where those are killed.
pub struct Watched(Child);

impl Watched {
    pub fn new(child: Child) -> Self {
        tell(child.id(), "alive");
        Self(child)
    }
}

impl std::ops::Deref for Watched {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl std::ops::DerefMut for Watched {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.0.kill();
        // Before its id may become that of another process.
        tell(self.0.id(), "ended");
        let _ = self.0.wait();
    }
}

fn tell(id: u32, state: &str) {
    let mut watcher = WATCHER.lock().unwrap_or_else(PoisonError::into_inner);
    writeln!(watcher, "{id} {state}").expect("the watcher reads");
}

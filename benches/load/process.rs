//! Resource usage of a process, as Linux reports it in `/proc`.

use std::{fs, time::Duration};

use crate::figures::Outcome;

/// One unit of the times in `/proc/{id}/stat`: `USER_HZ` is 100 on every architecture that Larder runs on.
const TICK: Duration = Duration::from_millis(10);

/// Returns the processor time a process has used in all its threads, those included that have ended; in steps of 10 ms.
pub fn cpu(id: u32) -> Outcome<Duration> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The name of the program, in parentheses, may hold blanks; 11 fields on stands the time in user mode, then the
    // time in the kernel (`proc_pid_stat(5)`).
    let (_, fields) = stat.rsplit_once(") ").ok_or("/proc/{id}/stat has no program name")?;
    let mut ticks = 0_u32;
    for field in fields.split(' ').skip(11).take(2) {
        ticks += field.parse::<u32>()?;
    }
    Ok(TICK * ticks)
}

/// Returns the peak memory of a process, in KiB, since it started or since [`forget_peak`].
pub fn peak_kib(id: u32) -> Outcome<u32> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let figure = line.and_then(|line| line.split_whitespace().next()).ok_or("the process has no VmHWM")?;
    Ok(figure.parse()?)
}

/// Lets the peak begin again at what the process has now (`proc_pid_clear_refs(5)`).
pub fn forget_peak(id: u32) -> Outcome<()> {
    Ok(fs::write(format!("/proc/{id}/clear_refs"), "5")?)
}

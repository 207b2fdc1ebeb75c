//! The process that holds a lock, as another one on the same machine can find out about it.

use serde::{Deserialize, Serialize};

/// A process, so that it can be told from all others: ids of processes are given again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Process {
    /// The machine since it was started last (`/proc/sys/kernel/random/boot_id`), its name, and the name space of the id.
    machine: String,
    /// Its id.
    id: i32,
    /// When it began, in ticks since the machine was started (`starttime` in proc(5)).
    began: u64,
}

impl Process {
    /// This one; `None` where there is no `/proc` that says so.
    pub(super) fn own() -> Option<Self> {
        let id = i32::try_from(std::process::id()).ok()?;
        let link = |path: &str| Some(std::fs::read_link(path).ok()?.to_str()?.to_owned());
        let text = |path: &str| Some(std::fs::read_to_string(path).ok()?.trim().to_owned());
        // A `/proc` of another name space has other ids.
        if link("/proc/self")? != id.to_string() {
            return None;
        }
        let boot = text("/proc/sys/kernel/random/boot_id").filter(|boot| !boot.is_empty())?;
        let machine = format!("{boot} {} {}", text("/proc/sys/kernel/hostname")?, link("/proc/self/ns/pid")?);
        Some(Process { machine, id, began: began(id)? })
    }

    /// Whether it was one of this machine and has ended. One elsewhere, or that nothing is known of, has not.
    pub(super) fn has_ended(&self) -> bool {
        Process::own().is_some_and(|own| own.machine == self.machine)
            && (is_unused(self.id) || began(self.id).is_some_and(|began| began != self.began))
    }
}

/// Whether no process has an id. That its directory in `/proc` cannot be seen says nothing (`hidepid`).
#[cfg(target_os = "linux")]
fn is_unused(id: i32) -> bool {
    let id = (id > 0).then(|| rustix::process::Pid::from_raw(id)).flatten();
    id.is_some_and(|id| rustix::process::test_kill_process(id) == Err(rustix::io::Errno::SRCH))
}

#[cfg(not(target_os = "linux"))]
fn is_unused(_: i32) -> bool {
    false
}

fn began(id: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name, in brackets, may hold anything; the state behind it is field 3, and this is field 22.
    let (_, behind) = stat.rsplit_once(')')?;
    behind.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_not_ended() {
        let own = Process::own().expect("there is a /proc");
        assert!(!own.has_ended());
        assert!(own.began > 0);
    }

    #[test]
    fn a_process_that_was_waited_for_has_ended_and_one_that_runs_has_not() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("it runs");
        let id = i32::try_from(child.id()).expect("an id");
        let own = Process::own().expect("there is a /proc");
        let process = Process { id, began: began(id).expect("a time"), ..own.clone() };
        assert!(!process.has_ended());
        let before = Process { began: process.began - 1, ..process.clone() };
        assert!(before.has_ended(), "the id was given to another process since");
        child.kill().expect("killed");
        child.wait().expect("its end");
        assert!(process.has_ended());
    }

    #[test]
    fn nothing_is_said_of_processes_elsewhere() {
        let own = Process::own().expect("there is a /proc");
        let elsewhere = Process { machine: "another".to_owned(), began: own.began + 1, ..own.clone() };
        assert!(!elsewhere.has_ended());
        for id in [0, -1, i32::MIN] {
            assert!(!Process { id, ..own.clone() }.has_ended(), "{id}");
        }
    }
}

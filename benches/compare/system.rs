//! What the operating system says about a process and about the machine.

use std::fs;
use std::process;
use std::time::Duration;

/// Linux's USER_HZ: what `/proc/PID/stat` counts in on every architecture that Gatefort is built for.
const TICK: Duration = Duration::from_millis(10);

/// By how much the two counts may differ before the coarse one is believed.
const COARSENESS: Duration = Duration::from_millis(30);

/// What a process has used of the processors, by both of the system's counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CpuTime {
    /// User and system time from `/proc/PID/stat`, in ticks of 10 ms.
    coarse: Duration,
    /// The same from the scheduler, in nanoseconds, of the threads that are alive.
    fine: Duration,
}

impl CpuTime {
    /// What the process has used since it started.
    pub(crate) fn of(pid: u32) -> Self {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))
            .unwrap_or_else(|error| panic!("process {pid} has no stat: {error}"));
        // The program's name is in parentheses and may hold spaces; utime and stime are fields 14 and 15.
        let (_, fields) = stat
            .rsplit_once(')')
            .expect("a stat line names its program");
        let ticks: u32 = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|field| field.parse::<u32>().expect("ticks are a number"))
            .sum();
        let fine = fs::read_dir(format!("/proc/{pid}/task"))
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok())
            .map(|line| on_processor(&line))
            .sum();
        Self {
            coarse: TICK * ticks,
            fine,
        }
    }

    /// What several processes have used.
    pub(crate) fn of_all(pids: &[u32]) -> Self {
        let all = || pids.iter().map(|pid| Self::of(*pid));
        Self {
            coarse: all().map(|time| time.coarse).sum(),
            fine: all().map(|time| time.fine).sum(),
        }
    }

    /// What was used since an earlier look: the fine count, unless a thread has ended and taken its share along.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        let fine = self.fine.saturating_sub(earlier.fine);
        let coarse = self.coarse.saturating_sub(earlier.coarse);
        if fine + COARSENESS < coarse {
            coarse
        } else {
            fine
        }
    }
}

/// What this thread alone has used of the processors.
pub(crate) fn own_thread() -> Duration {
    // The scheduler brings a running thread's count up to date when it is asked who runs next.
    std::thread::yield_now();
    fs::read_to_string("/proc/thread-self/schedstat")
        .map(|line| on_processor(&line))
        .expect("the scheduler says what a thread has used")
}

fn on_processor(schedstat: &str) -> Duration {
    let nanoseconds = schedstat.split_whitespace().next();
    Duration::from_nanos(nanoseconds.and_then(|n| n.parse().ok()).unwrap_or_default())
}

/// The processes that this one has started, and those that they have.
pub(crate) fn descendants() -> Vec<u32> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            // After the name in parentheses: the state, then the parent.
            let (_, fields) = stat.rsplit_once(')')?;
            let parent = fields.split_whitespace().nth(1)?.parse().ok()?;
            Some((pid, parent))
        })
        .collect();
    let mut found = vec![process::id()];
    let mut at = 0;
    while let Some(above) = found.get(at).copied() {
        let below = parents.iter().filter(|(_, parent)| *parent == above);
        found.extend(below.map(|(pid, _)| *pid));
        at += 1;
    }
    found.split_off(1)
}

/// The memory that a process holds now, in MiB.
pub(crate) fn resident_mib(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))
        .unwrap_or_else(|error| panic!("process {pid} has no status: {error}"));
    let kib: f64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|kib| kib.parse().ok())
        .expect("a process has a resident size");
    kib / 1024.0
}

/// The processor's name and how many there are.
pub(crate) fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown", |rest| rest.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{model}, {cores} cores, Linux {}", kernel.trim())
}

/// How many were running or waiting to, over the last minute and the last five.
pub(crate) fn load() -> String {
    let averages = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    averages
        .split_whitespace()
        .take(2)
        .collect::<Vec<_>>()
        .join(", ")
}

/// The revision that was built, and whether anything was changed since.
pub(crate) fn revision() -> String {
    let git = |arguments: &[&str]| {
        let output = process::Command::new("git")
            .args(arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .ok()?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let head = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_default();
    let changed = git(&[
        "status",
        "--porcelain",
        "--",
        "src",
        "Cargo.lock",
        "Cargo.toml",
    ]);
    match changed.as_deref() {
        Some("") => head,
        _ => format!("{head} with changes"),
    }
}

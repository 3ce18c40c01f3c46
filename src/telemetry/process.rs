//! What the operating system says about this process, where it says it in text (`/proc`).

/// The bytes of memory that are resident.
pub(super) fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// How many file descriptors are open.
pub(super) fn open_files() -> Option<u64> {
    let open = std::fs::read_dir("/proc/self/fd").ok()?.count();
    // The directory being read is one of them.
    u64::try_from(open.saturating_sub(1)).ok()
}

/// How many file descriptors this process may open; `None` where that is unknown or unlimited.
#[must_use]
pub fn max_open_files() -> Option<u64> {
    parse_max_open_files(&std::fs::read_to_string("/proc/self/limits").ok()?)
}

fn parse_max_open_files(limits: &str) -> Option<u64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// When the process started, in seconds since 1970.
pub(super) fn start_time_seconds() -> Option<f64> {
    let own = std::fs::read_to_string("/proc/self/stat").ok()?;
    let system = std::fs::read_to_string("/proc/stat").ok()?;
    parse_start_time(&own, &system)
}

/// From `/proc/self/stat` (field 22, after boot) and `/proc/stat` (boot, since 1970).
fn parse_start_time(own: &str, system: &str) -> Option<f64> {
    /// What Linux counts such times in for every program, whatever its own clock does (`USER_HZ`).
    const TICKS_PER_SECOND: f64 = 100.0;
    // The second field is a name in parentheses that may hold anything.
    let (_, fields) = own.rsplit_once(") ")?;
    let ticks: f64 = fields.split_whitespace().nth(19)?.parse().ok()?;
    let boot = system
        .lines()
        .find_map(|line| line.strip_prefix("btime "))?;
    Some(boot.trim().parse::<f64>().ok()? + ticks / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_by_name() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max processes             15000                15000                processes\n\
                      Max open files            1024                 524288               files\n";
        assert_eq!(parse_max_open_files(limits), Some(1024));
        assert_eq!(
            parse_max_open_files("Max open files            unlimited            unlimited files"),
            None
        );
        assert_eq!(parse_max_open_files(""), None);
    }

    #[test]
    fn the_start_is_counted_from_boot() {
        let own = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4250 9 9";
        let start = parse_start_time(own, "cpu 1 2\nbtime 1700000000\nprocesses 3\n");
        assert_eq!(start, Some(1_700_000_042.5));
        assert_eq!(parse_start_time("", ""), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn linux_says_all() {
        assert!(resident_bytes().is_some_and(|bytes| bytes > 1024 * 1024));
        assert!(open_files().is_some_and(|open| open >= 3));
        assert!(start_time_seconds().is_some_and(|start| start > 1.0e9));
    }
}

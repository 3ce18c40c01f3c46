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

    #[cfg(target_os = "linux")]
    #[test]
    fn linux_says_all_three() {
        assert!(resident_bytes().is_some_and(|bytes| bytes > 1024 * 1024));
        assert!(open_files().is_some_and(|open| open >= 3));
    }
}

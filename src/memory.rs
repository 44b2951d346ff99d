//! How much memory this machine has left, to refuse what cannot be held before it is begun.

use crate::units::Bytes;

/// Bytes that programs may still take; nothing where the system does not say.
pub fn free() -> Option<u64> {
    available(&std::fs::read_to_string("/proc/meminfo").ok()?)
}

fn available(about: &str) -> Option<u64> {
    let line = about.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Where so many bytes do not fit: how many are needed and how many there are.
pub fn lacks(bytes: u64) -> Option<String> {
    let free = free().filter(|free| bytes > *free)?;
    Some(format!("{} of memory, and {} are free here", Bytes(bytes as f64), Bytes(free as f64)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_free_is_read_from_what_the_system_tells() {
        let about = "MemTotal:       24576000 kB\nMemFree:          100 kB\nMemAvailable:   2048 kB\n";
        assert_eq!(available(about), Some(2 << 20));
        assert_eq!(available("MemFree: 100 kB\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_no_machine_has_is_lacking_and_a_page_is_not() {
        assert_eq!(lacks(4096), None);
        assert!(lacks(1 << 60).unwrap().contains("of memory, and "));
    }
}

//! Memory of the process: keep what was freed for the tensors that come next.

/// Tells the C library to keep freed memory for later, instead of handing it back to the system.
///
/// A training step frees and asks for the same large tensors again and again; handed back, each
/// page has to be cleared and mapped anew. The price: the process stays as large as it once was.
/// For the beginning of a program; returns whether anything was changed, which is so with glibc
/// alone.
pub fn keep_freed_memory() -> bool {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // Of a single block, glibc accepts no more than 32 MiB here.
        let settings =
            [(libc::M_MMAP_THRESHOLD, 32 << 20), (libc::M_TRIM_THRESHOLD, libc::c_int::MAX)];
        // SAFETY: `mallopt` takes any setting and value, and may be called at any time.
        settings.into_iter().all(|(setting, value)| unsafe { libc::mallopt(setting, value) } == 1)
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    false
}

#[cfg(test)]
mod tests {
    #[test]
    fn glibc_accepts_the_settings() {
        let is_glibc = cfg!(all(target_os = "linux", target_env = "gnu"));
        assert_eq!(super::keep_freed_memory(), is_glibc);
    }
}

//! Memory of the process: keep what was freed for the tensors that come next.

/// Tells the C library to keep freed memory for later, instead of handing it back to the system.
///
/// A training step frees and asks for the same large tensors again and again; handed back, each
/// page has to be cleared and mapped anew. The price: the process stays as large as it once was.
///
/// It belongs at the beginning of a program, before any other thread: glibc's `mallopt` may not
/// run beside one that allocates. The first call decides; where other threads live by then, and
/// where the C library is not glibc on Linux, it changes nothing. Returns whether freed memory is
/// kept.
///
/// ```standalone_crate
/// # if cfg!(all(target_os = "linux", target_env = "gnu")) {
/// // The first line of `main`.
/// assert!(model_utils::memory::keep_freed_memory());
/// # }
/// ```
pub fn keep_freed_memory() -> bool {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        static IS_KEPT: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
        *IS_KEPT.get_or_init(|| is_only_thread() && set())
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    false
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn is_only_thread() -> bool {
    std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1)
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn set() -> bool {
    // Of a single block, glibc accepts no more than 32 MiB here.
    let settings = [(libc::M_MMAP_THRESHOLD, 32 << 20), (libc::M_TRIM_THRESHOLD, libc::c_int::MAX)];
    // SAFETY: `mallopt` takes any setting and value. It is not safe beside other threads
    // (`MT-Unsafe init const:mallopt`); this is the only one, and no other can start one.
    settings.into_iter().all(|(setting, value)| unsafe { libc::mallopt(setting, value) } == 1)
}

#[cfg(test)]
mod tests {
    #[test]
    fn beside_other_threads_nothing_is_changed() {
        std::thread::scope(|scope| {
            // A second one at least, whatever the tests run on.
            let (send, wait) = std::sync::mpsc::channel::<()>();
            scope.spawn(move || wait.recv());
            assert!(!super::keep_freed_memory());
            drop(send);
        });
    }
}

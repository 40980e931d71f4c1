//! Memory of the process: keep what was freed for the tensors that come next, and tell how much was
//! held.

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

/// The most memory that the process holds from now on, above what it holds now.
///
/// ```
/// # use model_utils::memory::Peak;
/// let peak = Peak::start();
/// let bytes = vec![1_u8; 64 << 20];
/// # std::hint::black_box(&bytes);
/// if let Some(most) = peak.bytes() {
///     assert!(most > 60 << 20);
/// }
/// ```
#[derive(Debug)]
pub struct Peak {
    /// Bytes resident at the start, where the system's own counter could be set back.
    before: Option<u64>,
}

impl Peak {
    /// Hands back what is free, and begins to watch.
    pub fn start() -> Self {
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        // SAFETY: `malloc_trim` may run beside any other thread.
        unsafe {
            libc::malloc_trim(0);
        }
        // 5 sets the peak back to what is resident now.
        let is_reset = std::fs::write("/proc/self/clear_refs", "5").is_ok();
        Self { before: status("VmRSS:").filter(|_| is_reset) }
    }

    /// Bytes of the whole process at the most since then, above those at the start; `None` where the system does not
    /// tell (it is Linux that does).
    pub fn bytes(&self) -> Option<u64> {
        Some(status("VmHWM:")?.saturating_sub(self.before?))
    }
}

/// A line of the process's status, in bytes.
fn status(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(1024 * line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_peak_is_seen_after_it_and_forgotten_by_the_next() {
        let peak = super::Peak::start();
        if peak.bytes().is_none() {
            return;
        }
        drop(std::hint::black_box(vec![1_u8; 256 << 20]));
        // Other tests run beside this one.
        assert!(peak.bytes().unwrap() >= 200 << 20);
        assert!(super::Peak::start().bytes().unwrap() < 100 << 20);
    }

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

//! Panics that a test expects: told to the test, not to the terminal.

use std::cell::RefCell;
use std::panic::{PanicHookInfo, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// The messages on this thread since they were last taken; `None` where they are printed.
    static TOLD: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// From now on panics of this thread are told to [`take`].
pub fn silence() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            let told = TOLD.with(|told| {
                told.borrow_mut().as_mut().map(|told| told.push(message(info))).is_some()
            });
            // Threads without a name are those among which an operation divides its work.
            if !told && std::thread::current().name().is_some() {
                before(info);
            }
        }));
    });
    TOLD.with(|told| *told.borrow_mut() = Some(Vec::new()));
}

/// The messages of this thread's panics since the last call.
pub fn take() -> Vec<String> {
    TOLD.with(|told| told.borrow_mut().as_mut().map(std::mem::take).unwrap_or_default())
}

fn message(info: &PanicHookInfo) -> String {
    info.payload_as_str().unwrap_or("without a message").to_owned()
}

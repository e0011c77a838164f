//! The library as a part of another shared library, for the cases in which a process has more than one copy.

mod guest;

use std::panic::catch_unwind;
use std::sync::{Mutex, OnceLock, PoisonError};

use guest::{Guest, Host};

static OLD: Mutex<Option<Guest>> = Mutex::new(None);

fn host() -> &'static Host {
    static HOST: OnceLock<Host> = OnceLock::new();
    HOST.get_or_init(|| Host::new(&seqfault::Config::new()).unwrap())
}

fn status(body: impl FnOnce() + std::panic::UnwindSafe) -> i32 {
    i32::from(catch_unwind(body).is_err())
}

/// Makes a guest and does all that it can. Zero when that went well.
#[unsafe(no_mangle)]
pub extern "C" fn seqfault_copy_use_all() -> i32 {
    status(|| {
        let guest = host().use_all();
        *OLD.lock().unwrap_or_else(PoisonError::into_inner) = Some(guest);
    })
}

/// The same with the guest that was made last. Zero when that went well.
#[unsafe(no_mangle)]
pub extern "C" fn seqfault_copy_use_old() -> i32 {
    status(|| {
        let mut old = OLD.lock().unwrap_or_else(PoisonError::into_inner);
        let guest = old.as_mut().expect("made before");
        guest.touch();
        guest.trap();
    })
}

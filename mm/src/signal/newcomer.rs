//! Newcomers: describing the handler that is in the place of ours.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::ptr;

/// Symbol, file and address of a handler, as far as the dynamic linker knows them.
pub(super) fn describe(action: &libc::sigaction) -> String {
    let addr = action.sa_sigaction;
    match addr {
        libc::SIG_DFL => return "the default action".to_owned(),
        libc::SIG_IGN => return "SIG_IGN".to_owned(),
        _ => {}
    }
    let (symbol, file) = find(addr);
    match (symbol, file) {
        (Some(symbol), Some(file)) => format!("`{symbol}` of {file} ({addr:#x})"),
        (None, Some(file)) => format!("a function of {file} ({addr:#x})"),
        _ => format!("the function at {addr:#x}"),
    }
}

fn find(addr: usize) -> (Option<String>, Option<String>) {
    let mut info = MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: any address may be asked for; the structure is writable.
    let found = unsafe { libc::dladdr(ptr::with_exposed_provenance(addr), info.as_mut_ptr()) };
    if found == 0 {
        return (None, None);
    }
    // SAFETY: all its fields may be zero, and the call succeeded.
    let info = unsafe { info.assume_init() };
    let text = |name: *const libc::c_char| {
        // SAFETY: null, or a string of the loaded object, which contains the handler.
        (!name.is_null())
            .then(|| unsafe { CStr::from_ptr(name) }.to_string_lossy().escape_debug().to_string())
    };
    // dladdr(3) gives the nearest symbol below, which may be far away: it is the handler's name only if it begins
    // there.
    let symbol = text(info.dli_sname).filter(|_| info.dli_saddr.addr() == addr);
    (symbol, text(info.dli_fname))
}

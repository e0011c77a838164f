//! Frames of compiled code: following their frame pointers.
//!
//! A wasm frame starts with its caller's frame pointer; the return address is behind it. A run of
//! wasm frames ends at the frame of the entry trampoline through which the run was entered, which
//! holds the store. All frames in between are compiled code, and each is above the one before. A
//! chain that violates this means that memory is corrupt, and the process ends ([`broken`]): a
//! collection would otherwise miss references, or an exception continue at a wild address.
//!
//! # Functions without frames
//!
//! At present every function sets up a frame. A function without one must not call. Then only a
//! trap can happen in it, and the frame pointer is its caller's. Such a function would say so in
//! its [`CodeKind`], with the distance from the stack pointer to the return address. The signal
//! handler, which knows the stack pointer, would read that return address and start from there.

use seqfault_jit::code::{self, CodeKind, CodeUnit};
use seqfault_jit::vm::VMStoreContext;
use std::ops::ControlFlow;

/// Visits each frame from `fp` up to `entry_fp`. `visit` gets the unit of the frame's code, an
/// address in the frame's present instruction (for a call, its last byte), and the frame pointer.
/// Stops when it is told to, or at the trampoline.
///
/// # Safety
///
/// `fp` must be the frame pointer of the innermost wasm frame of a run that was entered by the
/// trampoline with the frame `entry_fp`, and that frame must be at `pc`. Nothing may execute
/// meanwhile on the run's stack below these frames.
pub(super) unsafe fn walk<B>(
    mut pc: usize,
    mut fp: usize,
    entry_fp: usize,
    mut visit: impl FnMut(&CodeUnit, usize, usize) -> ControlFlow<B>,
) -> ControlFlow<B, usize> {
    while fp != entry_fp {
        // SAFETY: code that is on the stack of a live store stays published.
        let Some(unit) = (unsafe { code::lookup(pc) }) else {
            broken("a frame is not one of compiled code")
        };
        visit(unit, pc, fp)?;
        // SAFETY: the caller's promise.
        match unsafe { caller(fp) } {
            Some(outer) if outer.fp <= entry_fp => (pc, fp) = (outer.pc, outer.fp),
            _ => broken("its frames do not end at the one that it was entered by"),
        }
    }
    ControlFlow::Continue(pc)
}

/// Checks that a run belongs to this store: that it was entered by the trampoline with the frame
/// `entry_fp`, in which the outermost frame is at `pc`.
///
/// # Safety
///
/// `entry_fp` must be the frame pointer of a frame on a stack.
pub(super) unsafe fn check_entry(pc: usize, entry_fp: usize, store: *const VMStoreContext) {
    // SAFETY: the caller's promise; code that is on the stack of a live store stays published.
    let entered = unsafe { code::lookup(pc).and_then(|unit| entered_store(unit, pc, entry_fp)) };
    if !entered.is_some_and(|entered| std::ptr::eq(entered, store)) {
        broken("its frames end at one that it was not entered by");
    }
}

/// The store of the compiled code that is at `pc` in the frame `fp`. `None` if the frames do not
/// end at an entry trampoline.
///
/// Async-signal-safe, and bounded by the number of frames.
///
/// # Safety
///
/// If `pc` is an address of compiled code, that code is running, on the calling thread.
pub(super) unsafe fn running_store(mut pc: usize, mut fp: usize) -> Option<*mut VMStoreContext> {
    loop {
        // SAFETY: the caller's promise.
        let unit = unsafe { code::lookup(pc) }?;
        // SAFETY: as above: the frame of that code.
        if let Some(store) = unsafe { entered_store(unit, pc, fp) } {
            // SAFETY: the trampoline keeps it there while wasm that it has entered runs.
            let entry_fp = unsafe { (*store).entry_fp };
            return (entry_fp == fp).then_some(store);
        }
        // SAFETY: as above. Frames of compiled code are linked up to that of the trampoline.
        let outer = unsafe { caller(fp) }?;
        (pc, fp) = (outer.pc, outer.fp);
    }
}

/// The store in the frame of an entry trampoline; `None` for other code.
///
/// # Safety
///
/// `fp` must be the frame pointer of a frame that is at `pc`.
unsafe fn entered_store(unit: &CodeUnit, pc: usize, fp: usize) -> Option<*mut VMStoreContext> {
    match unit.function_at(pc)?.kind {
        CodeKind::Entry { store_below_fp } => {
            let slot = (fp - store_below_fp as usize) as *const *mut VMStoreContext;
            // SAFETY: that is where the trampoline keeps it.
            Some(unsafe { slot.read() })
        }
        CodeKind::Function(_) | CodeKind::Exit => None,
    }
}

/// A frame, and the address in its code.
struct Caller {
    pc: usize,
    fp: usize,
}

/// The calling frame, which is further up on the same stack, or `None`.
///
/// # Safety
///
/// `fp` must be the frame pointer of a frame.
unsafe fn caller(fp: usize) -> Option<Caller> {
    let frame = fp as *const usize;
    // SAFETY: a frame starts with its caller's frame pointer, then the return address.
    let (outer, returns_to) = unsafe { (frame.read(), frame.add(1).read()) };
    let above = outer > fp && outer.is_multiple_of(align_of::<usize>());
    // The return address is the instruction after the call.
    above.then(|| Caller { pc: returns_to.wrapping_sub(1), fp: outer })
}

/// Ends the process: the frames of a store are not as compiled code makes them.
pub(super) fn broken(what: &str) -> ! {
    eprintln!("seqfault: the wasm frames of a store cannot be followed: {what}");
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use crate::store::{AsContextMut, StoreOpaque};
    use crate::{Caller, Engine, Instance, Linker, Module, Result, Store};
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    const CASE: &str = "SEQFAULT_TEST_BROKEN_CHAIN";

    /// Ways in which a store's record of its frames can be wrong.
    const WAYS: [fn(&mut StoreOpaque); 5] = [
        |store| store.with_frames(|vm| vm.entry_fp -= 8),
        |store| store.with_frames(|vm| vm.entry_fp += 8),
        |store| store.with_frames(|vm| vm.exit_pc = 1),
        |store| store.with_frames(|vm| vm.exit_fp = vm.entry_fp + 16),
        // SAFETY: null is always allowed.
        |store| unsafe { store.set_activation(std::ptr::null()) },
    ];

    impl StoreOpaque {
        fn with_frames(&mut self, change: impl FnOnce(&mut seqfault_jit::vm::VMStoreContext)) {
            // SAFETY: the store is borrowed, and its wasm waits for the host.
            change(unsafe { &mut *self.vm() });
        }
    }

    /// Collects in a host function, after `spoil`.
    fn collect_after(spoil: fn(&mut StoreOpaque)) -> Result<()> {
        let engine = Engine::default();
        let mut linker = Linker::new(&engine);
        linker.func_wrap("", "collect", move |mut caller: Caller<'_, ()>| {
            let mut store = caller.as_context_mut();
            spoil(store.opaque());
            store.gc()
        })?;
        let text = r#"(module
            (type $box (struct))
            (import "" "collect" (func $collect))
            (func $inner (call $collect))
            (func (export "run") (drop (struct.new $box)) (call $inner)))"#;
        let mut store = Store::new(&engine, ());
        let module = Module::new(&engine, text)?;
        let instance: Instance = linker.instantiate(&mut store, &module)?;
        instance.get_typed_func::<(), ()>(&mut store, "run")?.call(&mut store, ())
    }

    #[test]
    fn a_collection_ends_the_process_rather_than_miss_a_frame() -> Result<()> {
        if let Some(case) = std::env::var_os(CASE) {
            let case: usize = case.to_str().unwrap().parse().unwrap();
            return collect_after(WAYS[case]);
        }
        collect_after(|_| {})?;
        for case in 0..WAYS.len() {
            let mut child = Command::new(std::env::current_exe()?);
            child.args(["--exact", "--nocapture"]).env(CASE, case.to_string());
            child.arg("vm::frames::tests::a_collection_ends_the_process_rather_than_miss_a_frame");
            let output = child.output()?;
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{case}: {said}");
            assert!(said.contains("the wasm frames of a store cannot be followed"), "{said}");
        }
        Ok(())
    }
}

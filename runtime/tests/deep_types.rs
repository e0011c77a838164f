//! Casts to types that are far from their root look into tables as long as the object's type is deep.
//!
//! The allocator of this test puts the smallest of those tables against a page that may not be read, so
//! that reading past its end does not go unnoticed.

use seqfault::{Engine, Instance, Module, Result, Store};
use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr;

const PAGE: usize = 4096;

struct Guarding;

#[global_allocator]
static ALLOCATOR: Guarding = Guarding;

/// The layout of a table of supertypes as short as there are: of eight numbers.
fn is_guarded(layout: Layout) -> bool {
    layout == Layout::new::<[u32; 8]>()
}

// SAFETY: memory of the system's allocator, or pages of its own that end with the allocation and are
// given back as they were got.
unsafe impl GlobalAlloc for Guarding {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !is_guarded(layout) {
            // SAFETY: the caller's promise.
            return unsafe { System.alloc(layout) };
        }
        // SAFETY: new memory, of which the second page is made unreadable.
        unsafe {
            let prot = libc::PROT_READ | libc::PROT_WRITE;
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let pages = libc::mmap(ptr::null_mut(), 2 * PAGE, prot, flags, -1, 0);
            if pages == libc::MAP_FAILED {
                return ptr::null_mut();
            }
            let guard = pages.byte_add(PAGE);
            assert_eq!(libc::mprotect(guard, PAGE, libc::PROT_NONE), 0);
            guard.byte_sub(layout.size()).cast()
        }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        if !is_guarded(layout) {
            // SAFETY: the caller's promise.
            return unsafe { System.dealloc(at, layout) };
        }
        // SAFETY: the two pages that `alloc` has mapped.
        unsafe { libc::munmap(at.add(layout.size()).sub(PAGE).cast(), 2 * PAGE) };
    }
}

#[test]
fn casts_to_deep_types_do_not_read_past_the_table_of_a_shallow_one() -> Result<()> {
    const DEEPEST: usize = 40;
    let types: String = (1..=DEEPEST)
        .map(|depth| format!("(type $t{depth} (sub $t{} (struct (field i32))))\n", depth - 1))
        .collect();
    // Is an object of type `have` one of type `want`?
    let wanted = [7, 8, 9, 12, 20, DEEPEST];
    let had = [0, 1, 6, 7, 8, 11, 12, DEEPEST];
    let mut tests = String::new();
    for want in wanted {
        for have in had {
            tests += &format!(
                "(func (export \"{have} {want}\") (result i32)
                   (ref.test (ref $t{want}) (call $opaque (struct.new_default $t{have}))))\n"
            );
        }
    }
    let wat = format!(
        "(module (type $t0 (sub (struct (field i32)))) {types}
           (func $opaque (param anyref) (result anyref) (local.get 0))
           {tests})"
    );
    let engine = Engine::default();
    let module = Module::new(&engine, wat)?;
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[])?;
    for want in wanted {
        for have in had {
            let test = instance.get_typed_func::<(), i32>(&mut store, &format!("{have} {want}"))?;
            assert_eq!(test.call(&mut store, ())? != 0, have >= want, "{have} as {want}");
        }
    }
    Ok(())
}

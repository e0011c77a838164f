//! More copies of this library in one process: this program has one, and loads others as shared libraries.

use std::ffi::{CStr, CString, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::guest::Host;
use crate::{Case, End};

/// What the shared library (`copy.rs`) offers.
struct Copy {
    /// Makes a guest and uses it.
    use_all: extern "C" fn() -> c_int,
    /// Uses the guest that is there.
    use_old: extern "C" fn() -> c_int,
}

/// The shared library, built unless it is there: `cargo test` builds it with the other examples.
pub(crate) fn library() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let program = std::env::current_exe().unwrap();
        let profile = program.ancestors().nth(2).unwrap();
        let path = profile.join("examples/libcoexistence_copy.so");
        if !path.exists() {
            let mut build = Command::new(env!("CARGO"));
            build.args(["build", "-q", "-p", "seqfault", "--example", "coexistence_copy"]);
            build.current_dir(env!("CARGO_MANIFEST_DIR"));
            if profile.ends_with("release") {
                build.arg("--release");
            }
            assert!(build.status().unwrap().success());
        }
        path
    })
}

impl Copy {
    /// Another copy: of a file of its own, or the dynamic linker would take it for the same.
    fn load(directory: &Path, name: &str) -> Copy {
        let path = directory.join(name);
        std::fs::copy(library(), &path).unwrap();
        let path = CString::new(path.as_os_str().as_bytes()).unwrap();
        // SAFETY: a library of ours, whose initialisers do nothing.
        let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        assert!(!library.is_null(), "{:?}", {
            // SAFETY: after a failure there is a message.
            unsafe { CStr::from_ptr(libc::dlerror()) }
        });
        Copy {
            use_all: function(library, c"seqfault_copy_use_all"),
            use_old: function(library, c"seqfault_copy_use_old"),
        }
    }
}

fn function(library: *mut c_void, name: &CStr) -> extern "C" fn() -> c_int {
    // SAFETY: the library is loaded, and stays so.
    let address = unsafe { libc::dlsym(library, name.as_ptr()) };
    assert!(!address.is_null());
    // SAFETY: `copy.rs` defines it so.
    unsafe { std::mem::transmute::<*mut c_void, extern "C" fn() -> c_int>(address) }
}

fn two() -> [Copy; 2] {
    let directory = tempfile::tempdir().unwrap();
    ["libone.so", "libtwo.so"].map(|name| Copy::load(directory.path(), name))
}

fn crash() {
    // SAFETY: not safe; the process is to die of it.
    unsafe { std::ptr::with_exposed_provenance_mut::<u8>(0x40).write_volatile(1) };
}

/// Everything that all three do, in turns: the later of them are displaced by the earlier, and the other way round.
fn use_in_turns(copies: &[&dyn Fn()]) {
    for copy in copies.iter().chain(copies.iter().rev()) {
        copy();
    }
}

fn used(copy: &Copy) -> impl Fn() {
    || {
        assert_eq!((copy.use_all)(), 0);
        assert_eq!((copy.use_old)(), 0);
    }
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("copies::one_and_then_the_other", || {
            let [one, two] = two();
            use_in_turns(&[&used(&one), &used(&two)]);
        }),
        Case::new("copies::old_guests_after_the_other_came", || {
            let [one, two] = two();
            assert_eq!((one.use_all)(), 0);
            assert_eq!((two.use_all)(), 0);
            for _ in 0..10 {
                assert_eq!(((one.use_old)(), (two.use_old)()), (0, 0));
            }
        }),
        Case::new("copies::three_a_hundred_times", || {
            let host = Host::new(&seqfault::Config::new()).unwrap();
            let [one, two] = two();
            for _ in 0..100 {
                use_in_turns(&[&|| drop(host.use_all()), &used(&one), &used(&two)]);
            }
        }),
        Case::new("copies::on_threads_at_the_same_time", || {
            let host = Host::new(&seqfault::Config::new()).unwrap();
            let [one, two] = two();
            let users: [&(dyn Fn() + Sync); 3] =
                [&|| drop(host.use_all()), &used(&one), &used(&two)];
            std::thread::scope(|scope| {
                for user in users {
                    scope.spawn(move || (0..50).for_each(|_| user()));
                }
            });
        }),
        Case::new("copies::a_crash_of_the_host_is_passed_round_and_ends", || {
            let host = Host::new(&seqfault::Config::new()).unwrap();
            let [one, two] = two();
            for _ in 0..20 {
                use_in_turns(&[&|| drop(host.use_all()), &used(&one), &used(&two)]);
            }
            crash();
        })
        .ends(End::Signal(libc::SIGSEGV)),
    ]
}

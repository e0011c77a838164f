//! Memory for machine code: how much modules take, who may have how much, that it comes back, and
//! what happens where the system refuses something.
//!
//! What changes the process runs in one of its own: this test program, started again.

use seqfault::{Compilation, Config, Engine, Instance, Module, Store};
use std::fmt::Write as _;
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

/// In the child, runs `body` and exits; in the parent, starts the child and sees that it succeeds.
fn in_child(test: &str, body: impl FnOnce()) {
    const MARK: &str = "SEQFAULT_TEST_CHILD";
    if std::env::var_os(MARK).is_some() {
        body();
        std::process::exit(0);
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(MARK, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?} {}\n{text}", output.status, output.status.into_raw());
}

fn engine(configure: impl FnOnce(&mut Config)) -> Engine {
    let mut config = Config::new();
    configure(&mut config);
    Engine::new(&config).unwrap()
}

/// A module of `count` empty functions in the binary format, one exported as `f`, and one, `all`,
/// that calls each.
fn empty_functions(count: u32) -> Vec<u8> {
    let mut text = String::from("(module (func $f (export \"f\"))");
    for _ in 1..count {
        text.push_str("(func)");
    }
    text.push_str("(func (export \"all\")");
    for index in 0..count {
        write!(text, "(call {index})").unwrap();
    }
    text.push_str("))");
    wat::parse_str(text).unwrap()
}

/// A module whose functions `0` to `count - 1` return numbers from `first` on.
fn numbers(count: u32, first: u32) -> String {
    let mut text = String::from("(module");
    for index in 0..count {
        let number = first + index;
        write!(text, r#"(func (export "{index}") (result i32) (i32.const {number}))"#).unwrap();
    }
    text.push(')');
    text
}

/// Calls all functions of such a module.
fn check_numbers(module: &Module, count: u32, first: u32) {
    let mut store = Store::new(module.engine(), ());
    let instance = Instance::new(&mut store, module, &[]).unwrap();
    for index in 0..count {
        let f = instance.get_typed_func::<(), i32>(&mut store, &index.to_string()).unwrap();
        assert_eq!(f.call(&mut store, ()).unwrap() as u32, first + index);
    }
}

fn use_both_ways_of_compiling() {
    for compilation in [Compilation::Lazy, Compilation::Eager] {
        let engine = engine(|config| {
            config.compilation(compilation);
        });
        let module = Module::new(&engine, numbers(300, 5)).unwrap();
        check_numbers(&module, 300, 5);
    }
}

#[test]
fn small_functions_share_pages() {
    const COUNT: u32 = 20_000;
    for compilation in [Compilation::Lazy, Compilation::Eager] {
        // A fortieth of what a page for each would be. Besides: `all`, and what is taken ahead.
        let engine = engine(|config| {
            config.compilation(compilation).code_limit(Some(COUNT as usize * 100 + (2 << 20)));
        });
        let module = Module::new(&engine, empty_functions(COUNT)).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        instance.get_typed_func::<(), ()>(&mut store, "all").unwrap().call(&mut store, ()).unwrap();
    }
}

#[test]
fn a_module_beyond_its_limit_is_refused_and_the_next_is_not() {
    let bytes = empty_functions(20_000);
    for compilation in [Compilation::Lazy, Compilation::Eager] {
        let engine = engine(|config| {
            config.compilation(compilation).module_code_limit(Some(600 << 10));
        });
        let result = Module::new(&engine, &bytes).and_then(|module| {
            let mut store = Store::new(&engine, ());
            let instance = Instance::new(&mut store, &module, &[])?;
            // What fits is compiled and can be called.
            let one = instance.get_typed_func::<(), ()>(&mut store, "f")?;
            one.call(&mut store, ())?;
            let all = instance.get_typed_func::<(), ()>(&mut store, "all")?;
            let result = all.call(&mut store, ());
            one.call(&mut store, ())?;
            result
        });
        let error = format!("{:#}", result.unwrap_err());
        assert!(error.contains("`Config::module_code_limit`"), "{error}");
        assert!(error.contains("614400"), "{error}");
        let module = Module::new(&engine, numbers(100, 1)).unwrap();
        check_numbers(&module, 100, 1);
    }
}

#[test]
fn the_limit_of_an_engine_holds_for_its_modules_together() {
    let limited = engine(|config| {
        config.compilation(Compilation::Eager).code_limit(Some(512 << 10));
    });
    let bytes = empty_functions(1_000);
    let mut modules = Vec::new();
    let error = loop {
        match Module::new(&limited, &bytes) {
            Ok(module) => modules.push(module),
            Err(error) => break format!("{error:#}"),
        }
        assert!(modules.len() < 20);
    };
    assert!(error.contains("`Config::code_limit`"), "{error}");
    assert!(modules.len() > 2);
    check_numbers(&Module::new(&Engine::default(), numbers(10, 1)).unwrap(), 10, 1);
    modules.pop();
    Module::new(&limited, &bytes).unwrap();
}

#[test]
fn code_of_dropped_modules_is_reused_while_threads_run() {
    const MODULES: u32 = 120;
    for compilation in [Compilation::Lazy, Compilation::Eager] {
        // Room for about a dozen modules at a time.
        let engine = engine(|config| {
            config.compilation(compilation).code_limit(Some(1 << 20));
        });
        let kept = Module::new(&engine, numbers(50, 1_000)).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    check_numbers(&kept, 50, 1_000);
                }
            });
            let makers: Vec<_> = (0..2)
                .map(|maker| {
                    let engine = &engine;
                    scope.spawn(move || {
                        for round in 0..MODULES {
                            let first = (maker * MODULES + round) * 10_000;
                            let module = Module::new(engine, numbers(40, first)).unwrap();
                            check_numbers(&module, 40, first);
                        }
                    })
                })
                .collect();
            for maker in makers {
                maker.join().unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
    }
}

#[test]
fn a_million_functions_fit() {
    // The long form compiles them, too.
    let long = std::env::var_os("SEQFAULT_LONG").is_some();
    let engine = engine(|config| {
        config.compilation(if long { Compilation::Eager } else { Compilation::Lazy });
    });
    let mut module = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0".to_vec();
    let section = |module: &mut Vec<u8>, id: u8, count: u32, item: &[u8]| {
        let leb = |mut n: u32| {
            std::iter::from_fn(move || {
                let byte = (n & 127) as u8;
                n >>= 7;
                Some(byte)
            })
            .take(5)
            .enumerate()
            .map(|(at, byte)| if at < 4 { byte | 128 } else { byte })
            .collect::<Vec<u8>>()
        };
        module.push(id);
        module.extend(leb(5 + count * item.len() as u32));
        module.extend(leb(count));
        module.extend(item.repeat(count as usize));
    };
    section(&mut module, 3, 1_000_000, &[0]);
    module.extend(b"\x07\x05\x01\x01f\0\0");
    section(&mut module, 10, 1_000_000, &[2, 0, 0x0b]);
    let module = Module::from_binary(&engine, &module).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    instance.get_typed_func::<(), ()>(&mut store, "f").unwrap().call(&mut store, ()).unwrap();
    check_numbers(&Module::new(&Engine::default(), numbers(10, 1)).unwrap(), 10, 1);
}

#[test]
fn many_engines_share_the_code_space() {
    let engines: Vec<_> = (0..200)
        .map(|first| {
            let module = Module::new(&Engine::default(), numbers(3, first)).unwrap();
            check_numbers(&module, 3, first);
            (module, first)
        })
        .collect();
    for (module, first) in engines {
        check_numbers(&module, 3, first);
    }
}

/// The lines of `/proc/self/maps`, by their protection and what they map.
fn mappings() -> Vec<(String, String)> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let parts = |line: &str| {
        let mut words = line.split_whitespace();
        let protection = words.nth(1).unwrap().to_owned();
        (protection, words.skip(3).collect::<Vec<_>>().join(" "))
    };
    maps.lines().map(parts).collect()
}

#[test]
fn code_is_never_mapped_writable() {
    let engine = Engine::default();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..100 {
                let module = Module::new(&engine, numbers(40, round)).unwrap();
                check_numbers(&module, 40, round);
            }
            done.store(true, Ordering::Relaxed);
        });
        let mut seen = 0;
        while !done.load(Ordering::Relaxed) {
            for (protection, file) in mappings() {
                assert!(!(protection.contains('w') && protection.contains('x')), "{file}");
                if file.contains("seqfault-code") {
                    assert_eq!(protection, "r-xs");
                    seen += 1;
                }
            }
        }
        assert!(seen > 0);
    });
}

/// From here on no mapping may become executable that was not.
fn refuse_execution_gain() -> bool {
    const PR_SET_MDWE: libc::c_int = 65;
    const PR_MDWE_REFUSE_EXEC_GAIN: libc::c_ulong = 1;
    // SAFETY: changes no memory.
    unsafe { libc::prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) == 0 }
}

/// Sets a limit; the old one.
fn limit(resource: libc::__rlimit_resource_t, value: u64) -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: writes and reads the limit.
    unsafe {
        assert_eq!(libc::getrlimit(resource, &mut limit), 0);
        let old = std::mem::replace(&mut limit.rlim_cur, value);
        assert_eq!(libc::setrlimit(resource, &limit), 0);
        old
    }
}

#[test]
fn memory_need_not_become_executable() {
    in_child("memory_need_not_become_executable", || {
        if refuse_execution_gain() {
            use_both_ways_of_compiling();
        }
    });
}

#[test]
fn without_a_file_pages_change_their_protection() {
    in_child("without_a_file_pages_change_their_protection", || {
        let old = limit(libc::RLIMIT_NOFILE, 3);
        use_both_ways_of_compiling();
        limit(libc::RLIMIT_NOFILE, old);
        assert!(!mappings().iter().any(|(_, file)| file.contains("seqfault-code")));
    });
}

/// Uses a memory with initial data, of which there are two pages.
fn use_initial_data() {
    let module = r#"(module
        (memory (export "memory") 1)
        (data (i32.const 8190) "abcd"))"#;
    let engine = Engine::default();
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &Module::new(&engine, module).unwrap(), &[]).unwrap();
    let mut read = [0; 6];
    instance.get_memory(&mut store, "memory").unwrap().read(&store, 8189, &mut read).unwrap();
    assert_eq!(&read, b"\0abcd\0");
}

#[test]
fn the_limit_on_the_size_of_files_kills_nobody() {
    in_child("the_limit_on_the_size_of_files_kills_nobody", || {
        for bytes in [1 << 20, 4 << 10, 100, 0] {
            limit(libc::RLIMIT_FSIZE, bytes);
            use_both_ways_of_compiling();
            use_initial_data();
        }
    });
}

#[test]
fn a_limit_that_comes_later_does_not_either() {
    in_child("a_limit_that_comes_later_does_not_either", || {
        let engine = Engine::default();
        let module = Module::new(&engine, numbers(30, 1)).unwrap();
        check_numbers(&module, 10, 1);
        limit(libc::RLIMIT_FSIZE, 1 << 10);
        check_numbers(&module, 30, 1);
        drop(module);
        use_both_ways_of_compiling();
    });
}

#[test]
fn where_nothing_can_be_executed_the_error_says_why() {
    in_child("where_nothing_can_be_executed_the_error_says_why", || {
        if !refuse_execution_gain() {
            return;
        }
        limit(libc::RLIMIT_NOFILE, 3);
        let error = Module::new(&Engine::default(), numbers(3, 1)).unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains("mprotect was refused: Permission denied"), "{error}");
        assert!(error.contains("memfd_create was refused"), "{error}");
    });
}

#[test]
fn a_host_may_close_descriptors_that_it_does_not_know() {
    in_child("a_host_may_close_descriptors_that_it_does_not_know", || {
        let engine = Engine::default();
        let module = Module::new(&engine, numbers(100, 1)).unwrap();
        check_numbers(&module, 10, 1);
        let ours: Vec<i32> = std::fs::read_dir("/proc/self/fd")
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap())
            .filter(|&fd| {
                let link = std::fs::read_link(format!("/proc/self/fd/{fd}"));
                link.is_ok_and(|link| link.to_string_lossy().contains("seqfault-code"))
            })
            .collect();
        assert_eq!(ours.len(), 1, "{ours:?}");
        // SAFETY: this is what such hosts do.
        unsafe { libc::close(ours[0]) };
        let host = std::fs::File::from(std::os::fd::OwnedFd::from(
            std::fs::File::options()
                .read(true)
                .write(true)
                .create_new(true)
                .open(std::env::temp_dir().join(format!("seqfault-{}", std::process::id())))
                .unwrap(),
        ));
        let _ = std::fs::remove_file(
            std::env::temp_dir().join(format!("seqfault-{}", std::process::id())),
        );
        assert_eq!(host.as_raw_fd(), ours[0]);
        check_numbers(&module, 100, 1);
        drop(module);
        use_both_ways_of_compiling();
        assert_eq!(host.metadata().unwrap().len(), 0);
    });
}

/// Makes the system refuse these calls from now on.
fn refuse(calls: &[libc::c_long]) {
    const ALLOW: u32 = 0x7fff_0000;
    const ERRNO: u32 = 0x0005_0000;
    let step = |code: u32, jt: u8, k: u32| libc::sock_filter { code: code as u16, jt, jf: 0, k };
    let mut filter = vec![step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0)];
    for (index, &call) in calls.iter().enumerate() {
        let to_refusal = (calls.len() - index) as u8;
        filter.push(step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, to_refusal, call as u32));
    }
    filter.push(step(libc::BPF_RET | libc::BPF_K, 0, ALLOW));
    filter.push(step(libc::BPF_RET | libc::BPF_K, 0, ERRNO | libc::EPERM as u32));
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the program is read by the call.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, 2, &program), 0);
    }
}

#[test]
fn refused_calls_are_done_without() {
    in_child("refused_calls_are_done_without", || {
        for call in [libc::SYS_membarrier, libc::SYS_fallocate, libc::SYS_memfd_create] {
            refuse(&[call]);
            use_both_ways_of_compiling();
            let engine = Engine::default();
            for round in 0..50 {
                let module = Module::new(&engine, numbers(20, round)).unwrap();
                check_numbers(&module, 20, round);
            }
        }
    });
}

//! Many instances alive at once: what they leave behind when they are gone.
//!
//! A process of its own, and its main thread: what is resident, and what is allocated, is the process's; and the C
//! library does not give back the end of the memory from which it serves other threads.

use libtest_mimic::{Arguments, Trial};
use seqfault::{Compilation, Config, Engine, InstancePre, Linker, Module, PagerKind, Store};
use std::alloc::{GlobalAlloc, Layout, System};
use std::fs::File;
use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);
static FREED: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, which counts.
struct Counting;

// SAFETY: as the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        FREED.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes that are resident, and of page tables. Allocates nothing.
fn resident() -> usize {
    let mut text = [0; 8192];
    let len = File::open("/proc/self/status").unwrap().read(&mut text).unwrap();
    let text = std::str::from_utf8(&text[..len]).unwrap();
    let kib = |name| -> usize {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    (kib("VmRSS") + kib("VmPTE")) << 10
}

fn live(engine: &Engine, pre: &InstancePre<()>) -> Store<()> {
    let mut store = Store::new(engine, ());
    let instance = pre.instantiate(&mut store).unwrap();
    let touch = instance.get_typed_func::<u32, u32>(&mut store, "touch").unwrap();
    assert_eq!(touch.call(&mut store, 64).unwrap(), 0);
    store
}

fn main() {
    let mut arguments = Arguments::from_args();
    // On this thread.
    arguments.test_threads = Some(1);
    let test = Trial::test("instances_leave_nothing_behind", || {
        instances_leave_nothing_behind();
        Ok(())
    });
    libtest_mimic::run(&arguments, vec![test]).exit();
}

fn instances_leave_nothing_behind() {
    const COUNT: usize = 4000;
    // SAFETY: a setting of the C library's allocator: so much may be free at the end of its memory. It would rise
    // when large pieces are freed.
    unsafe { libc::mallopt(libc::M_TRIM_THRESHOLD, 128 << 10) };
    for pager in [PagerKind::Auto, PagerKind::Protect] {
        let mut config = Config::new();
        config.pager(pager).compilation(Compilation::Eager);
        let engine = Engine::new(&config).unwrap();
        let text = r#"(module (memory 1)
            (func (export "touch") (param i32) (result i32)
                (i32.load (local.get 0))
                (i32.store (local.get 0) (i32.const -1))))"#;
        let module = Module::new(&engine, text).unwrap();
        let pre = Linker::new(&engine).instantiate_pre(&module).unwrap();
        drop(live(&engine, &pre));

        let before = resident();
        let mut alive = Vec::with_capacity(COUNT);
        let freed = FREED.load(Ordering::Relaxed);
        for _ in 0..COUNT {
            alive.push(live(&engine, &pre));
        }
        // What is allocated for a moment, here or while they are dropped, and then kept by the allocator for the thread,
        // would keep all that lies below it resident.
        assert_eq!(FREED.load(Ordering::Relaxed), freed, "{pager:?}");
        let most = resident();
        let allocated = ALLOCATED.load(Ordering::Relaxed);
        drop(alive);
        assert_eq!(ALLOCATED.load(Ordering::Relaxed), allocated, "{pager:?}");

        // When a large piece is freed, the C library puts the small ones together.
        drop(std::hint::black_box(vec![1_u8; 100 << 10]));
        // The kernel gives pages back a moment later.
        let begin = Instant::now();
        while resident() > before + (1 << 20) && begin.elapsed() < Duration::from_secs(2) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let left = resident().saturating_sub(before);
        assert!(left < 1 << 20, "{pager:?}: {left} bytes of {}", most - before);
        let (count, bytes) = engine.idle_memories();
        assert!(count <= 4 && bytes <= 4 << 16, "{pager:?}: {count} wait with {bytes} bytes");
    }
}

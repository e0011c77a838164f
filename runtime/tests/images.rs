//! What images cost the process. One test, because it counts what belongs to the whole process.

use seqfault::{Engine, Instance, Module, Store};

/// How many descriptors refer to images.
fn descriptors() -> usize {
    let open = std::fs::read_dir("/proc/self/fd").unwrap();
    let targets = open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    targets.filter(|target| target.to_string_lossy().contains("seqfault-image")).count()
}

/// How many mappings are of images.
fn mappings() -> usize {
    std::fs::read_to_string("/proc/self/maps").unwrap().matches("seqfault-image").count()
}

/// Kilobytes that the process shares with files in memory.
fn shared_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssShmem:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The soft limit of descriptors; returns the old one.
fn limit_descriptors(to: u64) -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is the structure that is written, and read.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit), 0);
        let old = std::mem::replace(&mut limit.rlim_cur, to);
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limit), 0);
        old
    }
}

fn segment(at: usize, len: usize) -> String {
    format!(r#"(data (i32.const {at}) "{}")"#, "x".repeat(len))
}

fn module(engine: &Engine, pages: u32, data: &str) -> Module {
    Module::new(engine, format!(r#"(module (memory (export "memory") {pages}) {data})"#)).unwrap()
}

/// A store with an instance, whose bytes at these places are set.
fn live(module: &Module, set: &[usize]) -> Store<()> {
    let mut store = Store::new(module.engine(), ());
    let instance = Instance::new(&mut store, module, &[]).unwrap();
    let memory = instance.get_memory(&mut store, "memory").unwrap();
    for &at in set {
        let mut bytes = [0; 2];
        memory.read(&store, at, &mut bytes).unwrap();
        assert_eq!(bytes, *b"x\0", "at {at}");
    }
    store
}

#[test]
fn images_are_few_small_and_given_back() {
    let engine = Engine::default();

    // One for each module, made for its first instance; it lives as long as the module or an instance.
    let dense = module(&engine, 8, &(segment(1000, 200_000) + &segment(400_000, 50_000)));
    assert_eq!(descriptors(), 0);
    let stores: Vec<_> = (0..3).map(|_| live(&dense, &[200_999, 449_999])).collect();
    assert_eq!(descriptors(), 1);
    let several = r#"(memory 1) (memory 1)
        (data (memory 0) (i32.const 0) "x") (data (memory 1) (i32.const 0) "y") (data (memory 2) (i32.const 9) "z")"#;
    let several = module(&engine, 1, several);
    drop([live(&several, &[0]), live(&several, &[0])]);
    assert_eq!(descriptors(), 2);
    drop((dense, several));
    assert_eq!(descriptors(), 1);
    drop(stores);
    assert_eq!((descriptors(), mappings()), (0, 0));

    // Sparse data takes no memory in proportion to the space that it is spread over.
    let before = shared_memory();
    let places: Vec<usize> = (0..100).map(|n| n << 20).collect();
    for count in [2, 4, 5, 100] {
        let data: String = places[..count].iter().map(|&at| segment(at, 1)).collect();
        let sparse = module(&engine, 1600, &data);
        let store = live(&sparse, &places[..count]);
        assert!(
            shared_memory() <= before + 200,
            "{count} segments take {} kB",
            shared_memory() - before
        );
        drop(store);
    }
    assert_eq!((descriptors(), mappings()), (0, 0));

    // Modules leave descriptors to the host, and work without.
    let old = limit_descriptors(64);
    let modules: Vec<Module> = (0..100).map(|n| module(&engine, 1, &segment(n, 1))).collect();
    let stores: Vec<_> = modules.iter().enumerate().map(|(n, module)| live(module, &[n])).collect();
    assert!((1..=33).contains(&descriptors()), "{} descriptors", descriptors());
    drop((modules, stores));
    assert_eq!((descriptors(), mappings()), (0, 0));
    limit_descriptors(old);
}

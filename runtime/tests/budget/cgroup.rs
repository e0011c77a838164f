//! The budget that the container gives, in a real memory cgroup, and what happens without it. `SEQFAULT_BUDGET_ROUNDS`
//! asks for more guests that eat everything. Skipped where no cgroup can be made.

use super::{GUEST, Guest, WAYS, engine, pagers};
use seqfault::{Module, PagerKind, ResidentBudget, TrapCode};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What the cgroup of a test allows.
const LIMIT: usize = 160 << 20;
const MARK: &str = "SEQFAULT_TEST_IN_CGROUP";

fn rounds() -> usize {
    let asked = std::env::var("SEQFAULT_BUDGET_ROUNDS").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or(12)
}

/// A cgroup that goes away with this.
struct Cgroup(PathBuf);

impl Cgroup {
    /// One with the limit; `None` where the machine lets us make none.
    fn new(name: &str) -> Option<Cgroup> {
        let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
        let of = |controller: &str| {
            let mut fields = groups.lines().map(|line| line.splitn(3, ':').skip(1));
            let found = fields.find_map(|mut line| {
                let named = line.next()?.split(',').any(|name| name == controller);
                named.then(|| line.next()).flatten()
            });
            found.map(|path| path.trim_start_matches('/').to_owned())
        };
        let first = of("memory")
            .map(|path| (Path::new("/sys/fs/cgroup/memory").join(path), "limit_in_bytes"));
        let second = of("").map(|path| (Path::new("/sys/fs/cgroup").join(path), "max"));
        [first, second].into_iter().flatten().find_map(|(parent, limit)| {
            let group = Cgroup(parent.join(format!("seqfault-{name}-{}", std::process::id())));
            fs::create_dir(&group.0).ok()?;
            fs::write(group.0.join(format!("memory.{limit}")), LIMIT.to_string()).ok()?;
            // Nothing is to be swapped out instead, if there is a swap.
            let _ = fs::write(group.0.join("memory.swappiness"), "0");
            let _ = fs::write(group.0.join("memory.swap.max"), "0");
            Some(group)
        })
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// Runs `body` in a child in a cgroup of its own: in the child, it ends there. `None` if there can be no cgroup.
fn in_cgroup(test: &str, body: impl FnOnce()) -> Option<Output> {
    if std::env::var_os(MARK).is_some() {
        body();
        std::process::exit(0);
    }
    let group = Cgroup::new(test).or_else(|| {
        eprintln!("skipped: no memory cgroup can be made here");
        None
    })?;
    let output = Command::new("sh")
        .args(["-c", r#"echo $$ > "$0/cgroup.procs" && exec "$@""#])
        .arg(&group.0)
        .arg(std::env::current_exe().unwrap())
        .args([&format!("cgroup::{test}"), "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, "1")
        .output()
        .unwrap();
    Some(output)
}

/// Runs `body` in a cgroup of its own, where it must succeed.
fn succeeds(test: &str, body: impl FnOnce()) {
    if let Some(output) = in_cgroup(test, body) {
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{:?}: {said}", output.status);
    }
}

/// Guests that eat everything, one after the other, beside others that do not.
fn feed(budget: ResidentBudget, pagers: impl Iterator<Item = PagerKind>, rounds: usize) {
    for pager in pagers {
        let engine = engine(pager, budget);
        assert_eq!(engine.resident_budget().is_some(), budget != ResidentBudget::Unlimited);
        let module = Module::new(&engine, GUEST).unwrap();
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            // It works all the time; what it holds is checked in the end.
            let worker = scope.spawn(|| {
                let mut guest = Guest::new(&module);
                let mut times = 0;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let told = guest.modest();
                    times += 1;
                    assert_eq!(told, times, "{pager:?}");
                }
                times
            });
            for round in 0..rounds {
                let way = WAYS[round % WAYS.len()];
                let mut greedy = Guest::new(&module);
                assert_eq!(greedy.eat(way), Some(TrapCode::ResidentLimit), "{pager:?} {way:?}");
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(worker.join().unwrap() > 0);
        });
    }
}

#[test]
fn a_guest_that_eats_all_that_the_container_allows_traps() {
    let pagers = pagers().filter(|&pager| pager != PagerKind::Eager);
    let test = "a_guest_that_eats_all_that_the_container_allows_traps";
    succeeds(test, || feed(ResidentBudget::Auto, pagers, rounds()));
}

/// Its page tables take as much as its pages.
const WIDE: &str = r#"(module (memory i64 1048576)
    (func (export "eat") (param i32) (local $at i64)
        (loop $next
            (i32.store (local.get $at) (i32.const 1))
            (local.set $at (i64.add (local.get $at) (i64.const 0x200000)))
            (br_if $next (i64.lt_u (local.get $at) (i64.const 0x1000000000))))))"#;

#[test]
fn page_tables_count_as_well() {
    let wide = || {
        for pager in pagers().filter(|&pager| pager != PagerKind::Eager) {
            let engine = engine(pager, ResidentBudget::Auto);
            let module = Module::new(&engine, WIDE).unwrap();
            for _ in 0..2 {
                let trap = Guest::new(&module).eat(("eat", 0));
                assert_eq!(trap, Some(TrapCode::ResidentLimit), "{pager:?}");
            }
        }
    };
    succeeds("page_tables_count_as_well", wide);
}

/// Each holds little, of what it could.
const SMALL: &str = r#"(module (memory 64) (data (i32.const 70000) "data")
    (func (export "eat") (param i32) (local $at i32)
        (loop $next
            (i32.store (local.get $at) (i32.add (i32.load (local.get $at)) (i32.const 1)))
            (local.set $at (i32.add (local.get $at) (i32.const 69632)))
            (br_if $next (i32.lt_u (local.get $at) (i32.const 0x400000))))))"#;

#[test]
fn many_small_guests_that_go_over_together_do_not_end_the_process() {
    let many = || {
        for pager in pagers() {
            let engine = engine(pager, ResidentBudget::Auto);
            let module = Module::new(&engine, SMALL).unwrap();
            let mut guests = Vec::new();
            let mut traps = 0;
            while traps < 20 {
                assert!(guests.len() < 2000, "{pager:?}: so many cannot fit");
                let mut guest = Guest::new(&module);
                match guest.eat(("eat", 0)) {
                    None => guests.push(guest),
                    Some(code) => {
                        assert_eq!(code, TrapCode::ResidentLimit, "{pager:?}");
                        traps += 1;
                    }
                }
            }
            // Of 140 MiB, and each has 60 pages and a few of its own.
            assert!(guests.len() > 200 || pager == PagerKind::Eager, "{pager:?}: {}", guests.len());
            for guest in &mut guests {
                assert_eq!(guest.eat(("eat", 0)), None, "{pager:?}: what it has, it has");
            }
        }
    };
    succeeds("many_small_guests_that_go_over_together_do_not_end_the_process", many);
}

/// The same without a budget: the kernel kills the process.
#[test]
fn without_a_budget_the_process_is_killed() {
    let test = "without_a_budget_the_process_is_killed";
    let feed = || feed(ResidentBudget::Unlimited, std::iter::once(PagerKind::Auto), 1);
    if let Some(output) = in_cgroup(test, feed) {
        assert_eq!(output.status.signal(), Some(9), "{:?}", output.status);
    }
}

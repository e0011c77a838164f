//! Filters of system calls, as containers have them: those that deny, and those that kill.
//!
//! # References
//! seccomp(2); `include/uapi/linux/{filter,seccomp,audit}.h`.

use std::mem;

use libc::{ENOSYS, EPERM, SIGSYS, c_long};
use seqfault::{Config, PagerKind};

use crate::guest::Host;
use crate::{Case, End};

/// What a filter does about a call.
#[derive(Clone, Copy)]
enum Verdict {
    Deny(i32),
    Kill,
}

const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;

/// From now on, `verdict` is passed on each of `calls`, on this thread and those that it makes.
fn filter(calls: &[c_long], verdict: Verdict) {
    let verdict = match verdict {
        Verdict::Deny(errno) => libc::SECCOMP_RET_ERRNO | errno as u32,
        Verdict::Kill => libc::SECCOMP_RET_KILL_PROCESS,
    };
    install(calls, verdict, libc::SECCOMP_RET_ALLOW);
}

/// From now on, any other call than `calls` kills the process, on this thread and those that it makes.
pub(crate) fn only(calls: &[c_long]) {
    install(calls, libc::SECCOMP_RET_ALLOW, libc::SECCOMP_RET_KILL_PROCESS);
}

/// From now on, this request of `ioctl` is denied, on this thread and those that it makes.
///
/// Written by hand: `ld nr; jeq ioctl; ld request; jeq request, deny; ret allow; deny: ret deny`.
fn deny_request(request: u32) {
    let second = mem::offset_of!(libc::seccomp_data, args) + size_of::<u64>();
    run(&mut [
        instruction(LOAD, mem::offset_of!(libc::seccomp_data, nr) as u32, 0, 0),
        instruction(IF_EQUAL, libc::SYS_ioctl as u32, 0, 2),
        instruction(LOAD, second as u32, 0, 0),
        instruction(IF_EQUAL, request, 1, 0),
        instruction(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0),
        instruction(RETURN, libc::SECCOMP_RET_ERRNO | EPERM as u32, 0, 0),
    ]);
}

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

fn instruction(code: u16, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

/// Written by hand: `ld nr; jeq nr, listed; ...; ret others; listed: ret listed`.
fn install(calls: &[c_long], listed: u32, others: u32) {
    let mut program = vec![
        instruction(LOAD, mem::offset_of!(libc::seccomp_data, arch) as u32, 0, 0),
        instruction(IF_EQUAL, AUDIT_ARCH_X86_64, 1, 0),
        instruction(RETURN, libc::SECCOMP_RET_KILL_PROCESS, 0, 0),
        instruction(LOAD, mem::offset_of!(libc::seccomp_data, nr) as u32, 0, 0),
    ];
    for (at, &call) in calls.iter().enumerate() {
        // To the last instruction, over the other comparisons and what others get.
        let to_listed = (calls.len() - at) as u8;
        program.push(instruction(IF_EQUAL, call as u32, to_listed, 0));
    }
    program.push(instruction(RETURN, others, 0, 0));
    program.push(instruction(RETURN, listed, 0, 0));
    run(&mut program);
}

fn run(program: &mut [libc::sock_filter]) {
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: takes integers.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, 0);
    let mode = libc::SECCOMP_MODE_FILTER;
    // SAFETY: the program outlives the call, which checks it.
    let done = unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program, 0, 0) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

/// The calls that a filter may not know, or not like.
const RARE: [(&str, c_long); 6] = [
    ("userfaultfd", libc::SYS_userfaultfd),
    ("membarrier", libc::SYS_membarrier),
    ("memfd_create", libc::SYS_memfd_create),
    ("sigaltstack", libc::SYS_sigaltstack),
    ("ioctl", libc::SYS_ioctl),
    ("prlimit64", libc::SYS_prlimit64),
];

fn use_all(pager: PagerKind) {
    let host = Host::new(Config::new().pager(pager)).unwrap();
    host.use_all();
    std::thread::scope(|scope| scope.spawn(|| drop(host.use_all())).join().unwrap());
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, call) in RARE {
        for (how, errno) in [("EPERM", EPERM), ("ENOSYS", ENOSYS)] {
            cases.push(Case::new(format!("filter::denies::{name}::{how}"), move || {
                filter(&[call], Verdict::Deny(errno));
                use_all(PagerKind::Auto);
            }));
        }
    }
    cases.push(Case::new("filter::denies::all_rare_calls", || {
        filter(&RARE.map(|(_, call)| call), Verdict::Deny(EPERM));
        use_all(PagerKind::Auto);
    }));
    // Requests of userfaultfd, from `include/uapi/linux/userfaultfd.h`.
    for (name, request) in [
        ("UFFDIO_API", 0xc018_aa3f),
        ("UFFDIO_REGISTER", 0xc020_aa00),
        ("UFFDIO_UNREGISTER", 0x8010_aa01),
        ("UFFDIO_COPY", 0xc028_aa03),
    ] {
        cases.push(Case::new(format!("filter::denies::{name}"), move || {
            deny_request(request);
            use_all(PagerKind::Auto);
            let host = Host::new(Config::new().pager(PagerKind::Uffd)).unwrap();
            let message = host.guest().err().expect("an error").to_string();
            assert!(message.contains("Uffd") && message.contains(name), "{message}");
        }));
    }
    cases.push(Case::new("filter::denies::userfaultfd_to_who_asks_for_it", || {
        filter(&[libc::SYS_userfaultfd], Verdict::Deny(EPERM));
        let host = Host::new(Config::new().pager(PagerKind::Uffd)).unwrap();
        let message = host.guest().err().expect("an error").to_string();
        assert!(message.contains("Uffd") && message.contains("not permitted"), "{message}");
    }));
    cases.push(Case::new("filter::denies::madvise_which_is_not_rare_and_named", || {
        filter(&[libc::SYS_madvise], Verdict::Deny(EPERM));
        let host = Host::new(&Config::new()).unwrap();
        let message = host.guest().err().expect("an error").to_string();
        assert!(message.contains("madvise failed: Operation not permitted"), "{message}");
    }));
    for (name, pager) in [
        ("protect", PagerKind::Protect),
        ("eager", PagerKind::Eager),
        ("demand", PagerKind::Demand),
    ] {
        cases.push(Case::new(
            format!("filter::kills::userfaultfd::{name}_never_calls_it"),
            move || {
                filter(&[libc::SYS_userfaultfd], Verdict::Kill);
                use_all(pager);
            },
        ));
    }
    cases.push(
        Case::new("filter::kills::userfaultfd::auto_calls_it", || {
            filter(&[libc::SYS_userfaultfd], Verdict::Kill);
            use_all(PagerKind::Auto);
        })
        .ends(End::Signal(SIGSYS)),
    );
    cases
}

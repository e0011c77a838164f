//! [`Calls`]: how many system calls a thread makes, counted by the kernel's trace point.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd};

/// A counter of the system calls of one thread. Calls are slower while it counts.
#[derive(Debug)]
pub(super) struct Calls(File);

/// The first version of the kernel's `struct perf_event_attr`.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    bp_type: u32,
    bp_addr: u64,
}

const PERF_TYPE_TRACEPOINT: u32 = 2;
const FLAG_DISABLED: u64 = 1;
const PERF_EVENT_IOC_ENABLE: libc::c_ulong = 0x2400;
const PERF_EVENT_IOC_DISABLE: libc::c_ulong = 0x2401;

impl Calls {
    /// A counter for the calling thread.
    ///
    /// # Errors
    ///
    /// When the trace file system is not mounted, or the kernel lets this user not count.
    pub(super) fn of_this_thread() -> io::Result<Calls> {
        let id = fs::read_to_string("/sys/kernel/tracing/events/raw_syscalls/sys_enter/id")?;
        let attributes = Attributes {
            kind: PERF_TYPE_TRACEPOINT,
            size: size_of::<Attributes>() as u32,
            config: id.trim().parse().map_err(io::Error::other)?,
            flags: FLAG_DISABLED,
            ..Attributes::default()
        };
        let (this_thread, any_cpu, no_group, no_flags) = (0, -1, -1, 0);
        // SAFETY: the attributes are valid for as many bytes as they say.
        let fd = unsafe {
            let call = libc::SYS_perf_event_open;
            libc::syscall(call, &raw const attributes, this_thread, any_cpu, no_group, no_flags)
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made it, and nobody else knows it.
        Ok(Calls(unsafe { File::from_raw_fd(fd as i32) }))
    }

    /// Starts to count; the number so far.
    pub(super) fn start(&self) -> u64 {
        let count = self.count();
        self.control(PERF_EVENT_IOC_ENABLE);
        count
    }

    /// Stops; the number so far.
    pub(super) fn stop(&self) -> u64 {
        self.control(PERF_EVENT_IOC_DISABLE);
        // The call that stopped it counted, too.
        self.count() - 1
    }

    fn control(&self, request: libc::c_ulong) {
        // SAFETY: these requests have no argument.
        let done = unsafe { libc::ioctl(self.0.as_raw_fd(), request, 0) };
        assert_eq!(done, 0, "{}", io::Error::last_os_error());
    }

    fn count(&self) -> u64 {
        let mut bytes = [0; 8];
        (&self.0).read_exact(&mut bytes).expect("a counter");
        u64::from_ne_bytes(bytes)
    }
}

//! What the system lets this process map, and what it has mapped.

use std::fs;

use rlimit::Resource;

/// What the system lets this process map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of address space (`RLIMIT_AS`, `ulimit -v`); `None` without a limit.
    pub address_space: Option<u64>,
    /// Bytes of private memory that it may make writable (`RLIMIT_DATA`, `ulimit -d`); `None` without a limit.
    pub data: Option<u64>,
    /// How many mappings it may have (`vm.max_map_count`); `None` if the system does not tell.
    pub mappings: Option<usize>,
}

/// What this process has mapped; `None` where the system does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mapped {
    /// Bytes of address space.
    pub address_space: Option<u64>,
    /// Bytes of private memory that is writable.
    pub data: Option<u64>,
    /// How many mappings it has.
    pub mappings: Option<usize>,
}

impl Limits {
    /// As they are now. A few system calls and a small file.
    pub fn now() -> Limits {
        let limit = |resource: Resource| {
            resource.get_soft().ok().filter(|&limit| limit != rlimit::INFINITY)
        };
        let mappings = fs::read_to_string("/proc/sys/vm/max_map_count").ok();
        let mappings = mappings.and_then(|text| text.trim().parse().ok());
        Limits { address_space: limit(Resource::AS), data: limit(Resource::DATA), mappings }
    }
}

impl Mapped {
    /// As it is now. Takes time in proportion to the mappings: for messages.
    pub fn now() -> Mapped {
        // proc_pid_statm(5): the first number is the size, the sixth that of data and stacks.
        let pages = fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let bytes = |at: usize| {
            let pages: u64 = pages.split_whitespace().nth(at)?.parse().ok()?;
            Some(pages * crate::PAGE_SIZE as u64)
        };
        let maps = fs::read("/proc/self/maps").ok();
        Mapped {
            address_space: bytes(0),
            data: bytes(5),
            mappings: maps.map(|maps| maps.iter().filter(|&&byte| byte == b'\n').count()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::child::in_child;

    #[test]
    fn limits_and_what_is_mapped_are_as_the_system_has_them() {
        let output = in_child("limits_and_what_is_mapped_are_as_the_system_has_them", || {
            assert!(Limits::now().mappings.is_some_and(|most| most > 100));
            let limit = libc::rlimit { rlim_cur: 5 << 30, rlim_max: 5 << 30 };
            // SAFETY: the structure is initialised.
            assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) }, 0);
            assert_eq!(Limits::now().address_space, Some(5 << 30));
            let before = Mapped::now();
            let regions: Vec<_> =
                (0..8).map(|_| crate::RegionOptions::new(64 << 20).build().unwrap()).collect();
            let after = Mapped::now();
            let more = after.address_space.unwrap() - before.address_space.unwrap();
            assert!(more >= 8 * (64 << 20), "{more}");
            assert!(after.mappings.unwrap() > before.mappings.unwrap());
            drop(regions);
        });
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

//! How much address space an engine takes: [`AddressSpace`], what it becomes on this machine, and what to say when the
//! system refuses.

use crate::error::Error;
use crate::vm;
use seqfault_mm::{Limits, Mapped};
use std::fmt;

/// How much address space the memories and heaps of an engine take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressSpace {
    /// [`Scarce`](Self::Scarce) where the process may map less than 2 TiB (`ulimit -v`), may have less than 32,768
    /// mappings (`vm.max_map_count`), or runs under valgrind, otherwise [`Ample`](Self::Ample).
    /// [`Engine::scarcity`](crate::Engine::scarcity) tells.
    #[default]
    Auto,
    /// A memory with 32-bit addresses takes 8 GiB of address space, so that compiled code need not compare accesses with
    /// the memory's length. A heap takes 4 GiB.
    Ample,
    /// A memory takes what it has, and more when it grows: one mapping. Compiled code compares each access with the
    /// length. A heap moves when it needs more.
    Scarce,
}

/// Memories of 8 GiB for which there has to be room. With their heaps, and with code and stacks, of which there are
/// fewer, several hundred instances fit.
const MEMORIES: u64 = 256;
/// Half of what a kernel allows by default. A memory that is used needs three mappings or more.
const MAPPINGS: usize = 32 << 10;

/// Why address space is scarce for an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scarcity {
    /// The configuration says so.
    Asked,
    /// The process may map only so many bytes.
    AddressSpace(u64),
    /// The process may have only so many mappings.
    Mappings(usize),
    /// valgrind runs the process. All that it lets a process map lies in 128 GiB.
    Valgrind,
}

impl Scarcity {
    /// Why address space is scarce in this process, if it is.
    pub(crate) fn now() -> Option<Scarcity> {
        let valgrind = || vm::runs_on_valgrind().then_some(Scarcity::Valgrind);
        Scarcity::of(Limits::now()).or_else(valgrind)
    }

    /// Why address space is scarce in a process with these limits, if it is.
    fn of(limits: Limits) -> Option<Scarcity> {
        let bytes = limits.address_space.filter(|&bytes| bytes < MEMORIES * (8 << 30));
        let mappings = limits.mappings.filter(|&count| count < MAPPINGS);
        // Who has few mappings needs the more thrifty way.
        mappings.map(Scarcity::Mappings).or(bytes.map(Scarcity::AddressSpace))
    }

    /// The most bytes that a memory can have.
    pub(crate) fn largest_memory(self) -> usize {
        match self {
            Scarcity::AddressSpace(bytes) => bytes.try_into().unwrap_or(usize::MAX),
            Scarcity::Asked | Scarcity::Mappings(_) | Scarcity::Valgrind => usize::MAX,
        }
    }

    /// Whether memories may start with an image, which takes mappings of its own.
    pub(crate) fn allows_images(self) -> bool {
        !matches!(self, Scarcity::Mappings(_))
    }
}

impl fmt::Display for Scarcity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scarcity::Asked => f.write_str("address space is to be saved")?,
            Scarcity::AddressSpace(bytes) => {
                write!(f, "this process may map only {bytes} bytes (`ulimit -v`)")?;
            }
            Scarcity::Mappings(count) => {
                write!(f, "this process may have only {count} mappings (`vm.max_map_count`)")?;
            }
            Scarcity::Valgrind => f.write_str("valgrind lets this process map little")?,
        }
        f.write_str(
            ": memories reserve no more than they have, and each access is compared with their length, which makes \
             code slower",
        )
    }
}

/// An error for what the system has refused to map; where a limit explains it, with the limit and the remedy.
pub(crate) fn refused(error: seqfault_mm::Error, what: &str) -> Error {
    let advice = match error.errno() {
        Some(libc::ENOMEM) => explain(Limits::now(), Mapped::now()),
        _ => None,
    };
    let error = Error::from(error).context(what);
    match advice {
        Some(advice) => error.context(advice),
        None => error,
    }
}

/// Which limit is reached.
fn explain(limits: Limits, mapped: Mapped) -> Option<String> {
    if let (Some(most), Some(now)) = (limits.mappings, mapped.mappings)
        && now + now / 16 >= most
    {
        return Some(format!(
            "the process has {now} mappings of at most {most}: raise the system's limit (sysctl `vm.max_map_count`), \
             have fewer instances, or save mappings (`Config::address_space`, `--address-space scarce`)"
        ));
    }
    if let (Some(most), Some(now)) = (limits.address_space, mapped.address_space) {
        return Some(format!(
            "the process has mapped {now} bytes of at most {most}: raise the limit (`ulimit -v`), have fewer or \
             smaller instances, or save address space (`Config::address_space`, `--address-space scarce`)"
        ));
    }
    let (most, now) = (limits.data?, mapped.data?);
    Some(format!(
        "the process has {now} bytes of writable memory of at most {most}: raise the limit (`ulimit -d`), have fewer \
         or smaller instances, or make less memory writable ahead (`Config::address_space`, `--address-space scarce`)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Limits = Limits { address_space: None, data: None, mappings: Some(65_530) };

    #[test]
    fn a_low_limit_makes_address_space_scarce() {
        assert_eq!(Scarcity::of(USUAL), None);
        assert_eq!(Scarcity::of(Limits::default()), None);
        assert_eq!(Scarcity::of(Limits { address_space: Some(1 << 46), ..USUAL }), None);
        let low = Limits { address_space: Some(4_096_000_000), ..USUAL };
        assert_eq!(Scarcity::of(low), Some(Scarcity::AddressSpace(4_096_000_000)));
        let few = Scarcity::of(Limits { mappings: Some(2000), ..low });
        assert_eq!(few, Some(Scarcity::Mappings(2000)));
        assert!(few.unwrap().to_string().contains("only 2000 mappings (`vm.max_map_count`)"));
    }

    #[test]
    fn a_refusal_names_the_limit_that_is_reached() {
        let full = Mapped {
            address_space: Some(4_000_000_000),
            data: Some(900_000_000),
            mappings: Some(300),
        };
        assert_eq!(explain(USUAL, full), None);
        let said = explain(Limits { address_space: Some(4_096_000_000), ..USUAL }, full).unwrap();
        assert!(said.contains("4096000000") && said.contains("ulimit -v"), "{said}");
        assert!(said.contains("4000000000"), "{said}");
        let said = explain(Limits { data: Some(1 << 30), ..USUAL }, full).unwrap();
        assert!(said.contains("900000000") && said.contains("1073741824"), "{said}");
        assert!(said.contains("ulimit -d"), "{said}");
        let said = explain(USUAL, Mapped { mappings: Some(65_500), ..full }).unwrap();
        assert!(said.contains("65500 mappings") && said.contains("vm.max_map_count"), "{said}");
    }
}

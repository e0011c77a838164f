//! The values of options: their syntax, and the engine that they describe.
//!
//! Each kind of value is a type with `FromStr`, so that clap can point at an error in it.

use crate::features::{FeatureSwitch, FeatureSwitchParser};
use clap::{Args, ValueEnum};
use seqfault::{AddressSpace, Compilation, Config, PagerKind, ResidentBudget};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Options on how code is compiled and memory is managed.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Engine")]
pub(crate) struct EngineArgs {
    /// Compile all functions before anything runs, instead of each when it is first called
    #[arg(long)]
    eager: bool,

    /// Give every NaN the same bits, so that results do not depend on the machine
    #[arg(long)]
    nan_canonicalization: bool,

    /// Give relaxed vector operators the same results on every machine
    #[arg(long)]
    relaxed_simd_deterministic: bool,

    /// How much stack wasm may use, as in 512K or 8M [default: 1M; without signals 4M]
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_wasm_stack: Option<Size>,

    /// Address space to reserve for each memory with 64-bit addresses; none can grow beyond it
    /// [default: 64G]
    #[arg(long, value_name = "SIZE")]
    memory64_reservation: Option<Size>,

    /// How pages of linear memories are made present
    #[arg(long, value_enum, default_value_t = Pager::Auto)]
    pager: Pager,

    /// How much address space memories take; little makes code slower
    #[arg(long, value_enum, default_value_t = Space::Auto)]
    address_space: Space,

    /// Check each memory access and each division by a branch, and install no signal handlers
    #[arg(long)]
    no_signals_based_traps: bool,

    /// How much of each linear memory may be resident; a touch beyond it traps
    #[arg(long, value_name = "SIZE")]
    resident_limit: Option<Size>,

    /// How much of all memories and heaps together may be resident; a touch beyond it traps. `auto`: what the container
    /// allows; `off`: any amount
    #[arg(long, value_name = "SIZE|auto|off", default_value = "auto")]
    resident_budget: Budget,

    /// How much memory the objects of the GC proposal may use in each store, at most 2G [default:
    /// 2G]
    #[arg(long, value_name = "SIZE")]
    gc_heap_limit: Option<Size>,

    /// Resolve every page fault under the region's lock
    #[arg(long)]
    no_speculation: bool,

    /// Accept or refuse a feature of WebAssembly; `-W help` lists them
    #[arg(short = 'W', value_name = "NAME[=y|n],...", value_delimiter = ',')]
    #[arg(value_parser = FeatureSwitchParser)]
    wasm: Vec<FeatureSwitch>,
}

impl EngineArgs {
    /// The configuration that the options describe.
    pub(crate) fn config(&self) -> Config {
        let mut config = Config::new();
        if self.eager {
            config.compilation(Compilation::Eager);
        }
        config.cranelift_nan_canonicalization(self.nan_canonicalization);
        config.relaxed_simd_deterministic(self.relaxed_simd_deterministic);
        if let Some(Size(bytes)) = self.max_wasm_stack {
            config.max_wasm_stack(bytes);
        }
        if let Some(Size(bytes)) = self.memory64_reservation {
            config.memory64_reservation(bytes as u64);
        }
        config.pager(self.pager.kind());
        config.address_space(self.address_space.kind());
        if self.no_signals_based_traps {
            config.signals_based_traps(false);
        }
        config.memory_resident_limit(self.resident_limit.map(|Size(bytes)| bytes));
        config.resident_budget(self.resident_budget.0);
        config.gc_heap_limit(self.gc_heap_limit.map(|Size(bytes)| bytes));
        config.speculation(!self.no_speculation);
        self.switch_features(&mut config);
        config
    }

    /// Switches the features of `config` that the options name.
    pub(crate) fn switch_features(&self, config: &mut Config) {
        for switch in &self.wasm {
            config.wasm_feature(switch.feature, switch.on);
        }
    }
}

/// A choice of how much address space is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Space {
    /// Little where the limits of the process are low
    Auto,
    /// 8 GiB for each memory, so that accesses need no checks
    Ample,
    /// What each memory has; its accesses are checked
    Scarce,
}

impl Space {
    fn kind(self) -> AddressSpace {
        match self {
            Space::Auto => AddressSpace::Auto,
            Space::Ample => AddressSpace::Ample,
            Space::Scarce => AddressSpace::Scarce,
        }
    }
}

/// A choice of pager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Pager {
    /// The best that the system allows
    Auto,
    /// No access until touched, then mprotect
    Protect,
    /// userfaultfd, in user mode only
    Uffd,
    /// Everything accessible at once, pages from the kernel
    Eager,
    /// Pages from the kernel alone, at any time
    Demand,
}

impl Pager {
    fn kind(self) -> PagerKind {
        match self {
            Pager::Auto => PagerKind::Auto,
            Pager::Protect => PagerKind::Protect,
            Pager::Uffd => PagerKind::Uffd,
            Pager::Eager => PagerKind::Eager,
            Pager::Demand => PagerKind::Demand,
        }
    }
}

/// A directory of the host and its name in the guest: `HOST` or `HOST::GUEST`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dir {
    /// Its path on the host.
    pub(crate) host: PathBuf,
    /// Its name in the guest.
    pub(crate) guest: String,
}

impl FromStr for Dir {
    type Err = String;

    fn from_str(text: &str) -> Result<Dir, String> {
        let (host, guest) = text.split_once("::").unwrap_or((text, text));
        if host.is_empty() || guest.is_empty() {
            return Err("write HOST or HOST::GUEST, neither of them empty".to_owned());
        }
        Ok(Dir { host: host.into(), guest: guest.to_owned() })
    }
}

/// A variable of the environment: `NAME=VALUE`, or `NAME` to pass on our own value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EnvVar {
    /// Its name.
    pub(crate) name: String,
    /// Its value; `None` if our own is to be passed on and we have none.
    pub(crate) value: Option<String>,
}

impl FromStr for EnvVar {
    type Err = String;

    fn from_str(text: &str) -> Result<EnvVar, String> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, inherited(text)?),
        };
        if name.is_empty() {
            return Err("write NAME=VALUE, or NAME to pass on your own".to_owned());
        }
        Ok(EnvVar { name: name.to_owned(), value })
    }
}

fn inherited(name: &str) -> Result<Option<String>, String> {
    match std::env::var_os(name).map(|value| value.into_string()) {
        None => Ok(None),
        Some(Ok(value)) => Ok(Some(value)),
        Some(Err(_)) => Err(format!("the value of {name} is not UTF-8")),
    }
}

/// A number of bytes: digits, then nothing or one of `K`, `M`, `G`, `T` (of 1024).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) usize);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Size, String> {
        let (digits, unit) = split_unit(text);
        let shift = match unit.to_ascii_uppercase().as_str() {
            "" | "B" => 0,
            "K" | "KB" | "KIB" => 10,
            "M" | "MB" | "MIB" => 20,
            "G" | "GB" | "GIB" => 30,
            "T" | "TB" | "TIB" => 40,
            _ => return Err(format!("unknown unit `{unit}`: write K, M, G or T, as in 64M")),
        };
        let number: usize =
            digits.parse().map_err(|_| "write a number of bytes, as in 65536 or 64M".to_owned())?;
        number
            .checked_mul(1 << shift)
            .map(Size)
            .ok_or_else(|| "more than this machine can address".to_owned())
    }
}

/// A budget: a [`Size`], `auto` or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Budget(ResidentBudget);

impl FromStr for Budget {
    type Err = String;

    fn from_str(text: &str) -> Result<Budget, String> {
        Ok(Budget(match text {
            "auto" => ResidentBudget::Auto,
            "off" => ResidentBudget::Unlimited,
            _ => {
                let size: Size =
                    text.parse().map_err(|error| format!("{error}, or `auto` or `off`"))?;
                ResidentBudget::Bytes(size.0)
            }
        }))
    }
}

/// A span of time: a number and one of `ms`, `s`, `m`, `h`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Span(pub(crate) Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Span, String> {
        let (digits, unit) = split_unit(text);
        let seconds_each = match unit {
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "" => return Err(format!("without a unit: write {text}s or {text}ms")),
            _ => return Err(format!("unknown unit `{unit}`: write ms, s, m or h, as in 500ms")),
        };
        let number: f64 =
            digits.parse().map_err(|_| "write a number and a unit, as in 500ms".to_owned())?;
        Duration::try_from_secs_f64(number * seconds_each)
            .map(Span)
            .map_err(|_| "out of range".to_owned())
    }
}

/// Splits `64M` into `64` and `M`.
fn split_unit(text: &str) -> (&str, &str) {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    text.split_at(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_the_same_name_in_the_guest_unless_another_is_given() {
        let dir = |text: &str| text.parse::<Dir>().map(|dir| (dir.host, dir.guest));
        assert_eq!(dir("a/b"), Ok(("a/b".into(), "a/b".into())));
        assert_eq!(dir("a/b::/c"), Ok(("a/b".into(), "/c".into())));
        assert_eq!(dir("c:x::/y::z"), Ok(("c:x".into(), "/y::z".into())));
        for bad in ["", "::/a", "a::"] {
            assert!(dir(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_variable_may_be_empty_or_hold_equals_signs_but_needs_a_name() {
        let var = |text: &str| text.parse::<EnvVar>().map(|var| (var.name, var.value));
        assert_eq!(var("A=1"), Ok(("A".into(), Some("1".into()))));
        assert_eq!(var("A=b=c"), Ok(("A".into(), Some("b=c".into()))));
        assert_eq!(var("A="), Ok(("A".into(), Some(String::new()))));
        assert_eq!(var("SEQFAULT_NO_SUCH_VARIABLE").unwrap().1, None);
        assert_eq!(var("PATH").unwrap().1, std::env::var("PATH").ok());
        assert!(var("=1").is_err() && var("").is_err());
    }

    #[test]
    fn sizes_have_binary_units() {
        let size = |text: &str| text.parse::<Size>().map(|size| size.0);
        assert_eq!(size("65536"), Ok(65536));
        assert_eq!(size("64K"), Ok(65536));
        assert_eq!(size("8m"), Ok(8 << 20));
        assert_eq!(size("1GiB"), Ok(1 << 30));
        assert_eq!(size("4T"), Ok(4 << 40));
        for bad in ["", "K", "1X", "-1", "1.5M", "99999999999G"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn spans_need_a_unit() {
        let span = |text: &str| text.parse::<Span>().map(|span| span.0);
        assert_eq!(span("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(span("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(span("1m"), Ok(Duration::from_secs(60)));
        assert_eq!(span("1.5s"), Ok(Duration::from_millis(1500)));
        assert!(span("5").unwrap_err().contains("5s"));
        for bad in ["", "s", "1d", "-1s", "1e30h", "1.2.3s"] {
            assert!(span(bad).is_err(), "{bad}");
        }
    }
}

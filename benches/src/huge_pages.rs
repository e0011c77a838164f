//! [`HugePages`]: the system's setting of transparent huge pages.

use std::{fs, io};

const SETTING: &str = "/sys/kernel/mm/transparent_hugepage/enabled";

/// Which memory gets huge pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HugePages {
    /// All that is aligned.
    Always,
    /// What asks for it.
    Madvise,
    /// None.
    Never,
}

impl HugePages {
    /// The setting now. A system without the file has no huge pages.
    pub fn now() -> HugePages {
        let setting = fs::read_to_string(SETTING).unwrap_or_default();
        let is = |name: &str| setting.contains(&format!("[{name}]"));
        match () {
            () if is("always") => HugePages::Always,
            () if is("madvise") => HugePages::Madvise,
            () => HugePages::Never,
        }
    }

    /// As the system spells it.
    pub fn name(self) -> &'static str {
        match self {
            HugePages::Always => "always",
            HugePages::Madvise => "madvise",
            HugePages::Never => "never",
        }
    }

    /// The setting with that name.
    pub(crate) fn named(name: &str) -> Option<HugePages> {
        let all = [HugePages::Always, HugePages::Madvise, HugePages::Never];
        all.into_iter().find(|huge| huge.name() == name)
    }

    /// Makes it the system's setting.
    ///
    /// # Errors
    ///
    /// When this user has not the right, or the system no huge pages.
    pub(crate) fn set(self) -> io::Result<()> {
        fs::write(SETTING, self.name())
    }
}

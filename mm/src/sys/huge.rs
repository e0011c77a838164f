//! The system's setting of transparent huge pages, read once.
//!
//! # References
//! The kernel's `Documentation/admin-guide/mm/transhuge.rst`.

use std::fs;
use std::sync::OnceLock;

use crate::space::Huge;

const ALL_SIZES: &str = "/sys/kernel/mm/transparent_hugepage/enabled";
/// Since Linux 6.8 each size has a setting of its own, which may be that of all.
const OF_2_MIB: &str = "/sys/kernel/mm/transparent_hugepage/hugepages-2048kB/enabled";

/// Which memory gets huge pages.
pub(crate) fn setting() -> Huge {
    static SETTING: OnceLock<Huge> = OnceLock::new();
    *SETTING.get_or_init(|| {
        let of = |path| fs::read_to_string(path).unwrap_or_default();
        chosen(&of(ALL_SIZES), &of(OF_2_MIB))
    })
}

/// What the two files say; the one in brackets is chosen. A system without the first has no huge pages.
fn chosen(all: &str, of_2_mib: &str) -> Huge {
    let text = if of_2_mib.is_empty() || of_2_mib.contains("[inherit]") { all } else { of_2_mib };
    match () {
        () if text.contains("[always]") => Huge::Given,
        () if text.contains("[madvise]") => Huge::Asked,
        () => Huge::Never,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_of_the_size_comes_before_that_of_all() {
        let sizes = "always inherit [madvise] never";
        assert_eq!(chosen("always madvise [never]", sizes), Huge::Asked);
        assert_eq!(chosen("[always] madvise never", "always [inherit] madvise never"), Huge::Given);
        assert_eq!(chosen("always [madvise] never", ""), Huge::Asked);
        assert_eq!(chosen("[always] madvise never", "always inherit madvise [never]"), Huge::Never);
        assert_eq!(chosen("", ""), Huge::Never);
    }
}

//! Text from modules in messages.
//!
//! The author of a module chooses its names. A name that clears the terminal, reverses the
//! direction of writing or begins a new line could look like a message of the host. So each name
//! goes into a message as [`Escaped`], and a list of names through [`closest`] or [`dozen`], which
//! keep it short.

use std::fmt::{self, Display, Write as _};

/// How many characters of a name a message holds.
const MOST_OF_A_NAME: usize = 320;

/// How many characters of text a message holds that is more than a single name.
const MOST_OF_A_LINE: usize = 4096;

/// How many names a message lists.
const MOST_NAMES: usize = 12;

/// Text as one line of printable characters. Control characters, invisible ones, and those that
/// change the direction of writing are shown as in Rust's strings; letters of every script are
/// kept. Of a long text the middle is left out.
///
/// ```
/// # use seqfault_jit::message::Escaped;
/// let name = Escaped::name("naïve\x1b[2J\nerror: \u{202e}gnorw");
/// assert_eq!(name.to_string(), r"naïve\u{1b}[2J\nerror: \u{202e}gnorw");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a> {
    text: &'a str,
    most: usize,
}

impl<'a> Escaped<'a> {
    /// A name, or another short piece of text.
    pub fn name(text: &'a str) -> Escaped<'a> {
        Escaped { text, most: MOST_OF_A_NAME }
    }

    /// A line that holds names.
    pub fn line(text: &'a str) -> Escaped<'a> {
        Escaped { text, most: MOST_OF_A_LINE }
    }
}

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Escaped { text, most } = *self;
        // A character has up to four bytes: short texts need not be counted.
        let length = if text.len() <= most { text.len() } else { text.chars().count() };
        if length <= most {
            return escape(text, f);
        }
        let tail = most / 5;
        escape(&text[..offset_of(text, most - tail)], f)?;
        write!(f, "[... {} characters ...]", length - most)?;
        escape(&text[offset_of(text, length - tail)..], f)
    }
}

/// The byte offset of the character with this number.
fn offset_of(text: &str, character: usize) -> usize {
    text.char_indices().nth(character).map_or(text.len(), |(offset, _)| offset)
}

fn escape(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    // Quotes are harmless, and frequent in messages.
    for part in text.split_inclusive(['"', '\'']) {
        let (plain, quote) = match part.strip_suffix(['"', '\'']) {
            Some(plain) => (plain, &part[plain.len()..]),
            None => (part, ""),
        };
        write!(f, "{}{quote}", plain.escape_debug())?;
    }
    Ok(())
}

/// The first dozen of `items`, and how many more there are: `a, b and 3 more`.
pub fn dozen(items: impl IntoIterator<Item = impl Display>) -> String {
    let mut items = items.into_iter();
    let mut text = String::new();
    for item in items.by_ref().take(MOST_NAMES) {
        let separator = if text.is_empty() { "" } else { ", " };
        // Writing to a string cannot fail.
        let _ = write!(text, "{separator}{item}");
    }
    match items.count() {
        0 => text,
        more => text + &format!(" and {more} more"),
    }
}

/// The dozen of `names` that are most similar to `wanted`, the closest first, listed as by
/// [`dozen`].
pub fn closest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    let wanted = beginning(wanted);
    let mut count = 0;
    // By distance; names of the same distance in their given order.
    let mut best: Vec<(usize, &str)> = Vec::with_capacity(MOST_NAMES + 1);
    for name in names {
        count += 1;
        let farthest = if best.len() < MOST_NAMES { usize::MAX } else { best[MOST_NAMES - 1].0 };
        let start = beginning(name);
        // The lengths alone rule out most names.
        if start.len().abs_diff(wanted.len()) / 4 >= farthest {
            continue;
        }
        let distance = strsim::osa_distance(wanted, start);
        if distance < farthest {
            best.insert(best.partition_point(|&(other, _)| other <= distance), (distance, name));
            best.truncate(MOST_NAMES);
        }
    }
    let listed = dozen(best.iter().map(|(_, name)| format!("`{}`", Escaped::name(name))));
    match count - best.len() {
        0 => listed,
        more => listed + &format!(" and {more} more"),
    }
}

/// The part of a name that is compared.
fn beginning(name: &str) -> &str {
    const MOST_COMPARED: usize = 64;
    &name[..offset_of(name, MOST_COMPARED)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_printable_is_escaped_and_letters_are_not() {
        for kept in ["plain", "naïve 日本 Ελλάδα", "core::fmt::Write<'a>", "a \"b\" `c`", ""]
        {
            assert_eq!(Escaped::name(kept).to_string(), kept);
        }
        for hostile in [
            "\x1b[2J", "\n", "\r", "\u{9b}", "\u{202e}", "\u{2066}", "\u{200b}", "\u{2028}",
            "\u{feff}", "\0",
        ] {
            let text = format!("a\"{hostile}'b");
            let shown = Escaped::name(&text).to_string();
            assert!(shown.starts_with("a\"\\") && shown.ends_with("'b"), "{shown}");
            assert!(shown.chars().all(|c| c.is_ascii_graphic()), "{shown}");
        }
        // Text that looks escaped must not stay as it is.
        assert_eq!(Escaped::name(r"\n").to_string(), r"\\n");
    }

    #[test]
    fn long_names_lose_their_middle() {
        let long = format!("begin{}end", "é".repeat(100_000));
        let shown = Escaped::name(&long).to_string();
        assert!(shown.starts_with("beginéé") && shown.ends_with("ééend"), "{shown}");
        assert!(shown.contains("[... 99688 characters ...]"), "{shown}");
        assert!(shown.chars().count() < MOST_OF_A_NAME + 40);
        let fits = "é".repeat(MOST_OF_A_NAME);
        assert_eq!(Escaped::name(&fits).to_string(), fits);
    }

    #[test]
    fn a_list_holds_a_dozen_and_counts_the_rest() {
        assert_eq!(dozen(1..=3), "1, 2, 3");
        assert_eq!(dozen(1..=12), "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12");
        assert_eq!(dozen(1..=14), "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 and 2 more");
        assert_eq!(dozen(0..0), "");
    }

    #[test]
    fn the_closest_names_come_first() {
        assert_eq!(
            closest("b", ["a", "bb", "b\n", "quite another"]),
            r"`a`, `bb`, `b\n`, `quite another`"
        );
        let names: Vec<String> = (0..100).map(|n| format!("function{n}")).collect();
        let names = || names.iter().map(String::as_str).chain(["allocate", "x"]);
        let list = closest("alocate", names());
        assert!(list.starts_with("`allocate`, `x`, `function0`, "), "{list}");
        assert!(list.ends_with("`function9` and 90 more"), "{list}");
        assert!(closest("function42", names()).starts_with("`function42`, `function2`, "));
    }
}

//! [`Event`]: what a program does to its linear memory as far as a pager can tell; and how traces of them are stored.
//!
//! A trace is in the file's order: [`MAGIC`], and then the events. An event is an LEB128 number whose lowest three bits
//! are the kind, and the rest a value; some kinds have a second number behind it. Numbers are of pages of 4 KiB.
//!
//! | kind | event | value | second number |
//! |---|---|---|---|
//! | 0 | first load from a page | the page less the one behind the last event's, as zigzag | |
//! | 1 | first store to a page | the same | |
//! | 2 | growth | pages added | |
//! | 3 | initial data | first page | pages |
//! | 4 | discard | first page | pages |
//! | 5 | the last load or store again, on the pages that follow | how many | |
//!
//! The recorder (`mm/examples/record_trace.rs`) compiles this file, too.

use std::ops::Range;

/// What a file begins with.
pub(crate) const MAGIC: &[u8] = b"seqfault trace 1\n";

/// One event. Pages are numbered from the start of the memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The first touch of a page, by a load.
    Load(usize),
    /// The first store to a page, which a load may have touched before.
    Store(usize),
    /// So many pages more are accessible.
    Grow(usize),
    /// The pages become initial data, a private mapping of a file.
    Image(Range<usize>),
    /// The contents of the pages are given back.
    Discard(Range<usize>),
}

/// The file that holds `events`.
#[allow(dead_code, reason = "tests of products read traces, and the recorder writes them")]
pub(crate) fn encode(events: &[Event]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    let mut next = 0;
    let mut rest = events;
    while let Some((event, behind)) = rest.split_first() {
        rest = behind;
        match event {
            Event::Load(page) | Event::Store(page) => {
                let kind = usize::from(matches!(event, Event::Store(_)));
                put(&mut bytes, zigzag(*page as isize - next as isize) << 3 | kind);
                let follows = |&(at, other): &(usize, &Event)| match (event, other) {
                    (Event::Load(_), Event::Load(other)) => *other == page + 1 + at,
                    (Event::Store(_), Event::Store(other)) => *other == page + 1 + at,
                    _ => false,
                };
                let run = rest.iter().enumerate().take_while(follows).count();
                if run > 0 {
                    put(&mut bytes, run << 3 | 5);
                }
                rest = &rest[run..];
                next = page + 1 + run;
            }
            Event::Grow(pages) => put(&mut bytes, pages << 3 | 2),
            Event::Image(pages) | Event::Discard(pages) => {
                let kind = if matches!(event, Event::Image(_)) { 3 } else { 4 };
                put(&mut bytes, pages.start << 3 | kind);
                put(&mut bytes, pages.len());
            }
        }
    }
    bytes
}

/// The events in a file, or `None` if it is none.
#[allow(dead_code, reason = "the recorder writes only")]
pub(crate) fn decode(file: &[u8]) -> Option<Vec<Event>> {
    let mut bytes = file.strip_prefix(MAGIC)?;
    let (mut events, mut next) = (Vec::new(), 0usize);
    while !bytes.is_empty() {
        let number = take(&mut bytes)?;
        let value = number >> 3;
        match number & 7 {
            kind @ 0..=1 => {
                let page = next.checked_add_signed(unzigzag(value))?;
                events.push(if kind == 0 { Event::Load(page) } else { Event::Store(page) });
                next = page + 1;
            }
            2 => events.push(Event::Grow(value)),
            kind @ 3..=4 => {
                let pages = value..value + take(&mut bytes)?;
                events.push(if kind == 3 { Event::Image(pages) } else { Event::Discard(pages) });
            }
            5 => {
                let last = events.last()?.clone();
                for page in next..next + value {
                    events.push(match last {
                        Event::Load(_) => Event::Load(page),
                        Event::Store(_) => Event::Store(page),
                        _ => return None,
                    });
                }
                next += value;
            }
            _ => return None,
        }
    }
    Some(events)
}

fn put(bytes: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take(bytes: &mut &[u8]) -> Option<usize> {
    let mut number = 0;
    for shift in (0..usize::BITS).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn zigzag(number: isize) -> usize {
    (number << 1 ^ number >> (isize::BITS - 1)) as usize
}

fn unzigzag(number: usize) -> isize {
    (number >> 1) as isize ^ -((number & 1) as isize)
}

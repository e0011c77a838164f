//! Makes a trace of first touches from what `perf script` prints: standard input to standard output.
//! `mm/traces/record` runs it; `mm/traces/README.md` tells how.

#[path = "../src/tests/simulation/trace.rs"]
mod trace;

use std::collections::HashMap;
use std::io::{self, BufRead, Write};
use std::ops::Range;

use trace::Event;

const PAGE: u64 = 4096;
/// Linear memories reserve more than this.
const RESERVATION: u64 = 4 << 30;

/// What a line tells, by addresses.
#[derive(Clone)]
enum Line {
    Fault { at: u64, store: bool },
    Protect(Range<u64>),
    Map(Range<u64>),
    Discard(Range<u64>),
}

impl Line {
    fn start(&self) -> u64 {
        match self {
            Line::Fault { at, .. } => *at,
            Line::Protect(range) | Line::Map(range) | Line::Discard(range) => range.start,
        }
    }
}

fn main() -> io::Result<()> {
    let mut reservations = Vec::new();
    // Calls of `mmap` that have not returned, by thread.
    let mut calls = HashMap::new();
    let mut lines = Vec::new();
    for line in io::stdin().lock().lines() {
        let line = line?;
        let Some((thread, event, rest)) = split(&line) else { continue };
        let numbers = numbers(rest);
        let range = || {
            let (start, len) = (*numbers.first()?, *numbers.get(1)?);
            Some(start..start + len)
        };
        match event {
            "page_fault_user" | "page_fault_kernel" => {
                let (Some(&at), Some(&code)) = (numbers.first(), numbers.last()) else { continue };
                lines.push(Line::Fault { at, store: code & 2 != 0 });
            }
            "sys_enter_mmap" => {
                let Some(range) = range() else { continue };
                if range.start != 0 {
                    lines.push(Line::Map(range.clone()));
                }
                calls.insert(thread.to_owned(), range.end - range.start);
            }
            "sys_exit_mmap" => {
                let Some(len) = calls.remove(thread) else { continue };
                if len > RESERVATION {
                    let start = *numbers.first().unwrap_or(&0);
                    reservations.push(start..start + len);
                }
            }
            "sys_enter_mprotect" => lines.extend(range().map(Line::Protect)),
            // MADV_DONTNEED.
            "sys_enter_madvise" if numbers.get(2) == Some(&4) => {
                lines.extend(range().map(Line::Discard));
            }
            _ => {}
        }
    }
    let events = busiest(&reservations, &lines).map(events).unwrap_or_default();
    let touches = events.iter().filter(|event| matches!(event, Event::Load(_) | Event::Store(_)));
    eprintln!("{} events, {} of them touches", events.len(), touches.count());
    io::stdout().write_all(&trace::encode(&events))
}

/// The thread, the name of the event, and what it says.
fn split(line: &str) -> Option<(&str, &str, &str)> {
    let (head, rest) = line.split_once(": ")?;
    let (head, event) = head.rsplit_once(':')?;
    let mut words = head.split_whitespace().rev();
    words.next()?;
    Some((words.next()?, event, rest))
}

/// The hexadecimal numbers in a text.
fn numbers(text: &str) -> Vec<u64> {
    let digits = |part: &str| {
        let end = part.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(part.len());
        u64::from_str_radix(&part[..end], 16).ok()
    };
    text.split("0x").skip(1).filter_map(digits).collect()
}

/// What was done to the reservation in which most faults were, with addresses from its memory's start: growth begins there.
fn busiest(reservations: &[Range<u64>], lines: &[Line]) -> Option<Vec<Line>> {
    let inside = |range: &Range<u64>| {
        lines.iter().filter(|line| range.contains(&line.start())).cloned().collect::<Vec<_>>()
    };
    let faults =
        |lines: &Vec<Line>| lines.iter().filter(|line| matches!(line, Line::Fault { .. })).count();
    let lines = reservations.iter().map(inside).max_by_key(faults)?;
    let growths = lines.iter().filter_map(|line| match line {
        Line::Protect(range) => Some(range.start),
        _ => None,
    });
    let base = growths.min()?;
    let moved = |range: Range<u64>| range.start - base..range.end - base;
    let lines = lines.into_iter().filter(|line| line.start() >= base);
    let lines = lines.map(|line| match line {
        Line::Fault { at, store } => Line::Fault { at: at - base, store },
        Line::Protect(range) => Line::Protect(moved(range)),
        Line::Map(range) => Line::Map(moved(range)),
        Line::Discard(range) => Line::Discard(moved(range)),
    });
    Some(lines.collect())
}

/// Bounds in bytes to pages.
fn pages(range: &Range<u64>) -> Range<usize> {
    (range.start / PAGE) as usize..(range.end / PAGE) as usize
}

fn events(lines: Vec<Line>) -> Vec<Event> {
    let (mut events, mut accessible) = (Vec::new(), 0);
    // Pages that were touched, and whether they were stored to.
    let mut touched: HashMap<usize, bool> = HashMap::new();
    // What is given back in the end is no part of the program.
    let is_fault = |line: &Line| matches!(line, Line::Fault { .. });
    let count = lines.iter().rposition(is_fault).map_or(0, |last| last + 1);
    for line in &lines[..count] {
        match line {
            Line::Protect(range) => {
                let range = pages(range);
                if range.start == accessible {
                    events.push(Event::Grow(range.len()));
                    accessible = range.end;
                }
            }
            Line::Map(range) => {
                touched.retain(|page, _| !pages(range).contains(page));
                events.push(Event::Image(pages(range)));
            }
            Line::Discard(range) if pages(range).end <= accessible => {
                touched.retain(|page, _| !pages(range).contains(page));
                events.push(Event::Discard(pages(range)));
            }
            Line::Discard(_) => {}
            Line::Fault { at, store } => {
                let page = (at / PAGE) as usize;
                let is_new = touched.get(&page).is_none_or(|&stored| *store && !stored);
                if page < accessible && is_new {
                    touched.insert(page, *store);
                    events.push(if *store { Event::Store(page) } else { Event::Load(page) });
                }
            }
        }
    }
    events
}

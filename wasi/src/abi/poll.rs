//! The records of `poll_oneoff`: what a guest waits for, and the events that it gets.

use super::{Errno, Layout, Record};

/// The kind of an event (`eventtype`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum EventKind {
    Clock = 0,
    FdRead = 1,
    FdWrite = 2,
}

/// A clock to wait for (`subscription_clock`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClockSubscription {
    pub(crate) clock: u32,
    pub(crate) timeout: u64,
    /// Whether `timeout` is a point in time of that clock, instead of a duration from now.
    pub(crate) absolute: bool,
}

/// One thing to wait for (`subscription_u`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subscription {
    Clock(ClockSubscription),
    FdRead(u32),
    FdWrite(u32),
}

impl Layout for Subscription {
    const SIZE: u32 = 48;
    const ALIGN: u32 = 8;
}

impl Subscription {
    /// The user data and the subscription in `bytes`.
    pub(crate) fn decode(bytes: &[u8; 48]) -> Result<(u64, Self), Errno> {
        let u16_at = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let u32_at =
            |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let u64_at =
            |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let what = match bytes[8] {
            0 => Subscription::Clock(ClockSubscription {
                clock: u32_at(16),
                timeout: u64_at(24),
                absolute: match u16_at(40) {
                    0 => false,
                    1 => true,
                    _ => return Err(Errno::Inval),
                },
            }),
            1 => Subscription::FdRead(u32_at(16)),
            2 => Subscription::FdWrite(u32_at(16)),
            _ => return Err(Errno::Inval),
        };
        Ok((u64_at(0), what))
    }
}

/// Something that happened (`event`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) userdata: u64,
    pub(crate) error: Errno,
    pub(crate) kind: EventKind,
    /// Bytes that can be read or written without waiting, if known.
    pub(crate) nbytes: u64,
    pub(crate) hangup: bool,
}

impl Layout for Event {
    const SIZE: u32 = 32;
    const ALIGN: u32 = 8;
}

impl Record for Event {
    type Bytes = [u8; 32];

    fn encode(&self) -> [u8; 32] {
        let mut out = [0; 32];
        out[0..8].copy_from_slice(&self.userdata.to_le_bytes());
        out[8..10].copy_from_slice(&self.error.raw().to_le_bytes());
        out[10] = self.kind as u8;
        out[16..24].copy_from_slice(&self.nbytes.to_le_bytes());
        out[24..26].copy_from_slice(&u16::from(self.hangup).to_le_bytes());
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock_bytes() -> [u8; 48] {
        let mut bytes = [0; 48];
        bytes[0] = 9;
        bytes[16] = 1;
        bytes[24..32].copy_from_slice(&1_000_000_007_u64.to_le_bytes());
        bytes[32] = 77; // precision, which is a hint
        bytes[40] = 1;
        bytes
    }

    #[test]
    fn clock_subscription_layout() {
        let (userdata, what) = Subscription::decode(&clock_bytes()).unwrap();
        assert_eq!(userdata, 9);
        let clock = ClockSubscription { clock: 1, timeout: 1_000_000_007, absolute: true };
        assert_eq!(what, Subscription::Clock(clock));
    }

    #[test]
    fn unknown_tags_and_flags_are_invalid() {
        let mut bytes = clock_bytes();
        bytes[40] = 2;
        assert_eq!(Subscription::decode(&bytes), Err(Errno::Inval));
        bytes[8] = 3;
        assert_eq!(Subscription::decode(&bytes), Err(Errno::Inval));
    }

    #[test]
    fn event_layout() {
        let event = Event {
            userdata: 1,
            error: Errno::BadF,
            kind: EventKind::FdWrite,
            nbytes: 5,
            hangup: true,
        };
        let mut want = [0; 32];
        (want[0], want[8], want[10], want[16], want[24]) = (1, 8, 2, 5, 1);
        assert_eq!(event.encode(), want);
    }
}

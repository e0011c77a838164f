//! Damage to a module's bytes: what a bad disk, a bad tool or a bad person does.

use rand::Rng;
use rand::rngs::StdRng;

/// `bytes` after one to four blows.
pub(crate) fn damaged(bytes: &[u8], rng: &mut StdRng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..rng.random_range(1..=4) {
        blow(&mut bytes, rng);
    }
    bytes
}

fn blow(bytes: &mut Vec<u8>, rng: &mut StdRng) {
    if bytes.is_empty() {
        bytes.push(rng.random());
        return;
    }
    let at = rng.random_range(0..bytes.len());
    let length = rng.random_range(1..=32.min(bytes.len() - at));
    match rng.random_range(0..8) {
        0 => bytes[at] ^= 1 << rng.random_range(0..8),
        1 => bytes[at] = rng.random(),
        // The ends of the numbers that LEB128 and opcodes are made of.
        2 => bytes[at] = [0x00, 0x7f, 0x80, 0xff, 0x0b, 0xfc, 0xfd, 0x40][rng.random_range(0..8)],
        3 => bytes.truncate(at),
        4 => {
            bytes.drain(at..at + length);
        }
        5 => {
            let copy = bytes[at..at + length].to_vec();
            let to = rng.random_range(0..=bytes.len());
            bytes.splice(to..to, copy);
        }
        6 => {
            // The largest number in five bytes, where a small one may have been.
            bytes.splice(at..=at, [0xff, 0xff, 0xff, 0xff, 0x0f]);
        }
        _ => {
            let noise: Vec<u8> = (0..length).map(|_| rng.random()).collect();
            bytes.splice(at..at + length, noise);
        }
    }
}

//! The examples in the README do what it says.

#![deny(unsafe_code)]

use std::process::Command;

#[test]
fn the_flight_into_the_mandelbrot_set_draws_all_of_its_frames() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/mandelbrot.wat");
    let output = Command::new(env!("CARGO_BIN_EXE_seqfault"))
        .args(["run", example])
        .output()
        .expect("it starts");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    let frames: Vec<&str> = text.split("\x1b[H").skip(1).collect();
    assert_eq!(frames.len(), 48);
    for frame in &frames {
        assert_eq!(frame.matches('▀').count(), 80 * 23);
    }
    // The whole set fits into the first frame: both the inside and the far outside are there.
    assert!(frames[0].contains("enlarged 1 times"), "{}", frames[0]);
    let black = frames[0].matches("38;5;16;").count();
    assert!((200..800).contains(&black), "{black} of 1840 points are black");
    assert!(text.ends_with("\x1b[?25h"), "the cursor is shown again");
}

#[test]
fn the_polynomial_is_derived_until_nothing_is_left() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/derive.wat");
    let output = Command::new(env!("CARGO_BIN_EXE_seqfault"))
        .args(["run", example])
        .output()
        .expect("it starts");
    assert!(output.status.success(), "{output:?}");
    // 2 x^7 + 3 x^2 + 5 and its derivatives, as coefficients from x^0 on.
    let mut polynomial = vec![5, 0, 3, 0, 0, 0, 0, 2];
    let mut expected = String::new();
    while !polynomial.is_empty() {
        let value = |at: u32| -> u32 {
            polynomial.iter().rev().fold(0, |value, coefficient| value * at + coefficient)
        };
        expected += &format!("{} {} {} {}\n", value(0), value(1), value(2), value(3));
        let next = polynomial.iter().zip(0u32..).skip(1);
        polynomial = next.map(|(coefficient, power)| coefficient * power).collect();
    }
    assert_eq!(String::from_utf8(output.stdout).expect("text"), expected);
}

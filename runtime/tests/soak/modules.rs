//! Modules drawn at random, each with what its memory holds when it starts.

use crate::random::Random;

/// A module in the text format.
pub(crate) struct Drawn {
    pub(crate) text: String,
    pub(crate) start: Start,
    /// Data in its memory: where, and what.
    at: usize,
    data: Vec<u8>,
}

/// How the instantiation ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Start {
    Lives,
    /// After a first data segment was written, a second one lies out of bounds.
    Segment,
    /// The start function writes, then traps.
    Function,
}

/// What every module has besides its memory. `parts` is zero where the table, the globals and new arrays hold what they
/// should; `spoil` changes all of them.
const PARTS: &str = r#"
    (type $bytes (array (mut i64)))
    (type $nothing (func))
    (elem $declared declare func $spoil)
    (global $number (mut i64) (i64.const 0))
    (global $object (mut (ref null $bytes)) (ref.null $bytes))
    (global $function (mut funcref) (ref.null func))
    (func (export "parts") (result i64) (local $at i32) (local $found i64) (local $array (ref $bytes))
        (local.set $array (array.new_default $bytes (i32.const 3000)))
        (local.set $found (global.get $number))
        (loop $again
            (local.set $found (i64.or (local.get $found) (array.get $bytes (local.get $array) (local.get $at))))
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $at) (i32.const 3000))))
        (array.fill $bytes (local.get $array) (i32.const 0) (i64.const -1) (i32.const 3000))
        (if (i32.eqz (ref.is_null (global.get $object))) (then (local.set $found (i64.const -2))))
        (if (i32.eqz (ref.is_null (global.get $function))) (then (local.set $found (i64.const -3))))
        (drop (table.grow $table (ref.null func) (i32.const 50)))
        (local.set $at (i32.const 0))
        (loop $again
            (if (i32.ne (ref.is_null (table.get $table (local.get $at)))
                    (i32.or (i32.lt_u (local.get $at) (i32.const 3)) (i32.gt_u (local.get $at) (i32.const 4))))
                (then (local.set $found (i64.const -4))))
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $at) (table.size $table))))
        (local.get $found))
    (func $spoil (export "spoil") (param i64)
        (global.set $number (local.get 0))
        (global.set $object (array.new $bytes (local.get 0) (i32.const 2000)))
        (global.set $function (ref.func $spoil))
        (drop (table.grow $table (ref.func $spoil) (i32.const 20)))
        (table.fill $table (i32.const 0) (ref.func $spoil) (table.size $table)))
    (func $deep (call $deep) (call $deep))
    (func (export "end") (param i32)
        (block $forever (block $host (block $stack (block $null (block $array (block $unreachable (block $return
            (br_table $return $unreachable $array $null $stack $host $host $forever (local.get 0)))
            (return))
            unreachable)
            (drop (array.get $bytes (array.new_default $bytes (i32.const 4)) (i32.const 4))) unreachable)
            (call_ref $nothing (ref.null $nothing)) unreachable)
            (call $deep) unreachable)
            (call $host (local.get 0)) unreachable)
        (loop $again (br $again)))
"#;

impl Drawn {
    pub(crate) fn new(random: &mut Random) -> Drawn {
        let pages = 1 + random.below(9);
        let wide = random.below(3) == 0;
        let (kind, index) = if wide { ("i64 ", "i64") } else { ("", "i32") };
        let most = if random.below(2) == 0 { format!("{}", pages + 20) } else { String::new() };
        let start = match random.below(8) {
            0 => Start::Segment,
            1 => Start::Function,
            _ => Start::Lives,
        };
        let len = [0, 1, 1 << 10, 5000, 70_000, 300_000][random.below(6)].min(pages << 16);
        let at = random.below((pages << 16) - len + 1);
        let data: Vec<u8> = (0..len).map(|_| 1 + random.below(120) as u8).collect();
        let literal: String = data.iter().map(|byte| format!("\\{byte:02x}")).collect();
        let beyond = pages << 16;
        let bad = match start {
            Start::Lives => String::new(),
            Start::Segment => format!("(data ({index}.const {beyond}) \"\\ff\")"),
            Start::Function => format!(
                "(func $start (memory.fill ({index}.const 0) (i32.const 255) ({index}.const {beyond})) unreachable) \
                 (start $start)"
            ),
        };
        let table = [10, 600, 20_000][random.below(3)];
        let text = format!(
            r#"(module (import "host" "call" (func $host (param i32)))
                (memory (export "memory") {kind}{pages} {most})
                (table $table {table} funcref) (elem (table $table) (i32.const 3) func $spoil $spoil)
                (func (export "fill") (param i32 {index} {index})
                    (memory.fill (local.get 1) (local.get 0) (local.get 2)))
                {PARTS} (data ({index}.const {at}) "{literal}") {bad})"#
        );
        Drawn { text, start, at, data }
    }

    /// Fails unless `found`, from `from` on, is what the memory starts with.
    pub(crate) fn check(&self, from: usize, found: &[u8]) {
        let wrong = found.iter().enumerate().find(|&(offset, &byte)| {
            let place = (from + offset).wrapping_sub(self.at);
            byte != self.data.get(place).copied().unwrap_or(0)
        });
        assert!(wrong.is_none(), "offset {from:#x} and {wrong:x?} of a former user");
    }
}

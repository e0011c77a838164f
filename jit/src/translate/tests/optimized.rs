//! What must be left, or gone, after Cranelift's optimiser.

use super::TestModule;
use crate::tunables::Tunables;
use cranelift_codegen::Context;
use cranelift_codegen::ir::{Block, Function, Opcode};

fn optimize(text: &str, tunables: &Tunables) -> Function {
    let mut module = TestModule::new(text);
    let func = module.funcs().start;
    let mut context = Context::for_function(module.translate(func, tunables));
    context.optimize(&*module.isa, &mut Default::default()).unwrap();
    context.func
}

fn opcodes(function: &Function, block: Block) -> Vec<Opcode> {
    let instructions = function.layout.block_insts(block);
    instructions.map(|inst| function.dfg.insts[inst].opcode()).collect()
}

/// The opcodes in blocks that lie on a cycle of a function with one loop.
fn loop_opcodes(function: &Function) -> Vec<Opcode> {
    let blocks: Vec<Block> = function.layout.blocks().collect();
    let successors = |block: Block| {
        let last = function.layout.last_inst(block).unwrap();
        let dfg = &function.dfg;
        let calls = dfg.insts[last].branch_destination(&dfg.jump_tables, &dfg.exception_tables);
        calls.iter().map(|call| call.block(&dfg.value_lists)).collect::<Vec<_>>()
    };
    let reaches = |from: Block, to: Block| {
        let mut seen = vec![];
        let mut left = successors(from);
        while let Some(block) = left.pop() {
            if !seen.contains(&block) {
                seen.push(block);
                left.extend(successors(block));
            }
        }
        seen.contains(&to)
    };
    let in_loop = blocks.into_iter().filter(|&block| reaches(block, block));
    in_loop.flat_map(|block| opcodes(function, block)).collect()
}

fn count(opcodes: &[Opcode], opcode: Opcode) -> usize {
    opcodes.iter().filter(|&&found| found == opcode).count()
}

#[test]
fn loops_look_at_the_epoch_each_time() {
    let tunables = Tunables { epoch_interruption: true, ..Tunables::default() };
    let function = optimize("(module (func (loop (br 0))))", &tunables);
    // And at the deadline, which other threads move to interrupt a store.
    assert_eq!(count(&loop_opcodes(&function), Opcode::AtomicLoad), 2, "{}", function.display());
    assert_eq!(count(&loop_opcodes(&function), Opcode::Load), 0, "{}", function.display());
}

#[test]
fn a_loop_over_memory_loads_nothing_but_memory() {
    let text = "(module (memory 1)
        (func (param i32) (result i32) (local i32)
            (loop
                (local.set 1 (i32.add (local.get 1) (i32.load (local.get 0))))
                (i32.store offset=8 (local.get 0) (local.get 1))
                (local.set 0 (i32.sub (local.get 0) (i32.const 4)))
                (br_if 0 (local.get 0)))
            (local.get 1)))";
    let function = optimize(text, &Tunables::default());
    let opcodes = loop_opcodes(&function);
    assert_eq!(count(&opcodes, Opcode::Load), 1, "{}", function.display());
    assert_eq!(count(&opcodes, Opcode::Store), 1);
    assert_eq!(count(&opcodes, Opcode::Brif), 1);
    assert_eq!(count(&opcodes, Opcode::Trapz) + count(&opcodes, Opcode::Trapnz), 0);
}

#[test]
fn a_store_to_memory_leaves_globals_known() {
    let text = "(module (memory 1) (global (mut i32) (i32.const 0))
        (func (result i32)
            (global.set 0 (i32.const 1))
            (i32.store (i32.const 0) (i32.const 2))
            (global.get 0)))";
    let function = optimize(text, &Tunables::default());
    let entry = function.layout.entry_block().unwrap();
    // The one load left is that of the memory's base.
    assert_eq!(count(&opcodes(&function, entry), Opcode::Load), 1, "{}", function.display());
}

#[test]
fn a_call_makes_everything_unknown() {
    let text = "(module (memory 1) (global (mut i32) (i32.const 0))
        (func (result i32)
            (global.set 0 (i32.const 1))
            (drop (memory.size))
            (call 0)
            (drop)
            (i32.add (global.get 0) (memory.size))))";
    let function = optimize(text, &Tunables::default());
    let text = function.display().to_string();
    let after = text.split("call_indirect").nth(1).unwrap();
    assert_eq!(after.matches("load.").count(), 2, "{text}");
}

#[test]
fn a_wait_for_a_table_to_grow_ends() {
    // Only a call can change a table, so nothing but the call stands between the two loads.
    let text = "(module (table 1 funcref) (func (loop (call 0) (br_if 0 (table.size)))))";
    let function = optimize(text, &Tunables::default());
    let length_loads = count(&loop_opcodes(&function), Opcode::Load);
    // The length and the code of the callee; where the table lies is known.
    assert_eq!(length_loads, 2, "{}", function.display());
}

#[test]
fn where_a_table_lies_that_cannot_grow_is_known_outside_of_loops() {
    let call = "(call_indirect (local.get 0)) (br_if 0 (local.get 0))";
    let loads = |table: &str| {
        let text = format!("(module (table {table} funcref) (func (param i32) (loop {call})))");
        let function = optimize(&text, &Tunables::default());
        let opcodes = loop_opcodes(&function);
        // Outside its bounds, the load of an element faults.
        assert_eq!(count(&opcodes, Opcode::Trapnz), 0, "{}", function.display());
        count(&opcodes, Opcode::Load)
    };
    // The element, the callee's type, context and slot, its code; of a table that can grow, also
    // its length and its base. Off the path, where the callee is made: the builtin, through its
    // table, and the element again.
    let off_the_path = 3;
    assert_eq!(loads("8 8"), 5 + off_the_path);
    assert_eq!(loads("8"), 7 + off_the_path);
}

#[test]
fn accesses_through_one_index_share_its_clamp() {
    let text = "(module (memory i64 1)
        (func (param i64) (result i64)
            (i64.store offset=8 (local.get 0) (i64.load (local.get 0)))
            (i64.store offset=24 (local.get 0) (i64.load offset=16 (local.get 0)))
            (i64.load offset=100000 (local.get 0))))";
    let function = optimize(text, &Tunables::default());
    let opcodes = opcodes(&function, function.layout.entry_block().unwrap());
    assert_eq!(count(&opcodes, Opcode::Umin), 1, "{}", function.display());
    assert_eq!(count(&opcodes, Opcode::Icmp) + count(&opcodes, Opcode::Brif), 0);
}

#[test]
fn the_clamp_of_an_index_that_stays_leaves_the_loop() {
    let text = "(module (memory i64 1)
        (func (param i64 i32)
            (loop
                (i32.store (local.get 0) (local.get 1))
                (local.set 1 (i32.sub (local.get 1) (i32.const 1)))
                (br_if 0 (local.get 1)))))";
    let function = optimize(text, &Tunables::default());
    assert_eq!(count(&loop_opcodes(&function), Opcode::Umin), 0, "{}", function.display());
}

#[test]
fn an_index_that_cannot_be_too_large_is_not_clamped() {
    let text = "(module (memory i64 1)
        (func (param i32) (result i32)
            (i32.load (i64.add (i64.const 1024)
                (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 2))))))";
    let clamps = |memory64_reservation| {
        let tunables = Tunables { memory64_reservation, ..Tunables::default() };
        let function = optimize(text, &tunables);
        count(&opcodes(&function, function.layout.entry_block().unwrap()), Opcode::Umin)
    };
    assert_eq!(clamps(64 << 30), 0);
    assert_eq!(clamps(16 << 30), 1);
}

#[test]
fn branches_that_are_hinted_to_be_rare_lead_to_cold_blocks() {
    let cold = |hint: &str, operator: &str| {
        let text = format!(
            "(module (func (param i32) (result i32)
                (block (result i32) (i32.const 1) (local.get 0) {hint} {operator})))"
        );
        let mut module = TestModule::new(&text);
        let func = module.funcs().start;
        let function = module.translate(func, &Tunables::default());
        function.layout.blocks().filter(|&block| function.layout.is_cold(block)).count()
    };
    let (unlikely, likely) =
        (r#"(@metadata.code.branch_hint "\00")"#, r#"(@metadata.code.branch_hint "\01")"#);
    let br_if = "(br_if 0) (drop) (i32.const 2)";
    let if_ = "(if (param i32) (result i32) (then) (else (drop) (i32.const 2)))";
    for operator in [br_if, if_] {
        assert_eq!(cold("", operator), 0, "{operator}");
        assert_eq!(cold(unlikely, operator), 1, "{operator}");
        assert_eq!(cold(likely, operator), 1, "{operator}");
    }
    // A hint on something else changes nothing.
    assert_eq!(cold(unlikely, "(drop) (drop) (i32.const 3)"), 0);
}

//! Modules made to hurt: claims far beyond what is there, counts, depths and sizes that no compiler
//! emits. Each gets an error or works, in bounded time and memory.

#![deny(unsafe_code)]

use seqfault::{Compilation, Config, Engine, Instance, Module, Result, Store, Val};
use seqfault_wasm_tests::watch::{peak_memory, within};
use std::time::Duration;
use wasm_encoder::{
    CodeSection, ConstExpr, DataSection, ExportKind, ExportSection, Function, FunctionSection,
    GlobalSection, GlobalType, Instruction, MemorySection, MemoryType, RawSection, TableSection,
    TableType, TypeSection, ValType,
};

/// How long one module may take on a busy machine, optimised or not.
const PATIENCE: Duration = Duration::from_secs(60);

/// The most memory that all of these tests together may need.
const MEMORY: u64 = 3 << 30;

const HEADER: &[u8] = b"\0asm\x01\0\0\0";

fn engine(compilation: Compilation) -> Engine {
    let mut config = Config::new();
    config.compilation(compilation);
    Engine::new(&config).expect("an engine")
}

/// Compiles `bytes` as a whole, in bounded time and memory.
#[track_caller]
fn compile(what: &str, bytes: &[u8]) -> Result<Module> {
    let module = within(PATIENCE, what, || Module::from_binary(&engine(Compilation::Eager), bytes));
    if let Some(peak) = peak_memory() {
        assert!(peak < MEMORY, "{what}: {peak} bytes were resident");
    }
    module
}

#[track_caller]
fn is_refused(what: &str, bytes: &[u8]) {
    let Err(error) = compile(what, bytes) else { panic!("{what} was accepted") };
    assert!(!error.to_string().is_empty());
}

/// Compiles `bytes`, instantiates them and calls the export `f` without arguments.
#[track_caller]
fn runs(what: &str, bytes: &[u8]) -> Vec<Val> {
    let module = compile(what, bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
    let mut store = Store::new(module.engine(), ());
    let instance = Instance::new(&mut store, &module, &[]).expect("an instance");
    let func = instance.get_func(&mut store, "f").expect("a function");
    let mut results = vec![Val::I32(0); func.ty(&store).results().len()];
    func.call(&mut store, &[], &mut results).expect("a return");
    results
}

/// A module of one function `f` of type `[] -> [i32]`.
fn module_of(function: Function) -> Vec<u8> {
    let mut types = TypeSection::new();
    types.ty().function([], [ValType::I32]);
    let mut functions = FunctionSection::new();
    functions.function(0);
    let mut exports = ExportSection::new();
    exports.export("f", ExportKind::Func, 0);
    let mut code = CodeSection::new();
    code.function(&function);
    let mut module = wasm_encoder::Module::new();
    module.section(&types).section(&functions).section(&exports).section(&code);
    module.finish()
}

fn leb(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        bytes.push(if number == 0 { low } else { low | 0x80 });
        if number == 0 {
            return bytes;
        }
    }
}

/// A section that says it has this size.
fn section(id: u8, claimed: u64, contents: &[u8]) -> Vec<u8> {
    [&[id][..], &leb(claimed), contents].concat()
}

#[test]
fn sections_that_claim_more_than_the_file_has_are_refused() {
    for id in 0..=13 {
        for claimed in [1, 100, 1 << 20, (1 << 31) - 1, (1 << 32) - 1] {
            let bytes = [HEADER, &section(id, claimed, &[])].concat();
            is_refused(&format!("section {id} of {claimed} bytes"), &bytes);
        }
    }
}

#[test]
fn counts_that_claim_more_than_the_section_has_are_refused() {
    for id in 1..=13 {
        for count in [2, 1000, 1 << 20, (1 << 31) - 1, (1 << 32) - 1] {
            for filling in [0x00, 0x01, 0x60, 0x7f, 0xff] {
                let contents = [leb(count), vec![filling; 1]].concat();
                let bytes = [HEADER, &section(id, contents.len() as u64, &contents)].concat();
                // The number of data segments alone is a whole section, and says nothing yet.
                if id != 12 {
                    is_refused(&format!("section {id} with {count} items"), &bytes);
                }
            }
        }
    }
}

#[test]
fn a_data_segment_that_claims_4_gib_is_refused() {
    for claimed in [17, 1 << 16, 1 << 31, (1 << 32) - 1] {
        let segment = [&[1, 1][..], &leb(claimed), &[0; 16]].concat();
        let bytes = [HEADER, &section(11, segment.len() as u64, &segment)].concat();
        is_refused("a data segment", &bytes);
    }
}

#[test]
fn strings_and_bodies_that_claim_4_gib_are_refused() {
    let huge = leb((1 << 32) - 1);
    let import = [&[1][..], &huge, b"name"].concat();
    is_refused("an import's name", &[HEADER, &section(2, import.len() as u64, &import)].concat());
    let custom = [&huge[..], b"name"].concat();
    is_refused("a custom section", &[HEADER, &section(0, custom.len() as u64, &custom)].concat());
    let body = [&[1][..], &huge, &[0, 0x0b]].concat();
    let bytes = [
        HEADER,
        &section(1, 4, &[1, 0x60, 0, 0]),
        &section(3, 2, &[1, 0]),
        &section(10, body.len() as u64, &body),
    ]
    .concat();
    is_refused("a body", &bytes);
}

#[test]
fn a_million_locals_are_refused_and_many_are_not() {
    for groups in [vec![(1_000_000, ValType::I32)], vec![(100_000, ValType::V128); 40]] {
        let mut function = Function::new(groups);
        function.instruction(&Instruction::I32Const(1)).instruction(&Instruction::End);
        is_refused("too many locals", &module_of(function));
    }
    // Four billion of them, in a few bytes.
    let mut body = vec![1];
    body.extend(leb((1 << 32) - 1));
    body.extend([0x7f, 0x41, 0x01, 0x0b]);
    let code = [&[1][..], &leb(body.len() as u64), &body].concat();
    let bytes = [
        HEADER,
        &section(1, 5, &[1, 0x60, 0, 1, 0x7f]),
        &section(3, 2, &[1, 0]),
        &section(10, code.len() as u64, &code),
    ]
    .concat();
    is_refused("2^32 - 1 locals", &bytes);

    let mut function = Function::new([(40_000, ValType::I32)]);
    function.instruction(&Instruction::LocalGet(39_999)).instruction(&Instruction::End);
    assert_eq!(runs("40,000 locals", &module_of(function))[0].unwrap_i32(), 0);
}

#[test]
fn deep_nesting_is_compiled_or_refused_without_a_deep_stack() {
    let nested = |depth: usize, open: Instruction<'_>| {
        let mut function = Function::new([]);
        for _ in 0..depth {
            if matches!(open, Instruction::If(_)) {
                function.instruction(&Instruction::I32Const(1));
            }
            function.instruction(&open);
        }
        for _ in 0..depth {
            function.instruction(&Instruction::End);
        }
        function.instruction(&Instruction::I32Const(7)).instruction(&Instruction::End);
        module_of(function)
    };
    let empty = wasm_encoder::BlockType::Empty;
    for open in [Instruction::Block(empty), Instruction::Loop(empty), Instruction::If(empty)] {
        // On a small stack, so that recursion over the nesting would show.
        let bytes = nested(20_000, open);
        let thread = std::thread::Builder::new().stack_size(512 << 10);
        let running = thread.spawn(move || {
            // Whether this is too deep is up to the engine.
            let _ = compile("20,000 nested blocks", &bytes);
        });
        running.expect("a thread").join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    }
    let bytes = nested(1_000, Instruction::Block(empty));
    assert_eq!(runs("1,000 nested blocks", &bytes)[0].unwrap_i32(), 7);
}

/// `count` blocks inside each other, left one by one.
fn exits(count: usize) -> Function {
    let mut function = Function::new([(1, ValType::I32)]);
    for _ in 0..count {
        function.instruction(&Instruction::Block(wasm_encoder::BlockType::Empty));
    }
    for _ in 0..count {
        function.instruction(&Instruction::LocalGet(0)).instruction(&Instruction::BrIf(0));
        function.instruction(&Instruction::End);
    }
    function.instruction(&Instruction::I32Const(1)).instruction(&Instruction::End);
    function
}

/// `count` conditions one after the other, each depending on the last.
fn branches(count: usize) -> Function {
    let mut function = Function::new([(1, ValType::I32)]);
    for number in 0..count {
        function.instruction(&Instruction::LocalGet(0));
        function.instruction(&Instruction::If(wasm_encoder::BlockType::Empty));
        function.instruction(&Instruction::I32Const(number as i32));
        function.instruction(&Instruction::LocalSet(0)).instruction(&Instruction::End);
    }
    function.instruction(&Instruction::I32Const(1)).instruction(&Instruction::End);
    function
}

/// `count` values that are all alive at once.
fn operands(count: usize) -> Function {
    let mut function = Function::new([(1, ValType::I32)]);
    for number in 0..count {
        // A rotation, so that nothing is known of the value.
        function.instruction(&Instruction::LocalGet(0));
        function.instruction(&Instruction::I32Const(number as i32));
        function.instruction(&Instruction::I32Rotl);
    }
    for _ in 1..count {
        function.instruction(&Instruction::I32Add);
    }
    function.instruction(&Instruction::I32Const(1)).instruction(&Instruction::I32Or);
    function.instruction(&Instruction::End);
    function
}

#[test]
fn shapes_that_make_optimisers_quadratic_compile_in_time() {
    // Optimised, they take minutes; compiled plainly, seconds.
    for (what, function) in
        [("exits", exits(100_000)), ("branches", branches(100_000)), ("operands", operands(20_000))]
    {
        let module = module_of(function);
        compile(what, &module).expect("code");
    }
    // What is compiled plainly is as right as all else; with smaller frames it can be run.
    for (what, function) in
        [("exits", exits(12_000)), ("branches", branches(12_000)), ("operands", operands(1_200))]
    {
        assert_eq!(runs(what, &module_of(function))[0].unwrap_i32(), 1, "{what}");
    }
}

#[test]
fn references_that_are_alive_at_many_calls_are_compiled_or_refused() {
    let module = |count: usize| {
        let mut text =
            String::from("(module (table 1 externref) (func (export \"f\") (result i32)");
        (0..count).for_each(|_| text += " (local externref)");
        for index in 0..count {
            text += &format!(
                "(local.set {index} (table.get (i32.const 0)))(table.fill (i32.const 0)
                (ref.null extern) (i32.const 0))"
            );
        }
        (0..count).for_each(|index| text += &format!("(drop (local.get {index}))"));
        wat::parse_str(text + "(i32.const 1)))").expect("text")
    };
    is_refused("20,000 references at as many calls", &module(20_000));
    assert_eq!(runs("1,000 references at as many calls", &module(1_000))[0].unwrap_i32(), 1);
}

#[test]
fn a_large_recursion_group_is_canonical_in_time() {
    let mut text = String::from("(module (rec (type $t0 (sub (struct)))");
    for index in 1..100_000 {
        // Chains of 60.
        let supertype = if index % 60 == 0 { String::new() } else { format!("$t{}", index - 1) };
        text += &format!("(type $t{index} (sub {supertype} (struct)))");
    }
    text += ") (func (export \"f\") (result i32) (i32.const 1)))";
    let bytes = wat::parse_str(text).expect("text");
    assert_eq!(runs("100,000 types in a group", &bytes)[0].unwrap_i32(), 1);
}

#[test]
fn messages_about_wide_types_that_refer_to_themselves_stay_short() {
    let engine = engine(Compilation::Lazy);
    let fields = "(field (ref null $wide))".repeat(10_000);
    let params = "(param (ref null $deep))".repeat(500);
    let text = format!(
        "(module (rec (type $wide (struct {fields})) (type $deep (func {params})))
            (import \"\" \"wide\" (global (ref null $wide)))
            (import \"\" \"deep\" (func (type $deep))))"
    );
    let module = Module::new(&engine, text).expect("a module");
    for import in module.imports() {
        let message = within(PATIENCE, "a message", || import.ty().to_string());
        assert!(message.len() < 1 << 20, "{}: {} bytes", import.name(), message.len());
    }
}

#[test]
fn deep_expressions_are_compiled_or_refused() {
    let sum_of = |terms: usize| {
        let mut function = Function::new([]);
        for _ in 0..terms {
            function.instruction(&Instruction::I32Const(1));
        }
        for _ in 1..terms {
            function.instruction(&Instruction::I32Add);
        }
        function.instruction(&Instruction::End);
        module_of(function)
    };
    let _ = compile("100,000 values on the stack", &sum_of(100_000));
    assert_eq!(runs("2,000 values on the stack", &sum_of(2_000))[0].unwrap_i32(), 2_000);
}

#[test]
fn deeply_nested_text_is_refused() {
    let engine = engine(Compilation::Lazy);
    for open in ["(", "(module ", "(func (block ", "(block ", "(i32.add ", "(type (func ", "(;"] {
        let text = format!("(module (func {}", open.repeat(200_000));
        let module = within(PATIENCE, "nested text", || Module::new(&engine, &text));
        assert!(module.is_err(), "{open}");
        let text = format!("{}{}", text, ")".repeat(200_000));
        let module = within(PATIENCE, "nested text", || Module::new(&engine, &text));
        assert!(module.is_err(), "{open}");
    }
}

#[test]
fn a_huge_br_table_is_refused_or_works_and_a_large_one_works() {
    let table_of = |targets: usize| {
        let mut function = Function::new([]);
        function
            .instruction(&Instruction::Block(wasm_encoder::BlockType::Empty))
            .instruction(&Instruction::I32Const(3))
            .instruction(&Instruction::BrTable(vec![0; targets].into(), 0))
            .instruction(&Instruction::End)
            .instruction(&Instruction::I32Const(9))
            .instruction(&Instruction::End);
        module_of(function)
    };
    let _ = compile("a million targets", &table_of(1_000_000));
    assert_eq!(runs("10,000 targets", &table_of(10_000))[0].unwrap_i32(), 9);
    // The count alone, without its targets.
    let mut function = Function::new([]);
    function.instruction(&Instruction::I32Const(0)).raw([0x0e]).raw(leb((1 << 32) - 1));
    function.instruction(&Instruction::End);
    is_refused("2^32 - 1 targets", &module_of(function));
}

#[test]
fn many_of_everything_is_refused_or_works() {
    let text = |count: usize, item: &str| format!("(module {})", item.repeat(count));
    for (what, item) in [
        ("types", "(type (func (param i64)))"),
        ("functions", "(func)"),
        ("globals", "(global i32 (i32.const 0))"),
        ("imports", "(import \"a\" \"b\" (func))"),
        ("segments", "(data \"x\")"),
        ("element segments", "(elem func)"),
    ] {
        let bytes = wat::parse_str(text(20_000, item)).expect("text");
        compile(what, &bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
        let bytes = wat::parse_str(text(200_000, item)).expect("text");
        let _ = compile(what, &bytes);
    }
    let exports: String = (0..20_000).map(|n| format!("(export \"e{n}\" (func 0))")).collect();
    let bytes = wat::parse_str(format!("(module (func) {exports})")).expect("text");
    assert_eq!(compile("exports", &bytes).expect("a module").exports().len(), 20_000);
}

#[test]
fn functions_with_many_parameters_or_results_are_refused_or_work() {
    let wide = |params: usize, results: usize| {
        let mut types = TypeSection::new();
        types.ty().function(vec![ValType::I64; params], vec![ValType::I64; results]);
        let mut functions = FunctionSection::new();
        functions.function(0);
        let mut code = CodeSection::new();
        let mut function = Function::new([]);
        for _ in 0..results {
            function.instruction(&Instruction::I64Const(1));
        }
        code.function(function.instruction(&Instruction::End));
        let mut module = wasm_encoder::Module::new();
        module.section(&types).section(&functions).section(&code);
        module.finish()
    };
    for (params, results) in [(1_000, 0), (0, 1_000), (1_000, 1_000)] {
        // Either is fine; that it ends is what counts.
        let _ = compile("a wide function", &wide(params, results));
    }
    is_refused("10,000 parameters", &wide(10_000, 0));
    is_refused("10,000 results", &wide(0, 10_000));
    is_refused("a million parameters", &wide(1_000_000, 0));
}

#[test]
fn a_body_of_megabytes_is_refused_or_compiled() {
    for bytes in [1 << 20, 4 << 20, 16 << 20] {
        let mut function = Function::new([]);
        function.raw(std::iter::repeat_n(0x01, bytes));
        function.instruction(&Instruction::I32Const(1)).instruction(&Instruction::End);
        let _ = compile("a body of nops", &module_of(function));
    }
    let mut function = Function::new([]);
    for number in 0..30_000 {
        function.instruction(&Instruction::I32Const(number)).instruction(&Instruction::Drop);
    }
    function.instruction(&Instruction::I32Const(1)).instruction(&Instruction::End);
    assert_eq!(runs("60,000 instructions", &module_of(function))[0].unwrap_i32(), 1);
}

#[test]
fn memories_and_tables_of_the_largest_size_are_no_reason_to_die() {
    let engine = engine(Compilation::Lazy);
    let instantiate = |module: &wasm_encoder::Module| {
        let module = Module::from_binary(&engine, module.as_slice())?;
        let mut store = Store::new(&engine, ());
        within(PATIENCE, "instantiation", || Instance::new(&mut store, &module, &[]).map(drop))
    };
    let memory_of_width = |memory64: bool, minimum: u64| {
        let mut memories = MemorySection::new();
        memories.memory(MemoryType {
            minimum,
            maximum: None,
            memory64,
            shared: false,
            page_size_log2: None,
        });
        let mut module = wasm_encoder::Module::new();
        module.section(&memories);
        module
    };
    let memory = |minimum: u64| memory_of_width(false, minimum);
    instantiate(&memory(65536)).expect("4 GiB of address space");
    assert!(instantiate(&memory(65537)).is_err());
    assert!(instantiate(&memory(u64::from(u32::MAX))).is_err());
    let memory64 = |minimum: u64| memory_of_width(true, minimum);
    instantiate(&memory64(1 << 20)).expect("64 GiB of address space");
    for minimum in [(1 << 20) + 1, 1 << 32, 1 << 48, (1 << 48) + 1, u64::MAX] {
        assert!(instantiate(&memory64(minimum)).is_err(), "{minimum} pages");
    }

    let table_of_width = |table64: bool, minimum: u64| {
        let mut tables = TableSection::new();
        tables.table(TableType {
            element_type: wasm_encoder::RefType::FUNCREF,
            table64,
            minimum,
            maximum: None,
            shared: false,
        });
        let mut module = wasm_encoder::Module::new();
        module.section(&tables);
        module
    };
    let table = |minimum: u64| table_of_width(false, minimum);
    instantiate(&table(1 << 20)).expect("a million elements");
    instantiate(&table_of_width(true, 1 << 20)).expect("a million elements");
    for minimum in [1 << 32, 1 << 61, u64::MAX] {
        assert!(instantiate(&table_of_width(true, minimum)).is_err(), "{minimum} elements");
    }
    // 32 GiB of elements: there may be room for them or not.
    let _ = instantiate(&table(u64::from(u32::MAX)));
    if let Some(peak) = peak_memory() {
        assert!(peak < MEMORY, "{peak} bytes were resident");
    }
}

#[test]
fn long_constant_expressions_are_refused_or_evaluated() {
    let mut expression = ConstExpr::i32_const(0);
    for _ in 0..20_000 {
        expression = expression.with_i32_const(1).with_i32_add();
    }
    let mut globals = GlobalSection::new();
    let ty = GlobalType { val_type: ValType::I32, mutable: false, shared: false };
    globals.global(ty, &expression);
    let mut module = wasm_encoder::Module::new();
    module.section(&globals);
    let _ = compile("a long constant expression", module.as_slice());
}

#[test]
fn segments_of_megabytes_are_taken_as_they_are() {
    let mut memories = MemorySection::new();
    memories.memory(MemoryType {
        minimum: 1024,
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    let mut data = DataSection::new();
    data.active(0, &ConstExpr::i32_const(0), vec![0x5a; 64 << 20]);
    let mut module = wasm_encoder::Module::new();
    module.section(&memories).section(&data);
    let module = compile("64 MiB of data", module.as_slice()).expect("a module");
    let mut store = Store::new(module.engine(), ());
    Instance::new(&mut store, &module, &[]).expect("an instance");
}

#[test]
fn a_damaged_name_section_costs_the_names_and_nothing_else() {
    let mut function = Function::new([]);
    function.instruction(&Instruction::I32Const(5)).instruction(&Instruction::End);
    let plain = module_of(function);
    for names in [
        &b"\x01\xff\xff\xff\xff\x0f"[..],
        b"\x01\x05\xff\xff\xff\xff\x0f",
        b"\x01\x06\x01\x00\xff\xff\xff\xff\x0f",
        b"\x01\x05\x01\x00\x02\xff\xfe",
        b"\x00\x02\x01\xff",
        b"\x01\x04\x01\x63\x01a",
        b"\xff\xff\xff",
        b"",
    ] {
        let mut bytes = plain.clone();
        let names = RawSection { id: 0, data: &[b"\x04name", names].concat() };
        wasm_encoder::Section::append_to(&names, &mut bytes);
        assert_eq!(runs("damaged names", &bytes)[0].unwrap_i32(), 5);
    }
}

#[test]
fn a_module_cut_at_any_byte_is_refused_or_whole() {
    let text = r#"(module $name
        (type $t (func (param i32 i64) (result f64)))
        (import "a" "b" (func $i (type $t))) (import "a" "m" (memory 1 2))
        (table 3 7 funcref) (global $g (mut i64) (i64.const -77))
        (export "f" (func $f)) (start $s) (elem (i32.const 1) $f $s)
        (func $f (type $t) (local v128)
            (block (br_table 0 0 0 (local.get 0)))
            (memory.copy (i32.const 0) (i32.const 1) (i32.const 2))
            (f64.const 1.5))
        (func $s (drop (i8x16.swizzle (v128.const i64x2 1 2) (v128.const i64x2 3 4))))
        (data (i32.const 8) "some data"))"#;
    let whole = wat::parse_str(text).expect("text");
    let engine = engine(Compilation::Eager);
    Module::from_binary(&engine, &whole).expect("the whole of it");
    let accepted: Vec<usize> = (0..whole.len())
        .filter(|&cut| Module::from_binary(&engine, &whole[..cut]).is_ok())
        .collect();
    // Between sections a module may end, as long as every function has its body: with the header
    // alone, before the functions, and before the names.
    assert_eq!(accepted.first(), Some(&8), "{accepted:?}");
    assert!(accepted.len() < 8, "{accepted:?}");
    for cut in 0..text.len() {
        let _ = Module::new(&engine, &text[..cut]);
    }
}

#[test]
fn noise_is_refused() {
    let engine = engine(Compilation::Lazy);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    for length in 1..2000 {
        let bytes: Vec<u8> = (0..length).map(|_| noise()).collect();
        assert!(Module::new(&engine, &bytes).is_err());
        // Noise behind a good header is read further.
        assert!(Module::from_binary(&engine, &[HEADER, &bytes].concat()).is_err());
    }
}

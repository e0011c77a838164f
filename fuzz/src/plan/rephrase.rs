//! Puts modules in words that wasmi 2.0.0 gets right: what it is known to get wrong would hide the
//! rest. The tests hold that it still gets them wrong where it can be seen without harm.
//!
//! * It fuses `select` with an `i32.eqz` before it by leaving the latter away and choosing by what
//!   is in the accumulator, which is wrong where the operand of `i32.eqz` is a local. A rotated
//!   condition is zero exactly when it was, and not fused.
//! * It loses what lies on the stack under the parameters of a block: a local under those of an
//!   `if`, if another block is inside and the `if` is not taken; under those of a `loop`, what is in
//!   the accumulator. A block without parameters, before the other, has all of it copied.
//! * A function that tail-calls one of the host loses its caller's stack, and the process dies. A
//!   call and a return take the place of tail calls that may lead there.
//! * Growing a memory that is imported twice leaves the other import with the bytes that were given
//!   back. Modules with two imported memories are not for wasmi.

use super::rewrite::{Phrase, reencode};
use std::convert::Infallible;
use wasm_encoder::reencode::{Error, Reencode};
use wasm_encoder::{BlockType, CodeSection, Instruction};
use wasmparser::BlockType::FuncType;
use wasmparser::{FunctionBody, Operator, Parser, Payload, TypeRef};

/// `plain`, a module without compact imports, in words that wasmi gets right. None if there are
/// none.
pub(super) fn for_wasmi(plain: &[u8]) -> Option<Vec<u8>> {
    let (funcs, memories) = imports(plain).ok()?;
    if memories > 1 {
        return None;
    }
    let mut module = wasm_encoder::Module::new();
    Rephraser { funcs }.parse_core_module(&mut module, Parser::new(0), plain).ok()?;
    Some(module.finish())
}

/// How many functions and how many memories a module imports.
fn imports(wasm: &[u8]) -> wasmparser::Result<(u32, u32)> {
    let (mut funcs, mut memories) = (0, 0);
    for section in Parser::new(0).parse_all(wasm) {
        let Payload::ImportSection(section) = section? else { continue };
        for import in section.into_imports() {
            match import?.ty {
                TypeRef::Func(_) => funcs += 1,
                TypeRef::Memory(_) => memories += 1,
                _ => {}
            }
        }
    }
    Ok((funcs, memories))
}

struct Rephraser {
    /// How many of the functions are imports.
    funcs: u32,
}

impl Reencode for Rephraser {
    type Error = Infallible;

    fn parse_function_body(
        &mut self,
        code: &mut CodeSection,
        body: FunctionBody<'_>,
    ) -> Result<(), Error<Infallible>> {
        let imported = self.funcs;
        reencode(self, code, body, |operator| match *operator {
            Operator::Select | Operator::TypedSelect { .. } => {
                Phrase::After(&[Instruction::I32Const(1), Instruction::I32Rotl])
            }
            Operator::Block { blockty: FuncType(_) }
            | Operator::Loop { blockty: FuncType(_) }
            | Operator::If { blockty: FuncType(_) } => {
                Phrase::After(&[Instruction::Block(BlockType::Empty), Instruction::End])
            }
            Operator::ReturnCall { function_index } if function_index < imported => {
                Phrase::Instead([Instruction::Call(function_index), Instruction::Return])
            }
            Operator::ReturnCallIndirect { type_index, table_index } => Phrase::Instead([
                Instruction::CallIndirect { type_index, table_index },
                Instruction::Return,
            ]),
            _ => Phrase::Same,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `f` of `wasm` returns in wasmi.
    fn run(wasm: &[u8], argument: i32) -> i32 {
        let engine = wasmi::Engine::default();
        let module = wasmi::Module::new(&engine, wasm).expect("it is valid");
        let mut store = wasmi::Store::new(&engine, ());
        let mut linker = wasmi::Linker::new(&engine);
        linker.func_wrap("host", "none", || ()).expect("it is the only one");
        let instance = linker.instantiate_and_start(&mut store, &module).expect("it has no start");
        let f = instance.get_typed_func::<i32, i32>(&store, "f").expect("it is exported");
        f.call(&mut store, argument).expect("it does not trap")
    }

    /// wasmi chooses by what is in its accumulator: for 0 or for 5 that is wrong, whatever it is.
    const SELECT: &str = r#"(module
        (func (export "f") (param i32) (result i32)
          (select (i32.const 1) (local.get 0) (i32.eqz (local.get 0)))))"#;

    /// wasmi returns the same, whatever lies there, for every number that is not negative.
    const IF: &str = r#"(module
        (func (export "f") (param i32) (result i32)
          local.get 0
          i32.const -1
          (i32.lt_s (local.get 0) (i32.const 0))
          if (param i32) (result i32)
            drop
            (loop (result i32) (i32.const 3))
          end
          drop))"#;

    /// wasmi subtracts a number from itself.
    const LOOP: &str = r#"(module
        (func (export "f") (param i32) (result i32) (local i32)
          (local.tee 1 (i32.add (local.get 0) (local.get 0)))
          local.get 0
          loop (param i32) (result i32)
          end
          i32.sub))"#;

    /// wasmi dies.
    const TAIL_CALL: &str = r#"(module
        (import "host" "none" (func $none))
        (func $tail (return_call $none))
        (func (export "f") (param i32) (result i32)
          (call $tail)
          (br 0 (local.get 0))))"#;

    #[test]
    fn wasmi_gets_right_what_is_put_in_other_words_and_nothing_is_so_needlessly() {
        let texts = [(SELECT, [0, 5], [1, 5]), (IF, [8, 9], [8, 9]), (LOOP, [8, 9], [8, 9])];
        for (text, inputs, right) in texts {
            let wasm = wat::parse_str(text).expect("it is valid");
            let rephrased = for_wasmi(&wasm).expect("there are other words");
            assert_eq!(inputs.map(|input| run(&rephrased, input)), right, "{text}");
            assert_ne!(inputs.map(|input| run(&wasm, input)), right, "no need to rephrase {text}");
        }
    }

    #[test]
    fn tail_calls_of_imports_become_calls() {
        let wasm = wat::parse_str(TAIL_CALL).expect("it is valid");
        let rephrased = for_wasmi(&wasm).expect("there are other words");
        assert_eq!(run(&rephrased, 7), 7);
    }

    #[test]
    fn memories_that_may_be_one_are_not_for_wasmi() {
        let one = r#"(import "p" "m" (memory 1))"#;
        for (imports, suits) in [(one.to_owned(), true), (one.repeat(2), false)] {
            let wasm = wat::parse_str(format!("(module {imports})")).expect("it is valid");
            assert_eq!(for_wasmi(&wasm).is_some(), suits);
        }
    }
}

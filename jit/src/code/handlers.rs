//! Exception handlers of the calls in a unit: which calls have handlers, and what each handler
//! catches.
//!
//! Two arrays, sorted by the calls' return addresses: plain data, searched without a lock. Only
//! calls that have handlers are listed, so most units' arrays are empty.

use crate::vm::Catch;
use cranelift_codegen::{
    CompiledCode, ExceptionContextLoc, FinalizedMachCallSite, FinalizedMachExceptionHandler,
};
use std::ops::Range;

/// A place where an exception may be caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handler {
    /// The exceptions that it catches.
    pub catch: Catch,
    /// The offset from the stack pointer at the call to the slot that keeps the function's context.
    pub context: u32,
    /// Its code, as an offset: in a [`CompiledFunction`](crate::CompiledFunction) from the start of
    /// the function, in a unit from that of the unit.
    pub code: u32,
}

/// A call and its handlers; the first handler that matches catches the exception.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandledCall {
    /// The return address, as an offset like [`Handler::code`].
    pub returns_to: u32,
    /// How far below the frame pointer the stack pointer is at the call.
    pub frame_size: u32,
    /// Its handlers, innermost first.
    pub handlers: Box<[Handler]>,
}

/// The calls with handlers of a function that was just compiled, ascending.
pub(crate) fn handled_calls(compiled: &CompiledCode) -> Vec<HandledCall> {
    compiled.buffer.call_sites().filter_map(handled_call).collect()
}

fn handled_call(site: FinalizedMachCallSite<'_>) -> Option<HandledCall> {
    let mut context = None;
    let mut handlers = Vec::new();
    for item in site.exception_handlers {
        match *item {
            FinalizedMachExceptionHandler::Context(ExceptionContextLoc::SPOffset(offset)) => {
                context = Some(offset);
            }
            FinalizedMachExceptionHandler::Context(ExceptionContextLoc::GPR(_)) => {
                unreachable!("no register survives an exceptional edge")
            }
            FinalizedMachExceptionHandler::Tag(tag, code) => handlers.push(Handler {
                catch: Catch::from_bits(tag.as_u32()),
                context: context.expect("the translator gives a context first"),
                code,
            }),
            // The exceptional edge of the entry trampoline, whose address the trampoline itself
            // tells the store.
            FinalizedMachExceptionHandler::Default(_) => {}
        }
    }
    (!handlers.is_empty()).then(|| HandledCall {
        returns_to: site.ret_addr,
        frame_size: site.frame_offset.expect("the code generator says it"),
        handlers: handlers.into(),
    })
}

/// The calls with handlers of a unit.
#[derive(Debug, Default)]
pub(super) struct HandlerTable {
    calls: Box<[Call]>,
    handlers: Box<[Handler]>,
}

#[derive(Debug)]
struct Call {
    returns_to: u32,
    frame_size: u32,
    handlers: Range<u32>,
}

/// The handlers of one call.
#[derive(Clone, Copy, Debug)]
pub struct HandlersOfCall<'a> {
    /// As [`HandledCall::frame_size`].
    pub frame_size: u32,
    /// As [`HandledCall::handlers`].
    pub handlers: &'a [Handler],
}

impl HandlerTable {
    /// Takes functions in the order of their offsets in the unit.
    pub(super) fn new<'a>(
        functions: impl Iterator<Item = (u32, &'a [HandledCall])>,
    ) -> HandlerTable {
        let (mut calls, mut handlers) = (Vec::new(), Vec::new());
        for (offset, function) in functions {
            for call in function {
                let first = handlers.len() as u32;
                handlers
                    .extend(call.handlers.iter().map(|h| Handler { code: offset + h.code, ..*h }));
                calls.push(Call {
                    returns_to: offset + call.returns_to,
                    frame_size: call.frame_size,
                    handlers: first..handlers.len() as u32,
                });
            }
        }
        HandlerTable { calls: calls.into(), handlers: handlers.into() }
    }

    /// The handlers of the call that returns to this offset.
    pub(super) fn at(&self, returns_to: u32) -> Option<HandlersOfCall<'_>> {
        let at = self.calls.binary_search_by_key(&returns_to, |call| call.returns_to).ok()?;
        let call = &self.calls[at];
        let range = call.handlers.start as usize..call.handlers.end as usize;
        Some(HandlersOfCall { frame_size: call.frame_size, handlers: &self.handlers[range] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_found_by_where_they_return_to() {
        let handler = |code| Handler { catch: Catch::new(None, false), context: 8, code };
        let call = |returns_to, handlers: &[u32]| HandledCall {
            returns_to,
            frame_size: returns_to * 2,
            handlers: handlers.iter().map(|&code| handler(code)).collect(),
        };
        let first = [call(5, &[20, 30]), call(9, &[30])];
        let second = [call(5, &[7])];
        let table = HandlerTable::new([(0, &first[..]), (64, &second[..])].into_iter());
        let code = |at| table.at(at).map(|call| call.handlers.iter().map(|h| h.code).collect());
        assert_eq!(code(5), Some(vec![20, 30]));
        assert_eq!(code(9), Some(vec![30]));
        assert_eq!(code(69), Some(vec![71]));
        assert_eq!(table.at(69).unwrap().frame_size, 10);
        for at in [0, 4, 6, 64, 70] {
            assert_eq!(code(at), None);
        }
    }
}

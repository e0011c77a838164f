//! Running one directive: does what it says and compares the outcome.

use crate::context::WastContext;
use crate::execute::{Stop, brief};
use crate::mismatch::{Mismatch, Verdict};
use crate::pattern;
use crate::refusal::{Form, Refusal};
use crate::value;
use seqfault::{Error, LinkError, ThrownException};
use wast::token::Id;
use wast::{QuoteWat, WastDirective, WastExecute, WastInvoke, WastRet, Wat};

/// The keyword that `directive` begins with.
pub(crate) fn keyword(directive: &WastDirective<'_>) -> &'static str {
    match directive {
        WastDirective::Module(_) => "module",
        WastDirective::ModuleDefinition(_) => "module definition",
        WastDirective::ModuleInstance { .. } => "module instance",
        WastDirective::AssertMalformed { .. } => "assert_malformed",
        WastDirective::AssertInvalid { .. } => "assert_invalid",
        WastDirective::AssertInvalidCustom { .. } => "assert_invalid_custom",
        WastDirective::AssertMalformedCustom { .. } => "assert_malformed_custom",
        WastDirective::Register { .. } => "register",
        WastDirective::Invoke(_) => "invoke",
        WastDirective::AssertTrap { .. } => "assert_trap",
        WastDirective::AssertReturn { .. } => "assert_return",
        WastDirective::AssertExhaustion { .. } => "assert_exhaustion",
        WastDirective::AssertUnlinkable { .. } => "assert_unlinkable",
        WastDirective::AssertException { .. } => "assert_exception",
        WastDirective::AssertSuspension { .. } => "assert_suspension",
        WastDirective::Thread(_) => "thread",
        WastDirective::Wait { .. } => "wait",
    }
}

/// Runs `directive`.
pub(crate) fn run(context: &mut WastContext, directive: WastDirective<'_>) -> Verdict {
    match directive {
        WastDirective::Module(source) => module(context, source),
        WastDirective::ModuleDefinition(source) => module_definition(context, source),
        WastDirective::ModuleInstance { instance, module, .. } => {
            let module = context.definition(module)?;
            instantiate(context, instance, &module)
        }
        WastDirective::Register { name, module, .. } => context.register(name, module),
        WastDirective::Invoke(call) => invoke(context, &call),
        WastDirective::AssertReturn { exec, results, .. } => assert_return(context, exec, &results),
        WastDirective::AssertTrap { exec, message, .. } => assert_trap(context, exec, message),
        WastDirective::AssertExhaustion { call, message, .. } => {
            assert_trap(context, WastExecute::Invoke(call), message)
        }
        WastDirective::AssertUnlinkable { module, message, .. } => {
            assert_unlinkable(context, module, message)
        }
        WastDirective::AssertMalformed { module, message, .. }
        | WastDirective::AssertMalformedCustom { module, message, .. } => {
            assert_malformed(context, module, message)
        }
        WastDirective::AssertInvalid { module, message, .. }
        | WastDirective::AssertInvalidCustom { module, message, .. } => {
            assert_invalid(context, module, message)
        }
        WastDirective::AssertException { exec, .. } => assert_exception(context, exec),
        WastDirective::AssertSuspension { .. } => not_provided("suspensions"),
        WastDirective::Wait { thread, .. } => context.wait_for_thread(thread.name()),
        // A thread is started before its contents are read, unless something hides the thread.
        WastDirective::Thread(_) => Err(Mismatch::new("an annotation in the head of a thread")),
    }
}

/// Something newer than this engine: a failure like any other, so that no directive is silently
/// skipped.
fn not_provided(what: &str) -> Verdict {
    Err(Mismatch::new(format!("{what} are not provided by this engine")))
}

fn module(context: &mut WastContext, mut source: QuoteWat<'_>) -> Verdict {
    let name = source.name();
    // The directives that follow must not use the previous instance by mistake.
    context.set_current(name, None);
    let module = context.compile(&mut source).map_err(refused)?;
    context.define(name, module.clone());
    instantiate(context, name, &module)
}

fn module_definition(context: &mut WastContext, mut source: QuoteWat<'_>) -> Verdict {
    let name = source.name();
    let module = context.compile(&mut source).map_err(refused)?;
    context.define(name, module);
    Ok(())
}

fn instantiate(
    context: &mut WastContext,
    name: Option<Id<'_>>,
    module: &seqfault::Module,
) -> Verdict {
    match context.instantiate(module) {
        Ok(instance) => {
            context.set_current(name, Some(instance));
            Ok(())
        }
        Err(error) => {
            context.set_current(name, None);
            Err(Mismatch::expected("an instance", brief(&error)))
        }
    }
}

fn refused(refusal: Refusal) -> Mismatch {
    Mismatch::expected("a module", refusal)
}

fn invoke(context: &mut WastContext, call: &WastInvoke<'_>) -> Verdict {
    match context.invoke(call) {
        Ok(_) => Ok(()),
        Err(stop) => Err(stop.into_mismatch("a return")),
    }
}

fn assert_return(
    context: &mut WastContext,
    action: WastExecute<'_>,
    expected: &[WastRet<'_>],
) -> Verdict {
    let found = context.execute(action).map_err(|stop| stop.into_mismatch("a return"))?;
    pattern::check_all(&context.store, expected, &found)
}

fn assert_trap(context: &mut WastContext, action: WastExecute<'_>, message: &str) -> Verdict {
    let expected = format!("the trap `{message}`");
    match context.execute(action) {
        Ok(values) => {
            Err(Mismatch::expected(expected, value::list_to_text(&context.store, &values)))
        }
        Err(Stop::Engine(error)) if is_trap(&error, message) => Ok(()),
        Err(stop) => Err(stop.into_mismatch(&expected)),
    }
}

fn assert_exception(context: &mut WastContext, action: WastExecute<'_>) -> Verdict {
    let expected = "an exception";
    match context.execute(action) {
        Ok(values) => {
            Err(Mismatch::expected(expected, value::list_to_text(&context.store, &values)))
        }
        Err(Stop::Engine(error)) if error.is::<ThrownException>() => Ok(()),
        Err(stop) => Err(stop.into_mismatch(expected)),
    }
}

fn is_trap(error: &Error, message: &str) -> bool {
    error.trap().is_some_and(|trap| says(&trap.code().to_string(), message))
}

fn assert_unlinkable(context: &mut WastContext, module: Wat<'_>, message: &str) -> Verdict {
    let module = context.compile(&mut QuoteWat::Wat(module)).map_err(refused)?;
    let expected = format!("the link error `{message}`");
    match context.instantiate(&module) {
        Ok(_) => Err(Mismatch::expected(expected, "an instance")),
        Err(error) if is_link_error(&error, message) => Ok(()),
        Err(error) => Err(Mismatch::expected(expected, brief(&error))),
    }
}

/// In WebAssembly 1.0 a segment that does not fit was a link error; since then it is a trap.
fn is_link_error(error: &Error, message: &str) -> bool {
    match message {
        "data segment does not fit" => is_trap(error, "out of bounds memory access"),
        "elements segment does not fit" => is_trap(error, "out of bounds table access"),
        _ => error.downcast_ref::<LinkError>().is_some_and(|e| says(&e.to_string(), message)),
    }
}

/// Whether an engine's text says what the script expects: either may give more detail.
fn says(found: &str, expected: &str) -> bool {
    found.starts_with(expected) || expected.starts_with(found)
}

fn assert_malformed(context: &WastContext, mut source: QuoteWat<'_>, message: &str) -> Verdict {
    let expected = format!("a malformed module ({message})");
    match context.compile(&mut source) {
        Ok(_) => Err(Mismatch::expected(expected, "a module")),
        Err(refusal) if refusal.is_malformed() => Ok(()),
        Err(refusal) => Err(Mismatch::expected(expected, refusal)),
    }
}

fn assert_invalid(context: &WastContext, mut source: QuoteWat<'_>, message: &str) -> Verdict {
    let form = Form::of(&source);
    let expected = format!("an invalid module ({message})");
    match context.compile(&mut source) {
        Ok(_) => Err(Mismatch::expected(expected, "a module")),
        Err(refusal) if refusal.is_invalid(form) => Ok(()),
        Err(refusal) => Err(Mismatch::expected(expected, refusal)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_says_what_is_expected_in_more_or_in_fewer_words() {
        assert!(says("undefined element", "undefined"));
        assert!(says("uninitialized element", "uninitialized element 2"));
        assert!(!says("unreachable", "undefined element"));
        assert!(!says("out of bounds table access", "out of bounds memory access"));
    }
}

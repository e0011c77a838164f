//! Calls of builtins: a function for each of those in [`foreach_builtin`](crate::foreach_builtin).
//!
//! CLIF values have no types that the Rust compiler knows. What is passed is named by its width
//! ([`Bits32`], [`Bits64`]), which must be that of the list.

use super::Result;
use super::alias::AliasRegion;
use super::function::FuncTranslator;
use crate::abi;
use crate::vm::{VMBuiltins, VMContext, VMTag, ValRaw};
use cranelift_codegen::ir::{self, AbiParam, Inst, InstBuilder, SigRef, Signature, Value, types};
use cranelift_codegen::isa::CallConv;
use smallvec::SmallVec;
use std::mem::offset_of;
use std::ptr::NonNull;

/// A value of 32 bits.
pub(super) struct Bits32(pub(super) Value);

/// A value of 64 bits, or an address.
pub(super) struct Bits64(pub(super) Value);

/// A Rust type in the signature of a builtin.
pub(super) trait Passed {
    /// How compiled code names values of it.
    type Value: Named;
}

impl Passed for u32 {
    type Value = Bits32;
}
impl Passed for i64 {
    type Value = Bits64;
}
impl Passed for u64 {
    type Value = Bits64;
}
impl<T> Passed for *const T {
    type Value = Bits64;
}
impl<T> Passed for NonNull<T> {
    type Value = Bits64;
}

/// A value whose width is named.
pub(super) trait Named {
    const TYPE: ir::Type;
    fn of(value: Value) -> Self;
}

impl Named for Bits32 {
    const TYPE: ir::Type = types::I32;
    fn of(value: Value) -> Bits32 {
        Bits32(value)
    }
}

impl Named for Bits64 {
    const TYPE: ir::Type = types::I64;
    fn of(value: Value) -> Bits64 {
        Bits64(value)
    }
}

/// What may be passed where a builtin takes a `T`: a value of its width, or a constant.
pub(super) trait Argument<T> {
    fn value(self, translator: &mut FuncTranslator<'_, '_>) -> Value;
}

impl<T: Passed<Value = Bits32>> Argument<T> for Bits32 {
    fn value(self, _: &mut FuncTranslator<'_, '_>) -> Value {
        self.0
    }
}

impl<T: Passed<Value = Bits64>> Argument<T> for Bits64 {
    fn value(self, _: &mut FuncTranslator<'_, '_>) -> Value {
        self.0
    }
}

impl Argument<u32> for u32 {
    fn value(self, translator: &mut FuncTranslator<'_, '_>) -> Value {
        translator.index(self)
    }
}

impl Argument<u64> for u64 {
    fn value(self, translator: &mut FuncTranslator<'_, '_>) -> Value {
        translator.builder.ins().iconst(types::I64, self.cast_signed())
    }
}

/// A builtin: where its address is, and the types that it takes and gives, without the context.
struct Builtin {
    offset: usize,
    params: &'static [ir::Type],
    result: Option<ir::Type>,
}

/// The builtins that return, to be called here.
pub(super) struct Returning<'t, 'a, 'f>(&'t mut FuncTranslator<'a, 'f>);

/// The builtins that keep all registers, to be called here.
pub(super) struct Keeping<'t, 'a, 'f>(&'t mut FuncTranslator<'a, 'f>);

/// The builtins that check, to be called here.
pub(super) struct Checking<'t, 'a, 'f>(&'t mut FuncTranslator<'a, 'f>);

/// The builtins that throw, to be called here.
pub(super) struct Throwing<'t, 'a, 'f>(&'t mut FuncTranslator<'a, 'f>);

/// The builtins that fail, to be called here.
pub(super) struct Failing<'t, 'a, 'f>(&'t mut FuncTranslator<'a, 'f>);

macro_rules! define_calls {
    (
        returning {
            $($(#[$doc:meta])* fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $result:ty)?;)*
        }
        keeping { $($(#[$doc4:meta])* fn $keep:ident($($arg4:ident: $ty4:ty),* $(,)?);)* }
        checking { $($(#[$doc5:meta])* fn $check:ident($($arg5:ident: $ty5:ty),* $(,)?);)* }
        throwing { $($(#[$doc2:meta])* fn $throw:ident($($arg2:ident: $ty2:ty),* $(,)?);)* }
        failing { $($(#[$doc3:meta])* fn $fail:ident($($arg3:ident: $ty3:ty),* $(,)?);)* }
    ) => {
        impl Returning<'_, '_, '_> {
            $($(#[$doc])*
            pub(super) fn $name(
                self,
                $($arg: impl Argument<$ty>),*
            ) $(-> <$result as Passed>::Value)? {
                const BUILTIN: Builtin = Builtin {
                    offset: offset_of!(VMBuiltins, $name),
                    params: &[$(<<$ty as Passed>::Value as Named>::TYPE),*],
                    result: define_calls!(@result $($result)?),
                };
                let args = [$($arg.value(self.0)),*];
                let _call = self.0.call_builtin(&BUILTIN, &args);
                $(<$result as Passed>::Value::of(self.0.builder.inst_results(_call)[0]))?
            })*
        }

        define_calls!(@calls Keeping, call_keeping, (),
            $($(#[$doc4])* fn $keep($($arg4: $ty4),*);)*);
        define_calls!(@calls Checking, call_keeping, (),
            $($(#[$doc5])* fn $check($($arg5: $ty5),*);)*);
        define_calls!(@calls Throwing, call_throwing, Result,
            $($(#[$doc2])* fn $throw($($arg2: $ty2),*);)*);
        define_calls!(@calls Failing, call_failing, (),
            $($(#[$doc3])* fn $fail($($arg3: $ty3),*);)*);
    };
    (@calls $kind:ident, $call:ident, $outcome:ty,
        $($(#[$doc:meta])* fn $name:ident($($arg:ident: $ty:ty),*);)*
    ) => {
        impl $kind<'_, '_, '_> {
            $($(#[$doc])*
            pub(super) fn $name(self, $($arg: impl Argument<$ty>),*) -> $outcome {
                const BUILTIN: Builtin = Builtin {
                    offset: offset_of!(VMBuiltins, $name),
                    params: &[$(<<$ty as Passed>::Value as Named>::TYPE),*],
                    result: None,
                };
                let args = [$($arg.value(self.0)),*];
                self.0.$call(&BUILTIN, &args)
            })*
        }
    };
    (@result) => { None };
    (@result $result:ty) => { Some(<<$result as Passed>::Value as Named>::TYPE) };
}

crate::foreach_builtin!(define_calls);

impl<'a, 'f> FuncTranslator<'a, 'f> {
    /// A builtin that returns, to be called here.
    pub(super) fn builtin(&mut self) -> Returning<'_, 'a, 'f> {
        Returning(self)
    }

    /// A builtin that keeps all registers, to be called here, off the path.
    pub(super) fn keeping_builtin(&mut self) -> Keeping<'_, 'a, 'f> {
        Keeping(self)
    }

    /// A builtin that checks, to be called here, on the path.
    pub(super) fn checking_builtin(&mut self) -> Checking<'_, 'a, 'f> {
        Checking(self)
    }

    /// A builtin that throws, to be called here.
    pub(super) fn throwing_builtin(&mut self) -> Throwing<'_, 'a, 'f> {
        Throwing(self)
    }

    /// A builtin that fails, to be called here, which ends the block.
    pub(super) fn failing_builtin(&mut self) -> Failing<'_, 'a, 'f> {
        Failing(self)
    }

    fn call_builtin(&mut self, builtin: &Builtin, args: &[Value]) -> Inst {
        self.count_call();
        let (code, args) = self.prepare_builtin(builtin, args);
        let signature = self.builtin_signature(builtin, self.env.isa.default_call_conv());
        let call = self.builder.ins().call_indirect(signature, code, &args);
        self.map_locals(call);
        call
    }

    /// Calls a builtin that keeps all registers. It does not collect, so no frame needs to tell its references.
    fn call_keeping(&mut self, builtin: &Builtin, args: &[Value]) {
        self.count_call();
        // The address is loaded here and nowhere else: in a register on the path it would be in the way.
        let flags = AliasRegion::Context.trusted(self.builder.func).with_readonly();
        let load = |this: &mut Self, base: Value, offset: usize| {
            this.builder.ins().load(abi::POINTER, flags, base, offset as i32)
        };
        let table = load(self, self.env.vmctx, offset_of!(VMContext, builtins));
        let code = load(self, table, builtin.offset);
        let signature = self.builtin_signature(builtin, CallConv::PreserveAll);
        let args: SmallVec<[Value; 8]> =
            std::iter::once(self.env.vmctx).chain(args.iter().copied()).collect();
        self.builder.ins().call_indirect(signature, code, &args);
    }

    /// Calls a builtin that throws, in the convention of wasm functions: it returns as they do when
    /// they throw.
    fn call_throwing(&mut self, builtin: &Builtin, args: &[Value]) -> Result {
        self.count_call();
        let (code, args) = self.prepare_builtin(builtin, args);
        let signature = builtin.signature(CallConv::Tail);
        let signature = self.builder.import_signature(signature);
        match self.clauses.is_empty() {
            true => {
                let call = self.builder.ins().call_indirect(signature, code, &args);
                self.map_locals(call);
            }
            false => {
                self.try_call(signature, code, &args, &[])?;
            }
        }
        self.unreachable()
    }

    /// Calls a builtin that does not return; nothing is alive across that.
    fn call_failing(&mut self, builtin: &Builtin, args: &[Value]) {
        let (code, args) = self.prepare_builtin(builtin, args);
        let signature = self.builtin_signature(builtin, self.env.isa.default_call_conv());
        self.builder.ins().call_indirect(signature, code, &args);
        self.go_nowhere();
    }

    /// The address of a builtin, and its arguments with the context first.
    fn prepare_builtin(
        &mut self,
        builtin: &Builtin,
        args: &[Value],
    ) -> (Value, SmallVec<[Value; 8]>) {
        let type_of = |&value: &Value| self.builder.func.dfg.value_type(value);
        debug_assert!(
            args.iter().map(type_of).eq(builtin.params.iter().copied()),
            "widths are named"
        );
        let table = self.context_pointer(offset_of!(VMContext, builtins) as u32);
        let code = self.constant_pointer(table, builtin.offset);
        (code, std::iter::once(self.env.vmctx).chain(args.iter().copied()).collect())
    }

    fn builtin_signature(&mut self, builtin: &Builtin, convention: CallConv) -> SigRef {
        let known = &mut self.env.builtins[builtin.offset / size_of::<fn()>()];
        *known.get_or_insert_with(|| {
            let signature = builtin.signature(convention);
            self.builder.import_signature(signature)
        })
    }
}

impl Builtin {
    fn signature(&self, convention: CallConv) -> Signature {
        let mut signature = Signature::new(convention);
        signature.params.push(AbiParam::new(abi::POINTER));
        signature.params.extend(self.params.iter().copied().map(AbiParam::new));
        signature.returns.extend(self.result.map(AbiParam::new));
        signature
    }
}

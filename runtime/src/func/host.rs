//! Host functions: first independent of any store, then in a store.
//!
//! A [`HostFunc`] is made once, by a linker for many stores. In a store it gets a
//! [`HostFuncInstance`]: the context, slot and reference that compiled code uses.

use super::{Caller, Func, IntoFunc};
use crate::engine::{Engine, RegisteredType};
use crate::entities::Val;
use crate::error::Result;
use crate::fallible;
use crate::instance::InstanceData;
use crate::store::{StoreContextMut, StoreInner, StoreOpaque};
use crate::types::FuncType;
use crate::vm;
use seqfault_jit::vm::{HostFunction, REGISTER_RESULTS, VMFuncRef, VMHostContext, VMSlot, ValRaw};
use smallvec::SmallVec;
use std::any::{Any, TypeId as RustTypeId};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::AtomicPtr;

/// A host function, independent of a store.
#[derive(Clone)]
pub(crate) struct HostFunc(Arc<Inner>);

struct Inner {
    ty: FuncType,
    registered: RegisteredType,
    /// The type of data of the stores that it works in.
    data_type: RustTypeId,
    function: HostFunction,
    /// The closure, which `function` finds through its context's `data`.
    closure: Box<dyn Any + Send + Sync>,
    /// The engine that `registered` belongs to.
    engine: Engine,
}

impl HostFunc {
    /// From a closure over values of any type.
    pub(crate) fn new<T: 'static, F>(engine: &Engine, ty: FuncType, func: F) -> HostFunc
    where
        F: Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<()> + Send + Sync + 'static,
    {
        let dynamic = Dynamic { ty: ty.clone(), func };
        HostFunc::from_parts::<T>(engine, ty, call_dynamic::<T, F>, Box::new(dynamic))
    }

    /// From a closure over Rust types.
    pub(crate) fn wrap<T: 'static, Params, Results>(
        engine: &Engine,
        func: impl IntoFunc<T, Params, Results>,
    ) -> HostFunc {
        let (ty, function, closure) = func.into_parts();
        HostFunc::from_parts::<T>(engine, ty, function, closure)
    }

    fn from_parts<T: 'static>(
        engine: &Engine,
        ty: FuncType,
        function: HostFunction,
        closure: Box<dyn Any + Send + Sync>,
    ) -> HostFunc {
        assert!(
            ty.params().len() <= MAX_VALUES && ty.results().len() <= MAX_VALUES,
            "a function has at most {MAX_VALUES} parameters and {MAX_VALUES} results"
        );
        let registered = ty.register(engine);
        let data_type = RustTypeId::of::<T>();
        let engine = engine.clone();
        HostFunc(Arc::new(Inner { ty, registered, data_type, function, closure, engine }))
    }

    pub(crate) fn ty(&self) -> &FuncType {
        &self.0.ty
    }

    /// Puts the function in a store.
    ///
    /// # Errors
    ///
    /// When there is no room for the code that leads to it.
    ///
    /// # Panics
    ///
    /// When the store is of another engine.
    pub(crate) fn instantiate(&self, store: &mut StoreOpaque) -> Result<Func> {
        assert!(
            Engine::same(&self.0.engine, store.engine()),
            "a host function and the store it is put in must be of the same engine"
        );
        // By their types, linker and store have the same `T`. Too much depends on it to rely on
        // that alone.
        assert!(self.0.data_type == store.data_type());
        let code = match self.0.ty.results().len() {
            0..=REGISTER_RESULTS => vm::lazy_exit_stub(),
            // The first argument may be the address of the results instead of the context, by which
            // the stub finds the store.
            _ => self.0.registered.exit(store.engine())?,
        };
        let instance = fallible::boxed(HostFuncInstance {
            context: VMHostContext {
                store_context: store.vm(),
                builtins: vm::builtins(),
                function: self.0.function,
                data: (&raw const *self.0.closure).cast_mut().cast(),
            },
            func_ref: VMFuncRef {
                slot: std::ptr::null(),
                vmctx: std::ptr::null_mut(),
                type_id: self.0.registered.id().0,
            },
            slot: VMSlot(AtomicPtr::new(code.cast_mut())),
            host: self.clone(),
        })?;
        let instance = store.add_host_func(instance)?;
        // SAFETY: just made, and at its final address.
        let func_ref = unsafe { HostFuncInstance::link(instance) };
        // SAFETY: a function of this store, alive as long as it.
        Ok(unsafe { Func::from_raw(store, func_ref) }.expect("not null"))
    }
}

/// The most parameters or results that a function of any module can have.
///
/// Source: WebAssembly JavaScript interface, section "Implementation-defined Limits".
const MAX_VALUES: usize = 1000;

/// A host function in a store. Boxed by the store, so it does not move.
#[repr(C)]
pub(crate) struct HostFuncInstance {
    /// First: compiled code gets the address of this field.
    context: VMHostContext,
    func_ref: VMFuncRef,
    slot: VMSlot,
    /// Keeps the closure alive.
    host: HostFunc,
}

impl HostFuncInstance {
    /// Makes the reference point to the function's own parts, which do not move from now on.
    /// Nothing of it changes after this, except the contents of the slot.
    ///
    /// # Safety
    ///
    /// It must be alive, and not used yet.
    unsafe fn link(this: NonNull<HostFuncInstance>) -> *mut VMFuncRef {
        let this = this.as_ptr();
        // SAFETY: the caller's promise.
        unsafe {
            (*this).func_ref.slot = &raw const (*this).slot;
            // The context comes first, so its receiver may access the whole.
            (*this).func_ref.vmctx = this.cast();
            &raw mut (*this).func_ref
        }
    }

    pub(crate) fn registered_type(&self) -> &RegisteredType {
        &self.host.0.registered
    }

    pub(crate) fn slot(&self) -> &VMSlot {
        &self.slot
    }
}

/// A closure over values of any type.
struct Dynamic<F> {
    ty: FuncType,
    func: F,
}

/// The function that the exit trampoline calls for a [`Dynamic`] function.
unsafe extern "C" fn call_dynamic<T: 'static, F>(
    context: *mut VMHostContext,
    values: *mut ValRaw,
) -> u32
where
    F: Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<()> + Send + Sync + 'static,
{
    let body = |mut caller: Caller<'_, T>, dynamic: &Dynamic<F>| {
        let store = caller.store.opaque();
        let mut vals: SmallVec<[Val; 16]> = SmallVec::new();
        for (index, ty) in dynamic.ty.params().iter().enumerate() {
            // SAFETY: the trampoline has put the arguments there.
            vals.push(unsafe { Val::from_raw(store, *values.add(index), ty) });
        }
        let params = vals.len();
        vals.extend(dynamic.ty.results().iter().map(Val::zero));
        let (params, results) = vals.split_at_mut(params);
        let StoreContextMut(inner) = &mut caller.store;
        // Lent to the closure, and needed again for the results.
        let inner: *mut StoreInner<T> = *inner;
        (dynamic.func)(caller, params, results)?;
        // SAFETY: the closure's borrow has ended.
        let store = StoreContextMut(unsafe { &mut *inner });
        let store = store.opaque_ref();
        for (index, (result, ty)) in results.iter().zip(dynamic.ty.results()).enumerate() {
            result
                .check(store, ty)
                .map_err(|e| e.context(format!("result {index} of a host function")))?;
            // SAFETY: the array has room for the results.
            unsafe { values.add(index).write(result.to_raw(store)) };
        }
        Ok(())
    };
    // SAFETY: the exit trampoline passes the context of a function made by `HostFunc::new` with
    // these types.
    unsafe { run(context, body) }
}

/// Runs the body of a host function: finds store, caller and closure. Leaves errors and panics in
/// the store, for the trampoline to raise.
///
/// # Safety
///
/// `context` must be that of a host function in a `Store<T>` whose closure is a `C`, entered by its
/// exit trampoline.
// It has one caller for each type of closure, and is most of what a short host function costs.
#[inline(always)]
pub(super) unsafe fn run<T: 'static, C: 'static>(
    context: *mut VMHostContext,
    body: impl FnOnce(Caller<'_, T>, &C) -> Result<()>,
) -> u32 {
    // SAFETY: the caller's promise; the store is not borrowed while compiled code runs.
    unsafe {
        let vm = (*context).store_context;
        let store: *mut StoreInner<T> = (*vm).store.cast();
        let closure = &*(*context).data.cast::<C>();
        let caller = (*vm).caller_vmctx;
        let instance = NonNull::new(caller)
            .map(|vmctx| NonNull::new_unchecked(vmctx.as_ref().instance.cast::<InstanceData>()));
        // The references that the call roots are released when it returns.
        let opaque: *mut StoreOpaque = store.cast();
        let height = (*opaque).roots().height();
        let returned = vm::catch(opaque, || {
            body(Caller::new(StoreContextMut(&mut *store), instance), closure)?;
            // A guest on a stack of its own may have been resumed on another thread than it was
            // entered on.
            Ok(seqfault_mm::prepare_thread()?)
        });
        (*opaque).roots_mut().truncate(height);
        returned
    }
}

//! What happens when a store's epoch deadline is reached.

use super::{StoreContextMut, StoreInner};
use crate::error::Result;
use crate::trap::{TrapCode, TrapReason};

/// The answer of a callback at the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpdateDeadline {
    /// Continue; the next deadline is that many ticks from now.
    Continue(u64),
}

pub(super) type Callback<T> =
    Box<dyn FnMut(StoreContextMut<'_, T>) -> Result<UpdateDeadline> + Send + Sync>;

/// What to do at the deadline.
pub(super) enum EpochBehaviour<T: 'static> {
    Trap,
    Callback(Callback<T>),
    /// The callback is running. There is no deadline meanwhile: wasm that it calls runs without
    /// limit.
    Running,
}

/// Sets a new deadline, or says why the guest must stop.
pub(super) fn deadline_reached<T: 'static>(store: &mut StoreInner<T>) -> Result<()> {
    if store.opaque.interrupt().is_requested() {
        return Err(TrapReason(TrapCode::Interrupt).into());
    }
    let running = std::mem::replace(&mut store.epoch, EpochBehaviour::Running);
    let EpochBehaviour::Callback(callback) = running else {
        store.epoch = running;
        return Err(TrapReason(TrapCode::Interrupt).into());
    };
    store.opaque.clear_epoch_deadline();
    let mut call = Call { store, callback: Some(callback) };
    let UpdateDeadline::Continue(ticks) = call.run()?;
    drop(call);
    store.opaque.set_epoch_deadline(ticks);
    Ok(())
}

/// A running callback; it is put back in its store even if it fails or panics.
struct Call<'a, T: 'static> {
    store: &'a mut StoreInner<T>,
    callback: Option<Callback<T>>,
}

impl<T: 'static> Call<'_, T> {
    fn run(&mut self) -> Result<UpdateDeadline> {
        let callback = self.callback.as_mut().expect("there until it is put back");
        callback(StoreContextMut(self.store))
    }
}

impl<T: 'static> Drop for Call<'_, T> {
    fn drop(&mut self) {
        // The deadline has passed, and stays passed after a failure.
        self.store.opaque.set_epoch_deadline(0);
        // Unless the callback has replaced itself.
        if let EpochBehaviour::Running = self.store.epoch
            && let Some(callback) = self.callback.take()
        {
            self.store.epoch = EpochBehaviour::Callback(callback);
        }
    }
}

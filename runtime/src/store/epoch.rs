//! What happens when a store's epoch deadline is reached.

use super::{StoreContextMut, StoreInner};
use crate::error::Result;
use crate::trap::{TrapCode, TrapReason};

/// The answer of a callback at the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpdateDeadline {
    /// Go on; the next deadline is that many ticks from now.
    Continue(u64),
}

pub(super) type Callback<T> =
    Box<dyn FnMut(StoreContextMut<'_, T>) -> Result<UpdateDeadline> + Send + Sync>;

/// What to do at the deadline.
pub(super) enum EpochBehaviour<T: 'static> {
    Trap,
    Callback(Callback<T>),
}

/// Sets a new deadline, or says why the guest must stop.
pub(super) fn deadline_reached<T: 'static>(store: &mut StoreInner<T>) -> Result<()> {
    // Taken out while it runs, so that it may use the store.
    let mut behaviour = std::mem::replace(&mut store.epoch, EpochBehaviour::Trap);
    let EpochBehaviour::Callback(callback) = &mut behaviour else {
        return Err(TrapReason(TrapCode::Interrupt).into());
    };
    let answer = callback(StoreContextMut(store));
    if matches!(store.epoch, EpochBehaviour::Trap) {
        store.epoch = behaviour;
    }
    let UpdateDeadline::Continue(ticks) = answer?;
    store.opaque.set_epoch_deadline(ticks);
    Ok(())
}

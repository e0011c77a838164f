//! Epoch checks: how code that runs for too long is interrupted.
//!
//! The engine's epoch only rises; the store has a deadline. Every function and every turn of a loop
//! compares them and calls `new_epoch` when the deadline is reached, which either moves the deadline
//! or does not return.

use super::function::FuncTranslator;
use crate::vm::{VMContext, VMStoreContext};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, condcodes::IntCC, types};
use std::mem::offset_of;

impl FuncTranslator<'_, '_> {
    /// The check that every function begins with, and every turn of a loop; if the engine wants it.
    pub(super) fn epoch_check(&mut self) {
        if !self.env.tunables.epoch_interruption {
            return;
        }
        let epoch = self.context_pointer(offset_of!(VMContext, epoch) as u32);
        let store = self.store_context();
        // Atomic because another thread advances it: such a load is never replaced by the value of
        // an earlier one. No data is read on the strength of it, so its order has no partner.
        let now = self.builder.ins().atomic_load(types::I64, MemFlagsData::trusted(), epoch);
        // Atomic for the same reason: another thread moves the deadline to interrupt this one.
        let deadline = self.constant_pointer(store, offset_of!(VMStoreContext, epoch_deadline));
        let deadline =
            self.builder.ins().atomic_load(types::I64, MemFlagsData::trusted(), deadline);
        let reached = self.builder.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, now, deadline);

        let late = self.builder.create_block();
        let on = self.builder.create_block();
        self.set_cold(late);
        self.builder.ins().brif(reached, late, &[], on, &[]);
        self.builder.seal_block(late);
        self.builder.switch_to_block(late);
        self.builtin().new_epoch();
        self.builder.ins().jump(on, &[]);
        self.builder.seal_block(on);
        self.builder.switch_to_block(on);
    }
}

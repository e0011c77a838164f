//! Copying bytes of data segments: `memory.init`, `array.init_data` and `array.new_data`.
//!
//! The bytes of a passive segment are a part of the module's, whose place and length are known. So it is copied as memories are
//! ([`copy`](super::copy)). Once it is dropped, which a bit in the context tells, it is as if its length were 0. Segments of
//! other kinds are left to the builtins: there is nothing in them except while the module is instantiated.

use super::Result;
use super::alias::AliasRegion;
use super::builtins::{Bits32, Bits64};
use super::copy::End;
use super::function::FuncTranslator;
use crate::module::{DataMode, DataSegment};
use crate::vm::{ROUTINE_LIMIT, VMBuiltins, VMContext};
use cranelift_codegen::ir::{InstBuilder, Value, types};
use std::mem::offset_of;

/// A part of a data segment that an operation begins at.
#[derive(Clone, Copy)]
pub(super) struct Source {
    /// In bytes.
    pub(super) end: End,
    /// Where the segment begins in the module.
    start: usize,
}

impl FuncTranslator<'_, '_> {
    pub(super) fn memory_init(&mut self, memory: u32, segment: u32) -> Result {
        let (from, len) = self.stack.pop2();
        let to = self.stack.pop();
        let target = self.end_in_memory(memory, to);
        let Some(source) = self.end_in_segment(segment, from) else {
            let to = Bits64(target.index);
            self.builtin().memory_init(memory, segment, to, Bits32(from), Bits32(len));
            return Ok(());
        };
        let bytes = self.widen(len);
        let is_slow = self.exceeds(&[target, source.end], bytes, ROUTINE_LIMIT);
        self.fast_or_slow(
            is_slow,
            |this| {
                let base = this.memory_base(memory);
                let dst = this.builder.ins().iadd(base, target.index);
                this.copy_segment(dst, source, bytes);
            },
            |this| {
                let to = Bits64(target.index);
                this.builtin().memory_init(memory, segment, to, Bits32(from), Bits32(len));
            },
        );
        Ok(())
    }

    /// A place in a passive segment; `None` for others.
    pub(super) fn end_in_segment(&mut self, segment: u32, index: Value) -> Option<Source> {
        let DataSegment { mode: DataMode::Passive, range } =
            &self.env.module.data[segment as usize]
        else {
            return None;
        };
        let (start, len) = (range.start, range.len());
        let at = self.env.offsets.dropped_data() + segment / 8;
        let flags = AliasRegion::Dropped.trusted(self.builder.func);
        let bits = self.builder.ins().load(types::I8, flags, self.env.vmctx, at as i32);
        let dropped = self.builder.ins().band_imm_u(bits, 1i64 << (segment % 8));
        let nothing = self.builder.ins().iconst(types::I64, 0);
        let all = self.builder.ins().iconst(types::I64, len as i64);
        let available = self.builder.ins().select(dropped, nothing, all);
        let index = self.widen(index);
        Some(Source { end: End { index, available, is_64: false }, start })
    }

    /// Copies bytes that the segment has, not too many for a routine.
    pub(super) fn copy_segment(&mut self, dst: Value, source: Source, bytes: Value) {
        let base = self.context_pointer(offset_of!(VMContext, bytes) as u32);
        let src = self.builder.ins().iadd(base, source.end.index);
        let src = self.builder.ins().iadd_imm_u(src, source.start as i64);
        self.run_routine(offset_of!(VMBuiltins, copy_bytes), &[dst, src, bytes]);
    }
}

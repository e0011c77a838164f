//! [`Trap`]: the failure of a guest, with its wasm frames.

mod fault;

pub use fault::MemoryFault;

use crate::error::Error;
use crate::module::Module;
use seqfault_jit::message::Escaped;
use std::fmt;
use std::sync::Arc;

pub use seqfault_jit::TrapCode;

/// The guest did what WebAssembly defines as an error.
///
/// `Display` prints the specification's text (with the address, for accesses out of bounds of a
/// memory), then the wasm frames.
#[derive(Clone)]
pub struct Trap {
    code: TrapCode,
    fault: Option<MemoryFault>,
    backtrace: Backtrace,
}

impl Trap {
    pub(crate) fn new(code: TrapCode, backtrace: Backtrace) -> Trap {
        Trap { code, fault: None, backtrace }
    }

    /// An access outside of a memory.
    pub(crate) fn out_of_bounds(fault: MemoryFault, backtrace: Backtrace) -> Trap {
        Trap { code: TrapCode::MemoryOutOfBounds, fault: Some(fault), backtrace }
    }

    /// The trap that the runtime itself has found, if it is the cause of `error`.
    pub(crate) fn of(error: &Error, backtrace: impl FnOnce() -> Backtrace) -> Option<Trap> {
        if let Some(&TrapReason(code)) = error.downcast_ref() {
            return Some(Trap::new(code, backtrace()));
        }
        let &fault = error.downcast_ref()?;
        Some(Trap::out_of_bounds(fault, backtrace()))
    }

    /// Why.
    pub fn code(&self) -> TrapCode {
        self.code
    }

    /// Which memory was accessed out of bounds and where, for [`TrapCode::MemoryOutOfBounds`].
    /// `None` for other traps, and if that is not known.
    pub fn memory_fault(&self) -> Option<&MemoryFault> {
        self.fault.as_ref()
    }

    /// The wasm frames, innermost first.
    pub fn frames(&self) -> &[FrameInfo] {
        self.backtrace.frames()
    }
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fault {
            Some(fault) => write!(f, "{fault}")?,
            None => write!(f, "{}", self.code)?,
        }
        if !self.frames().is_empty() {
            write!(f, "\n{}", self.backtrace)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trap")
            .field("code", &self.code)
            .field("memory_fault", &self.fault)
            .field("frames", &self.frames())
            .finish()
    }
}

impl std::error::Error for Trap {}

/// A trap that the runtime itself has found, before its backtrace is taken. For an access out of
/// bounds of a memory, a [`MemoryFault`] is used instead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TrapReason(pub(crate) TrapCode);

impl fmt::Display for TrapReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for TrapReason {}

/// One wasm frame. It shares the module, so its names are not copied.
#[derive(Clone, Debug)]
pub struct FrameInfo {
    pub(crate) module: Module,
    pub(crate) func: u32,
    pub(crate) module_offset: Option<u32>,
}

impl FrameInfo {
    /// The name of the module, from its name section.
    pub fn module_name(&self) -> Option<&str> {
        self.module.name()
    }

    /// The index of the function in its module.
    pub fn func_index(&self) -> u32 {
        self.func
    }

    /// The name of the function, from the module's name section, or one that it is exported by.
    pub fn func_name(&self) -> Option<&str> {
        self.module.function_name(self.func)
    }

    /// Byte offset of the instruction in the module's binary.
    pub fn module_offset(&self) -> Option<usize> {
        self.module_offset.map(|offset| offset as usize)
    }
}

/// `0x1f0 - module!function`; modules and functions without a name are shown by index.
impl fmt::Display for FrameInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.module_offset {
            Some(offset) => write!(f, "{offset:#8x} - ")?,
            None => write!(f, "{:>8} - ", "?")?,
        }
        match self.module_name() {
            Some(name) => write!(f, "{}!", Escaped::name(name))?,
            None => f.write_str("<unknown>!")?,
        }
        match self.func_name() {
            Some(name) => Escaped::name(name).fmt(f),
            None => write!(f, "<wasm function {}>", self.func),
        }
    }
}

/// The wasm frames at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backtrace(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    frames: Vec<FrameInfo>,
    /// How many frames were not kept.
    omitted: usize,
}

impl Backtrace {
    pub(crate) fn new(frames: Vec<FrameInfo>, omitted: usize) -> Backtrace {
        Backtrace(Arc::new(Inner { frames, omitted }))
    }

    pub(crate) fn frames(&self) -> &[FrameInfo] {
        &self.0.frames
    }
}

impl fmt::Display for Backtrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("wasm backtrace:")?;
        for (number, frame) in self.frames().iter().enumerate() {
            write!(f, "\n  {number:>3}: {frame}")?;
        }
        if self.0.omitted > 0 {
            write!(f, "\n  ... and {} more frames", self.0.omitted)?;
        }
        Ok(())
    }
}

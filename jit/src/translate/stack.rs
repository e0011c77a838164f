//! The value stack: CLIF values in place of the specification's operands.

use cranelift_codegen::ir::Value;

/// The operands that the code so far has left, the newest last.
///
/// Validation guarantees that what is popped is there and has the right type, in reachable code;
/// unreachable code never gets here.
#[derive(Default)]
pub(super) struct ValueStack {
    values: Vec<Value>,
    highest: usize,
}

impl ValueStack {
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// The most operands that there have been at once.
    pub(super) fn highest(&self) -> usize {
        self.highest
    }

    pub(super) fn push(&mut self, value: Value) {
        self.values.push(value);
        self.highest = self.highest.max(self.values.len());
    }

    pub(super) fn extend(&mut self, values: &[Value]) {
        self.values.extend_from_slice(values);
        self.highest = self.highest.max(self.values.len());
    }

    pub(super) fn pop(&mut self) -> Value {
        self.values.pop().expect("validation counts operands")
    }

    /// Two operands, in the order in which they were pushed.
    pub(super) fn pop2(&mut self) -> (Value, Value) {
        let second = self.pop();
        (self.pop(), second)
    }

    /// Three operands, in the order in which they were pushed.
    pub(super) fn pop3(&mut self) -> (Value, Value, Value) {
        let third = self.pop();
        let (first, second) = self.pop2();
        (first, second, third)
    }

    /// The newest `count` operands, in the order in which they were pushed.
    pub(super) fn top(&self, count: usize) -> &[Value] {
        &self.values[self.values.len() - count..]
    }

    /// The newest `count` operands, to be replaced in place.
    pub(super) fn top_mut(&mut self, count: usize) -> &mut [Value] {
        let start = self.values.len() - count;
        &mut self.values[start..]
    }

    pub(super) fn drop_top(&mut self, count: usize) {
        self.values.truncate(self.values.len() - count);
    }

    pub(super) fn truncate(&mut self, height: usize) {
        self.values.truncate(height);
    }

    /// Pushes the newest `count` operands a second time.
    pub(super) fn duplicate_top(&mut self, count: usize) {
        self.values.extend_from_within(self.values.len() - count..);
        self.highest = self.highest.max(self.values.len());
    }

    /// Removes the operands in `start..start + count`, from below newer ones.
    pub(super) fn remove_below(&mut self, start: usize, count: usize) {
        self.values.drain(start..start + count);
    }
}

//! The heap of objects: what is kept, what is let go, and how the host holds references.
//!
//! Most tests run in several ways: by default, with other pagers, without signals, and with a
//! collection at every allocation.

mod heap;
mod host;
mod roots;

use seqfault::{Config, Engine, Func, Instance, Module, PagerKind, Result, Store, TrapCode};

/// Runs a test in each of those ways.
fn both(test: impl Fn(&Engine) -> Result<()>) -> Result<()> {
    test(&Engine::default())?;
    test(&Engine::new(Config::new().pager(PagerKind::Protect))?)?;
    test(&Engine::new(Config::new().pager(PagerKind::Eager))?)?;
    test(&Engine::new(Config::new().signals_based_traps(false))?)?;
    test(&Engine::new(Config::new().gc_stress(true))?)
}

fn instantiate(store: &mut Store<()>, wat: &str, host: &[Func]) -> Instance {
    let module = Module::new(store.engine(), wat).unwrap();
    let imports: Vec<_> = host.iter().map(|&func| func.into()).collect();
    Instance::new(store, &module, &imports).unwrap()
}

fn call(store: &mut Store<()>, instance: Instance, name: &str, argument: i32) -> Result<i32> {
    instance.get_typed_func::<i32, i32>(&mut *store, name)?.call(store, argument)
}

fn trap(result: Result<i32>) -> TrapCode {
    result.unwrap_err().trap().expect("a trap").code()
}

/// Lists of nodes, and pairs that refer to each other.
const NODES: &str = r#"(module
    (type $node (struct (field $value i32) (field $next (mut (ref null $node)))))
    (global $kept (mut (ref null $node)) (ref.null $node))
    (func (export "list") (param $n i32) (result i32)
      (global.set $kept (ref.null $node))
      (loop $more
        (global.set $kept (struct.new $node (local.get $n) (global.get $kept)))
        (br_if $more (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
      (i32.const 0))
    (func (export "sum") (param i32) (result i32) (local $at (ref null $node))
      (local.set $at (global.get $kept))
      (block $end
        (loop $more
          (br_if $end (ref.is_null (local.get $at)))
          (local.set 0 (i32.add (local.get 0) (struct.get $node $value (local.get $at))))
          (local.set $at (struct.get $node $next (local.get $at)))
          (br $more)))
      (local.get 0))
    (func (export "forget") (param i32) (result i32)
      (global.set $kept (ref.null $node)) (i32.const 0))
    (func (export "cycles") (param $n i32) (result i32) (local $a (ref null $node)) (local $b (ref null $node))
      (loop $more
        (local.set $a (struct.new $node (i32.const 1) (ref.null $node)))
        (local.set $b (struct.new $node (i32.const 2) (local.get $a)))
        (struct.set $node $next (local.get $a) (local.get $b))
        (br_if $more (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
      (i32.add
        (struct.get $node $value (struct.get $node $next (local.get $a)))
        (struct.get $node $value (struct.get $node $next (local.get $b))))))"#;

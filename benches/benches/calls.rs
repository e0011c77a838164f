//! Calls across every border: host to wasm, wasm to host, and within wasm.
//!
//! The module is the same text in both engines. Calls from the host are made one by one; the others
//! in a loop in wasm, which is part of their figures and the same for both.

use criterion::Criterion;
use seqfault_benches::{Clock, Contest, Report};
use std::time::Duration;

const MODULE: &str = r#"
    (module
      (type $step (func (param i64) (result i64)))
      (import "host" "nop" (func $host_nop))
      (import "host" "step" (func $host_step (type $step)))
      (table $fixed 4 4 funcref)
      (table $growing 4 funcref)
      (elem (table $fixed) (i32.const 0) func $one $two $one $two)
      (elem (table $growing) (i32.const 0) func $one $two $one $two)
      (func $one (type $step) (i64.add (local.get 0) (i64.const 1)))
      (func $two (type $step) (i64.add (local.get 0) (i64.const 2)))

      (func (export "nop"))
      (func (export "step") (type $step) (call $one (local.get 0)))
      (func (export "many") (param i32 i64 f32 f64 i32) (result i64)
        (i64.add (local.get 1) (i64.extend_i32_u (local.get 4))))

      (func (export "to_host") (param $left i64) (result i64)
        (loop $again
          (call $host_nop)
          (br_if $again (i64.ne (i64.const 0)
            (local.tee $left (i64.sub (local.get $left) (i64.const 1))))))
        (i64.const 0))
      (func (export "to_host_step") (param $left i64) (result i64) (local $sum i64)
        (loop $again
          (local.set $sum (call $host_step (local.get $sum)))
          (br_if $again (i64.ne (i64.const 0)
            (local.tee $left (i64.sub (local.get $left) (i64.const 1))))))
        (local.get $sum))
      (func (export "direct") (param $left i64) (result i64) (local $sum i64)
        (loop $again
          (local.set $sum (call $one (local.get $sum)))
          (br_if $again (i64.ne (i64.const 0)
            (local.tee $left (i64.sub (local.get $left) (i64.const 1))))))
        (local.get $sum))
      (func (export "indirect") (param $left i64) (result i64) (local $sum i64)
        (loop $again
          (local.set $sum (call_indirect $fixed (type $step)
            (local.get $sum) (i32.and (i32.wrap_i64 (local.get $left)) (i32.const 3))))
          (br_if $again (i64.ne (i64.const 0)
            (local.tee $left (i64.sub (local.get $left) (i64.const 1))))))
        (local.get $sum))
      (func (export "indirect_growing") (param $left i64) (result i64) (local $sum i64)
        (loop $again
          (local.set $sum (call_indirect $growing (type $step)
            (local.get $sum) (i32.and (i32.wrap_i64 (local.get $left)) (i32.const 3))))
          (br_if $again (i64.ne (i64.const 0)
            (local.tee $left (i64.sub (local.get $left) (i64.const 1))))))
        (local.get $sum)))
"#;

/// Exports that make calls in a loop, as many as they are told.
const LOOPS: [&str; 5] = ["to_host", "to_host_step", "direct", "indirect", "indirect_growing"];

type Many = (i32, i64, f32, f64, i32);

/// The measurements of one engine: its API is the same word for word in both.
macro_rules! engine_under_test {
    ($module:ident, $engine:ident, $eager:expr) => {
        mod $module {
            use super::{Clock, Many};
            use std::hint::black_box;
            use std::time::Duration;
            use $engine::{Engine, Instance, Linker, Module, Store};

            pub(crate) struct Subject {
                store: Store<()>,
                instance: Instance,
            }

            impl Subject {
                pub(crate) fn new() -> Subject {
                    let engine: Engine = $eager;
                    let module = Module::new(&engine, super::MODULE).expect("a valid module");
                    let mut linker = Linker::new(&engine);
                    linker.func_wrap("host", "nop", || {}).expect("defined once");
                    linker.func_wrap("host", "step", |x: i64| x + 1).expect("defined once");
                    let mut store = Store::new(&engine, ());
                    let instance = linker.instantiate(&mut store, &module).expect("all imports");
                    Subject { store, instance }
                }

                pub(crate) fn nop(&mut self) -> impl FnMut(u64) -> Duration {
                    let Subject { store, instance } = self;
                    let nop = instance.get_typed_func::<(), ()>(&mut *store, "nop");
                    let nop = nop.expect("the export");
                    move |calls| {
                        Clock::Thread.time(|| {
                            for _ in 0..calls {
                                nop.call(&mut *store, ()).expect("no trap");
                            }
                        })
                    }
                }

                pub(crate) fn many(&mut self) -> impl FnMut(u64) -> Duration {
                    let Subject { store, instance } = self;
                    let many = instance.get_typed_func::<Many, i64>(&mut *store, "many");
                    let many = many.expect("the export");
                    move |calls| {
                        Clock::Thread.time(|| {
                            for _ in 0..calls {
                                let params = black_box((1, 2, 3.0, 4.0, 5));
                                black_box(many.call(&mut *store, params).expect("no trap"));
                            }
                        })
                    }
                }

                pub(crate) fn in_loop(&mut self, export: &str) -> impl FnMut(u64) -> Duration {
                    let mut run = self.looping(export);
                    move |calls| Clock::Thread.time(|| _ = black_box(run(calls)))
                }

                pub(crate) fn looping(&mut self, export: &str) -> impl FnMut(u64) -> i64 {
                    let Subject { store, instance } = self;
                    let run = instance.get_typed_func::<i64, i64>(&mut *store, export);
                    let run = run.expect("the export");
                    move |calls| run.call(&mut *store, calls as i64).expect("no trap")
                }
            }
        }
    };
}

engine_under_test!(ours, seqfault, {
    let mut config = seqfault::Config::new();
    config.compilation(seqfault::Compilation::Eager);
    Engine::new(&config).expect("an engine")
});
engine_under_test!(theirs, wasmtime, Engine::default());

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(700))
        .configure_from_args();
    let mut report = Report::new("calls");
    let (mut ours, mut theirs) = (ours::Subject::new(), theirs::Subject::new());
    for export in LOOPS {
        assert_eq!(ours.looping(export)(101), theirs.looping(export)(101), "result of {export}");
    }
    Contest::new("host_to_wasm")
        .contender("seqfault", ours.nop())
        .contender("wasmtime", theirs.nop())
        .run(&mut criterion, &mut report);
    Contest::new("host_to_wasm_5_params")
        .contender("seqfault", ours.many())
        .contender("wasmtime", theirs.many())
        .run(&mut criterion, &mut report);
    for export in LOOPS {
        Contest::new(export)
            .contender("seqfault", ours.in_loop(export))
            .contender("wasmtime", theirs.in_loop(export))
            .run(&mut criterion, &mut report);
    }
    criterion.final_summary();
    println!("{report}");
}

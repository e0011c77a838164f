//! How the contenders are set up: seqfault with one pager or another, and Wasmtime's pool.

use seqfault::{Compilation, PagerKind};
use wasmtime::{Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

/// Seqfault's defaults with the pager `pager`, compiled ahead: no first call is measured.
pub fn ours(pager: PagerKind) -> seqfault::Config {
    let mut config = seqfault::Config::new();
    config.compilation(Compilation::Eager).pager(pager);
    config
}

/// Wasmtime with its pool as it comes, for up to `memories` memories at a time.
pub fn pooling(memories: u32) -> wasmtime::Config {
    with(pool(memories))
}

/// Wasmtime with its pool tuned for reuse: it keeps 1 MiB of each memory resident, asks the kernel which
/// pages were touched, and keeps every slot warm.
pub fn tuned(memories: u32) -> wasmtime::Config {
    let mut pool = pool(memories);
    pool.linear_memory_keep_resident(1 << 20);
    pool.table_keep_resident(1 << 20);
    pool.pagemap_scan(Enabled::Auto);
    pool.max_unused_warm_slots(memories);
    with(pool)
}

fn pool(memories: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_memories(memories).total_core_instances(memories).total_tables(memories);
    pool.max_memories_per_module(2);
    pool
}

fn with(pool: PoolingAllocationConfig) -> wasmtime::Config {
    let mut config = wasmtime::Config::new();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

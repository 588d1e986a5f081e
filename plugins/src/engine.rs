//! The two engines and the clock that ends what runs too long.

use std::{thread, time::Duration};

use wasmtime::{
    Config, Engine, EngineWeak, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, Result, Strategy,
};

use crate::limits::HostLimits;

/// Resolution of every wall clock limit.
const TICK: Duration = Duration::from_millis(10);

/// Tables of one component; tools for scripting languages need three or four.
const TABLES: u32 = 8;
pub(crate) const MEMORIES: u32 = 4;
const CORE_INSTANCES: u32 = 32;

/// Compiled code of one fits the other: they differ in how instances get their memory.
#[derive(Clone)]
pub(crate) struct Engines {
    /// For ordinary plugins: instances take prepared slots of a pool.
    pub(crate) pooled: Engine,
    /// For `large = true`: what does not fit into a slot.
    pub(crate) on_demand: Engine,
}

impl Engines {
    /// # Errors
    /// The processor or the operating system cannot run compiled WebAssembly.
    pub(crate) fn new(limits: &HostLimits) -> Result<Self> {
        let on_demand = Engine::new(&config(limits))?;
        let mut pooled = config(limits);
        pooled.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(limits)));
        let pooled = Engine::new(&pooled).unwrap_or_else(|error| {
            tracing::warn!(%error, "no address space for the instance pool: plugins start more slowly");
            on_demand.clone()
        });
        tick(vec![pooled.weak(), on_demand.weak()])?;
        Ok(Self { pooled, on_demand })
    }
}

/// What decides about the compiled code: the same for every engine, also in the process that only compiles.
pub(crate) fn config(limits: &HostLimits) -> Config {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::Speed)
        .wasm_component_model(true)
        // Fuel counts what the guest does, the same everywhere; epochs bound the time that fuel does not see.
        .consume_fuel(true)
        .epoch_interruption(true)
        .max_wasm_stack(limits.stack)
        .memory_init_cow(true)
        // The same bits on every processor.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true);
    config
}

fn pool(limits: &HostLimits) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(limits.instances)
        .total_core_instances(limits.instances * 4)
        .total_memories(limits.instances)
        .total_tables(limits.instances * 2)
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(MEMORIES)
        .max_tables_per_component(TABLES)
        .max_component_instance_size(1 << 20)
        .max_core_instance_size(1 << 20)
        .max_memory_size(usize::try_from(limits.memory).unwrap_or(usize::MAX))
        .table_elements(limits.table_elements);
    pool
}

/// Counts the epoch up until the last engine is gone.
fn tick(engines: Vec<EngineWeak>) -> Result<()> {
    thread::Builder::new().name("plugin-clock".into()).spawn(move || {
        loop {
            thread::sleep(TICK);
            let alive: Vec<Engine> = engines.iter().filter_map(EngineWeak::upgrade).collect();
            if alive.is_empty() {
                return;
            }
            alive.iter().for_each(Engine::increment_epoch);
        }
    })?;
    Ok(())
}

/// Ticks until `time` has surely passed.
pub(crate) fn ticks(time: Duration) -> u64 {
    u64::try_from(time.as_millis().div_ceil(TICK.as_millis())).unwrap_or(u64::MAX).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_never_early() {
        assert_eq!(ticks(Duration::from_millis(250)), 26);
        assert_eq!(ticks(Duration::from_millis(251)), 27);
        assert_eq!(ticks(Duration::ZERO), 1);
    }

    #[test]
    fn compiled_code_of_one_engine_fits_the_other_and_the_clock_ends() -> Result<()> {
        let Engines { pooled, on_demand } = Engines::new(&HostLimits::default())?;
        let code = on_demand.precompile_component(&wasm_encoder::Component::new().finish())?;
        #[expect(unsafe_code, reason = "the code was compiled one line above")]
        let loaded = unsafe { wasmtime::component::Component::deserialize(&pooled, &code) };
        assert!(loaded.is_ok());
        let (weak_pooled, weak_on_demand) = (pooled.weak(), on_demand.weak());
        drop((loaded, pooled, on_demand));
        thread::sleep(TICK * 3);
        assert!(weak_pooled.upgrade().is_none() && weak_on_demand.upgrade().is_none());
        Ok(())
    }
}

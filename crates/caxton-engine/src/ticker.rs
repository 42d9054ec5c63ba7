//! The thread that pre-empts guests: every millisecond it advances the epoch of all engines.
//!
//! It sleeps while nobody runs, so that an idle node makes no wake-ups.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread::{self, JoinHandle, Thread},
    time::Duration,
};

use wasmtime::EngineWeak;

/// How often guests are pre-empted.
const TICK: Duration = Duration::from_millis(1);
/// Ticks without a guest after which the thread goes to sleep.
const IDLE_TICKS_MAX: u32 = 100;

#[derive(Default)]
struct Shared {
    engines: Mutex<Vec<EngineWeak>>,
    touched: AtomicBool,
    parked: AtomicBool,
    stop: AtomicBool,
}

/// The handle: stops and joins the thread when dropped.
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Thread,
    join: Option<JoinHandle<()>>,
}

/// What a running guest holds to say that it runs.
#[derive(Clone)]
pub(crate) struct Touch {
    shared: Arc<Shared>,
    thread: Thread,
}

impl Ticker {
    pub(crate) fn start() -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let inner = shared.clone();
        let join = thread::Builder::new()
            .name("caxton-epoch".to_owned())
            .spawn(move || run(&inner))?;
        let thread = join.thread().clone();
        Ok(Self {
            shared,
            thread,
            join: Some(join),
        })
    }
    pub(crate) fn add(&self, engine: &wasmtime::Engine) {
        let mut engines = self
            .shared
            .engines
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        engines.push(engine.weak());
    }
    /// A tick before its time.
    pub(crate) fn tick(&self) {
        self.shared.tick();
    }
    pub(crate) fn touch(&self) -> Touch {
        Touch {
            shared: self.shared.clone(),
            thread: self.thread.clone(),
        }
    }
}

impl Touch {
    /// A guest starts or goes on. Cost: one load while others run too.
    pub(crate) fn running(&self) {
        if !self.shared.touched.load(SeqCst) {
            self.shared.touched.store(true, SeqCst);
            if self.shared.parked.load(SeqCst) {
                self.thread.unpark();
            }
        }
    }
}

fn run(shared: &Shared) {
    let mut idle = 0_u32;
    while !shared.stop.load(SeqCst) {
        if shared.touched.swap(false, SeqCst) {
            idle = 0;
        } else {
            idle = idle.saturating_add(1);
        }
        if idle >= IDLE_TICKS_MAX {
            shared.parked.store(true, SeqCst);
            while !shared.touched.load(SeqCst) && !shared.stop.load(SeqCst) {
                thread::park();
            }
            shared.parked.store(false, SeqCst);
            continue;
        }
        thread::park_timeout(TICK);
        shared.tick();
    }
}

impl Shared {
    fn tick(&self) {
        let mut engines = self.engines.lock().unwrap_or_else(PoisonError::into_inner);
        engines.retain(|engine| match engine.upgrade() {
            Some(engine) => {
                engine.increment_epoch();
                true
            }
            None => false,
        });
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stop.store(true, SeqCst);
        self.thread.unpark();
        if let Some(join) = self.join.take() {
            // It can't panic, and if it did there is nobody left to tell.
            let _ = join.join();
        }
    }
}

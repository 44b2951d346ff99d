//! A card as all streams of a process see it: one context, and the kernels loaded once.

use std::collections::HashMap;
use std::ffi::CString;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use cudarc::driver::{DriverError, result, sys};

use super::failure::failed;
use crate::train::cuda::kernels;
use crate::trainer::TrainError;

/// Time between two words about kernels that are being translated.
const SAY_EVERY: Duration = Duration::from_secs(2);

/// A card that is open in this process.
pub struct Shared {
    /// One with all kernels, or one for each.
    modules: Modules,
    /// Functions of the modules by name, and the shared memory that each was allowed. That is a property of the function and
    /// not of a stream: it only ever grows, so that no run takes from another what it was given.
    functions: Mutex<HashMap<&'static str, (sys::CUfunction, u32)>>,
    /// Last, so that it goes after what lives in it.
    context: Context,
}

// SAFETY: contexts, modules and functions are the driver's handles, which every thread of the process may use at the same
// time; what is changed here lies behind the mutex.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

/// The context that all users of a card in one process share.
struct Context {
    device: sys::CUdevice,
    handle: sys::CUcontext,
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: it was retained once by whoever made this, and what lived in it is gone. An error means that the card is
        // lost.
        let _ = unsafe { result::primary_ctx::release(self.device) };
    }
}

/// The cards that are open, by number.
static OPEN: Mutex<Vec<(i32, Weak<Shared>)>> = Mutex::new(Vec::new());

impl Shared {
    /// The card by its number, of that compute capability, opened unless another thread has it open; its context is current on this thread.
    pub fn open(index: i32, capability: u32, what: &str) -> Result<Arc<Self>, TrainError> {
        // Held while kernels are loaded: whoever comes meanwhile waits for them instead of loading them once more.
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|(_, shared)| shared.strong_count() > 0);
        let known = open.iter().find(|(at, _)| *at == index).and_then(|(_, shared)| shared.upgrade());
        if let Some(shared) = known {
            // SAFETY: the context lives as long as what is returned.
            unsafe { result::ctx::set_current(shared.context.handle) }.map_err(failed(what))?;
            return Ok(shared);
        }
        let shared = Arc::new(Self::load(index, capability, what)?);
        open.push((index, Arc::downgrade(&shared)));
        Ok(shared)
    }

    fn load(index: i32, capability: u32, what: &str) -> Result<Self, TrainError> {
        let failed = failed(what);
        let device = result::device::get(index).map_err(&failed)?;
        // SAFETY: the device comes from the driver; the context stays until this is dropped; text ends with a zero, as it
        // must.
        unsafe {
            let handle = result::primary_ctx::retain(device).map_err(&failed)?;
            let context = Context { device, handle };
            result::ctx::set_current(handle).map_err(&failed)?;
            let modules = Modules::load(capability).map_err(&failed)?;
            Ok(Self { modules, functions: Mutex::default(), context })
        }
    }

    /// A kernel by its name, allowed to have so much shared memory.
    pub fn function(&self, name: &'static str, shared: u32) -> Result<sys::CUfunction, TrainError> {
        let what = format!("kernel {name}");
        let failed = failed(&what);
        let mut functions = self.functions.lock().unwrap_or_else(PoisonError::into_inner);
        let known = functions.get(name).copied();
        if let Some((function, allowed)) = known
            && allowed >= shared
        {
            return Ok(function);
        }
        let text = CString::new(name).expect("a name of a kernel");
        let function = match known {
            Some((function, _)) => function,
            None => self.modules.function(&text).map_err(&failed)?,
        };
        // Without asking a block has 48 KiB together with what the kernel takes by itself, which is not known here.
        if shared > 0 {
            let attribute = sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            let bytes = i32::try_from(shared).expect("a block's memory");
            // SAFETY: the function is one of a module that is loaded as long as this lives.
            unsafe { result::function::set_function_attribute(function, attribute, bytes) }.map_err(&failed)?;
        }
        functions.insert(name, (function, shared));
        Ok(function)
    }
}

/// Loaded modules, of a context that is current wherever they are loaded and dropped.
struct Modules(Vec<sys::CUmodule>);

impl Modules {
    /// The machine code of all kernels where there is one for the card and the driver takes it; otherwise their texts, which
    /// the driver translates one by one, and says from time to time how far it is.
    fn load(capability: u32) -> Result<Self, DriverError> {
        let mut modules = Self(Vec::new());
        if let Some(code) = kernels::code(capability) {
            match modules.add(&code) {
                Ok(()) => return Ok(modules),
                Err(error) => tell!("the driver does not take the machine code of the kernels: {error}"),
            }
        }
        let texts = kernels::texts();
        let mut said = Instant::now();
        for (done, text) in texts.iter().enumerate() {
            if said.elapsed() >= SAY_EVERY {
                tell!("the driver translates the kernels for this card: {done} of {} are done", texts.len());
                said = Instant::now();
            }
            modules.add(text)?;
        }
        Ok(modules)
    }

    fn add(&mut self, image: &[u8]) -> Result<(), DriverError> {
        // SAFETY: an image is machine code whose header has its length, or text that ends with a zero.
        self.0.push(unsafe { result::module::load_data(image.as_ptr().cast()) }?);
        Ok(())
    }

    /// A kernel by its name, from the module that has it.
    fn function(&self, name: &CString) -> Result<sys::CUfunction, DriverError> {
        // SAFETY: the modules are loaded as long as this lives.
        let find = |module: &sys::CUmodule| unsafe { result::module::get_function(*module, name.clone()) }.ok();
        self.0.iter().find_map(find).ok_or(DriverError(sys::CUresult::CUDA_ERROR_NOT_FOUND))
    }
}

impl Drop for Modules {
    fn drop(&mut self) {
        for module in &self.0 {
            // SAFETY: nothing of the module is used any more. Errors mean that the card is lost.
            let _ = unsafe { result::module::unload(*module) };
        }
    }
}

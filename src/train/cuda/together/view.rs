//! A card as one of the runs of a slab sees it, or as all of them do.

use crate::train::cuda::gpu::{Address, Card, Gpu, Launch, Mark, Memory, Product, Recording, Runs, Taken};
use crate::trainer::TrainError;

/// Takes addresses of the first run for those of another one, and launches and products of one run for those of several.
pub struct View<'g> {
    gpu: &'g dyn Gpu,
    /// Bytes from the first run to this one.
    ahead: u64,
    runs: Runs,
}

impl<'g> View<'g> {
    /// One run, whose memory lies so many bytes behind that of the first.
    pub fn one(gpu: &'g dyn Gpu, ahead: u64) -> Self {
        Self { gpu, ahead, runs: Runs::ONE }
    }

    /// Several, from the first on.
    pub fn several(gpu: &'g dyn Gpu, runs: Runs) -> Self {
        Self { gpu, ahead: 0, runs: if runs.count == 1 { Runs::ONE } else { runs } }
    }
}

impl Gpu for View<'_> {
    fn card(&self) -> &Card {
        self.gpu.card()
    }

    fn memory(&self) -> Result<Memory, TrainError> {
        self.gpu.memory()
    }

    fn allocate(&self, _: usize) -> Result<Address, TrainError> {
        unreachable!("runs together have their memory from the slab");
    }

    fn free(&self, _: Address) {
        unreachable!("the slab goes as a whole");
    }

    fn upload(&self, to: Address, bytes: &[u8]) -> Result<(), TrainError> {
        self.gpu.upload(to + self.ahead, bytes)
    }

    fn download(&self, from: Address, bytes: &mut [u8]) -> Result<(), TrainError> {
        self.gpu.download(from + self.ahead, bytes)
    }

    fn zero(&self, at: Address, bytes: usize) -> Result<(), TrainError> {
        self.gpu.zero(at + self.ahead, bytes)
    }

    fn copy(&self, to: Address, from: Address, bytes: usize) -> Result<(), TrainError> {
        self.gpu.copy(to + self.ahead, from + self.ahead, bytes)
    }

    fn launch(&self, launch: &Launch) -> Result<(), TrainError> {
        let arguments = launch.arguments.iter().map(|argument| argument.ahead(self.ahead)).collect();
        self.gpu.launch(&Launch { arguments, runs: self.runs, ..*launch })
    }

    fn product(&self, product: &Product) -> Result<bool, TrainError> {
        self.gpu.product(&Product { runs: self.runs, ..product.ahead(self.ahead) })
    }

    fn time(&self, work: &mut dyn FnMut() -> Result<(), TrainError>) -> Result<Vec<Taken>, TrainError> {
        self.gpu.time(work)
    }

    fn record(&self, work: &mut dyn FnMut() -> Result<(), TrainError>) -> Result<Box<dyn Recording>, TrainError> {
        self.gpu.record(work)
    }

    fn synchronize(&self) -> Result<(), TrainError> {
        self.gpu.synchronize()
    }

    fn mark(&self) -> Result<Box<dyn Mark>, TrainError> {
        self.gpu.mark()
    }

    fn library(&self) -> Option<String> {
        self.gpu.library()
    }
}

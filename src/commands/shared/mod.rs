//! What several commands do: print, say their last words, lay out tables, open a device, a folder of results, a kept model, the corpora
//! of a plan or a fitted surface, say how a sweep stands and what is to be said of a plan, know whose program trains, give
//! slots to workers, say that losses were made up, measure the speed of a device, tell the memory that runs take of a card, and write files that are whole
//! or absent. Nothing here knows a command.

pub mod card_memory;
pub mod claim;
pub mod closing;
pub mod device;
pub mod folder;
pub mod json;
pub mod kept_model;
pub mod line;
pub mod out_file;
pub mod planning;
pub mod pool;
pub mod program;
pub mod rehearsed;
pub mod remarks;
pub mod sheet;
pub mod stdout;
pub mod stopped_early;
pub mod surface;
pub mod throughput;
pub mod trunks;
pub mod written;

//! Waiting for a device.

use burn::tensor::Device;

/// Until the device has done what it was given. A device that fails is seen when its numbers are read.
pub fn wait(device: &Device) {
    let _ = device.sync();
}

//! The kernels as the driver takes them: PTX, which it translates for its card, and for Hopper the machine code, since it
//! would translate all kernels for seconds. Both lie in the tree, so that neither a toolkit nor a compiler is needed to build
//! or to run; `scripts/make-ptx.sh` makes them again.

/// PTX of all kernels under Zstandard.
const TEXT: &[u8] = include_bytes!("kernels/kernels.ptx.zst");

/// Machine code of all kernels for compute capability 9.0, likewise.
const HOPPER: &[u8] = include_bytes!("kernels/kernels.sm_90.zst");

/// What the driver may load on a card of a compute capability (90 for 9.0), the best first.
pub fn images(capability: u32) -> impl Iterator<Item = Vec<u8>> {
    let unpacked = |compressed| zstd::decode_all(compressed).expect("the kernels that were built in");
    let code = (capability == 90).then(move || unpacked(HOPPER));
    // Text ends in a zero.
    code.into_iter().chain(std::iter::once_with(move || [unpacked(TEXT), vec![0]].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_machine_code_have_every_kernel_that_is_launched() {
        assert_eq!(images(80).count(), 1);
        let [code, text]: [Vec<u8>; 2] = images(90).collect::<Vec<_>>().try_into().unwrap();
        assert!(code.starts_with(b"\x7fELF"));
        let code = String::from_utf8_lossy(&code);
        let text = String::from_utf8(text).unwrap();
        let launches = include_str!("launches.rs");
        // What stands in quotes and ends as a kernel may.
        let names = launches
            .split('"')
            .skip(1)
            .step_by(2)
            .filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
        let missing = names
            .filter(|name| !text.contains(&format!(".entry {name}(")) || !code.contains(&format!(".text.{name}\0")));
        let missing: Vec<&str> = missing.collect();
        assert!(missing.is_empty(), "{missing:?}");
        assert!(text.contains(".target sm_80") && text.contains(".version 8.4"));
    }
}

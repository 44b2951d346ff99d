//! The text of the kernels, as the driver takes it: PTX, which it translates for its card. It lies in the tree, so that
//! neither a toolkit nor a compiler is needed to build or to run; `scripts/make-ptx.sh` makes it again.

/// PTX of all kernels under Zstandard.
const COMPRESSED: &[u8] = include_bytes!("kernels/kernels.ptx.zst");

/// PTX of all kernels, ending in a zero.
pub fn image() -> Vec<u8> {
    let mut text = zstd::decode_all(COMPRESSED).expect("the text that was built in");
    text.push(0);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_every_kernel_that_is_launched() {
        let text = String::from_utf8(image()).unwrap();
        let launches = include_str!("launches.rs");
        // What stands in quotes and ends as a kernel may.
        let names = launches
            .split('"')
            .skip(1)
            .step_by(2)
            .filter(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
        let missing: Vec<&str> = names.filter(|name| !text.contains(&format!(".entry {name}("))).collect();
        assert!(missing.is_empty(), "{missing:?}");
        assert!(text.contains(".target sm_80") && text.contains(".version 8.4"));
    }
}

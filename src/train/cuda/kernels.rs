//! The kernels as the driver takes them: PTX, which it translates for its card, and for Hopper the machine code, since it
//! would translate all kernels for seconds. Both lie in the tree, so that neither a toolkit nor a compiler is needed to build
//! or to run; `scripts/make-ptx.sh` makes them again.

/// PTX of all kernels under Zstandard.
const TEXT: &[u8] = include_bytes!("kernels/kernels.ptx.zst");

/// Machine code of all kernels for compute capability 9.0, likewise.
const HOPPER: &[u8] = include_bytes!("kernels/kernels.sm_90.zst");

/// The machine code of all kernels, for a card of a compute capability (90 for 9.0) that there is one for.
pub fn code(capability: u32) -> Option<Vec<u8>> {
    (capability == 90).then(|| unpacked(HOPPER))
}

/// The text of each kernel, as the driver takes it by itself: one after another can be told how far it is.
pub fn texts() -> Vec<Vec<u8>> {
    let text = String::from_utf8(unpacked(TEXT)).expect("PTX is text");
    let (mut shared, mut kernels) = (String::new(), Vec::new());
    let mut rest = text.as_str();
    while let Some(begin) = rest.find(KERNEL) {
        let (before, from) = rest.split_at(begin);
        let (kernel, after) = from.split_at(from.find(END).expect("a kernel ends") + END.len());
        shared.push_str(before);
        kernels.push(kernel);
        rest = after;
    }
    shared.push_str(rest);
    // Text ends in a zero.
    kernels.into_iter().map(|kernel| format!("{shared}\n{kernel}\0").into_bytes()).collect()
}

/// How a kernel begins and ends in PTX.
const KERNEL: &str = ".visible .entry ";
const END: &str = "\n}\n";

fn unpacked(compressed: &[u8]) -> Vec<u8> {
    zstd::decode_all(compressed).expect("the kernels that were built in")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_machine_code_have_every_kernel_that_is_launched() {
        assert!(code(80).is_none() && code(120).is_none());
        let code = code(90).unwrap();
        assert!(code.starts_with(b"\x7fELF"));
        let code = String::from_utf8_lossy(&code);
        let texts: Vec<String> = texts().into_iter().map(|text| String::from_utf8(text).unwrap()).collect();
        for text in &texts {
            assert_eq!(text.matches(KERNEL).count(), 1, "one kernel a text");
            assert!(text.contains(".target sm_80") && text.contains(".version 8.4") && text.ends_with("}\n\0"));
            assert_eq!(text.matches('{').count(), text.matches('}').count(), "nothing is cut in two");
        }
        let text = texts.concat();
        let launches = [
            include_str!("layers/activation.rs"),
            include_str!("layers/attention.rs"),
            include_str!("layers/heads.rs"),
            include_str!("layers/stream.rs"),
            include_str!("loss.rs"),
            include_str!("muon.rs"),
            include_str!("optimizer.rs"),
            include_str!("product.rs"),
            include_str!("step.rs"),
            include_str!("watch.rs"),
        ]
        .concat();
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
    }
}

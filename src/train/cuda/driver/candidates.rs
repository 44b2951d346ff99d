//! Where the library of products may lie.

use std::path::PathBuf;

/// Where the library may lie: what the variable names, else the loader's own places, the toolkit's, and those of pip's
/// packages.
pub fn candidates(variable: &str, versions: [usize; 2]) -> Vec<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        return vec![path.into()];
    }
    let names = versions.map(|version| format!("libcublasLt.so.{version}"));
    let mut paths: Vec<PathBuf> = names.iter().rev().map(PathBuf::from).collect();
    let environment = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let mut patterns = vec!["/usr/local/cuda/lib64".to_owned(), "/opt/cuda/lib64".to_owned()];
    patterns.extend(["CUDA_HOME", "CUDA_PATH"].into_iter().filter_map(environment).map(|root| format!("{root}/lib64")));
    let mut roots: Vec<String> = ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(environment).collect();
    // A virtual environment need not be active: its programs on the path are enough.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let programs = std::env::split_paths(&path).filter(|folder| folder.ends_with("bin"));
    roots.extend(programs.filter_map(|folder| Some(folder.parent()?.to_str()?.to_owned())));
    patterns.extend(roots.iter().map(|root| format!("{root}/lib")));
    roots.extend(["/usr/local".to_owned(), "/usr".to_owned()]);
    roots.extend(environment("HOME").map(|home| format!("{home}/.local")));
    for root in roots {
        for packages in ["site-packages", "dist-packages"] {
            for package in ["cublas", "cu13", "cu12"] {
                patterns.push(format!("{root}/lib/python3*/{packages}/nvidia/{package}/lib"));
            }
        }
    }
    let files = patterns.iter().flat_map(|folder| names.iter().map(move |name| format!("{folder}/{name}")));
    paths.extend(files.filter_map(|pattern| glob::glob(&pattern).ok()).flatten().flatten());
    paths
}

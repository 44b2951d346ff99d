//! The corrections of Porian et al. (arXiv 2406.19146): their weighted regression exactly, their splines nearly.

use super::shared;
use super::surface::{CHINCHILLA, Runs as _};
use runner::fit::approaches::approach2::akima;
use runner::fit::approaches::approach2::akima::Noise;
use runner::fit::numerics::regress::Design;
use runner::fit::{Bootstrap, Status};
use runner::observation::{Counting, Observation};

const KEY: [&str; 6] = ["dataset", "hparams", "warmup", "decay", "flop_count", "loss_kind"];

#[test]
fn the_weighted_regression_gives_the_published_exponents() {
    let [k0, k1, k2, k3, k4, k5] = KEY;
    let Some(published) = shared::columns("porian_published_fits.csv", [k0, k1, k2, k3, k4, k5, "a_exponent"]) else {
        return;
    };
    let pairs = shared::columns("porian_optimal_pairs.csv", [k0, k1, k2, k3, k4, k5, "flops", "n_opt", "ln_n_opt_std"])
        .unwrap();
    assert!(!published.is_empty());
    for row in &published {
        let points: Vec<[f64; 3]> = pairs
            .iter()
            .filter(|pair| pair[..6] == row[..6])
            .filter_map(|pair| Some([pair[6].parse().ok()?, pair[7].parse().ok()?, pair[8].parse().ok()?]))
            .filter(|point: &[f64; 3]| point.iter().all(|x| x.is_finite() && *x > 0.0))
            .collect();
        let column = |f: &dyn Fn(&[f64; 3]) -> f64| points.iter().map(f).collect::<Vec<_>>();
        let design = Design::weighted(&column(&|p| p[0].ln()), &column(&|p| p[2].powi(-2)));
        let exponent = design.line(&column(&|p| p[1].ln())).slope;
        let expected: f64 = row[6].parse().unwrap();
        assert!((exponent - expected).abs() < 5e-5, "{:?}: {exponent} and not {expected}", &row[..6]);
    }
}

#[test]
fn splines_on_the_public_points_come_close_to_the_published_exponents() {
    let [k0, k1, k2, k3, k4, k5] = KEY;
    let Some(published) = shared::columns("porian_published_fits.csv", [k0, k1, k2, k3, k4, k5, "a_exponent"]) else {
        return;
    };
    let points =
        shared::columns("porian_isoflop_points.csv", [k0, k1, k2, k3, k4, k5, "flops", "n", "tokens", "loss"]).unwrap();
    let published: Vec<_> = published.iter().filter(|row| row[0] == "rw").collect();
    assert!(!published.is_empty());
    for row in published {
        let runs: Vec<Observation> = points
            .iter()
            .filter(|point| point[..6] == row[..6])
            .map(|point| {
                let [flops, params, tokens, loss] = [6, 7, 8, 9].map(|k: usize| point[k].parse().unwrap());
                Observation { flops, flop_budget: Some(flops), ..Observation::of(params, tokens, loss) }
            })
            .collect();
        let fit = akima::fit(&runs, Counting::All, Noise::default(), &Bootstrap { resamples: 300, seed: 1 });
        let exponent = fit.n_opt.unwrap().exponent;
        let expected: f64 = row[6].parse().unwrap();
        println!("{:?}: {exponent:?}, published {expected}", &row[..6]);
        assert!((exponent.value - expected).abs() < 0.006, "{:?}: {exponent:?} and not {expected}", &row[..6]);
    }
}

#[test]
fn splines_recover_a_noiseless_surface_to_a_fraction_of_the_grid() {
    let budgets = [1e17, 1e18, 1e19, 1e20, 1e21];
    let fit = |runs: &[Observation]| {
        akima::fit(runs, Counting::All, Noise::default(), &Bootstrap { resamples: 100, seed: 1 })
    };
    let result = fit(&CHINCHILLA.grid(&budgets, 15, 8.0));
    assert_eq!(result.status, Status::Converged);
    assert!((result.n_opt.unwrap().exponent.value - CHINCHILLA.n_exponent()).abs() < 0.005, "{result:?}");
    let falling: Vec<_> = (1..=7).map(|i| CHINCHILLA.run(1e18, CHINCHILLA.n_opt(1e18) / 2_f64.powi(i))).collect();
    assert_eq!(fit(&falling).status, Status::EdgeMinimum);
    assert_eq!(fit(&falling[..3]).status, Status::TooFewPoints);
    assert_eq!(fit(&[]).status, Status::TooFewPoints);
}

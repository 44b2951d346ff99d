//! Figures (CSV and SVG) and the page, from observations and fits.

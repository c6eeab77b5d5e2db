package gauge

// Median returns the median of what each run gives.
func Median[R any](runs []R, what func(R) float64) float64 {
	all := make([]float64, 0, len(runs))
	for _, r := range runs {
		all = append(all, what(r))
	}
	return Quantile(all, 0.5)
}

// Ratio returns the median of the ratios that the runs of two contenders have, turn by turn,
// since they share the moment: 0 if there is none.
func Ratio[R any](runs, others []R, what func(R) float64) float64 {
	var all []float64
	for i := range min(len(runs), len(others)) {
		if other := what(others[i]); other > 0 {
			all = append(all, what(runs[i])/other)
		}
	}
	return Quantile(all, 0.5)
}

// share writes a ratio for people, and one that there is not as nothing.
func share(f float64) string { return unlessZero("%.2f", f) }

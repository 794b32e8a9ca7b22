package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
	"time"
)

// quantile of sorted values, the nearest one; zero if there are none.
func quantile[T cmp.Ordered](sorted []T, q float64) T {
	if len(sorted) == 0 {
		var zero T
		return zero
	}
	return sorted[int(math.Round(q*float64(len(sorted)-1)))]
}

// spread is a median, and between what it lies with 95 % certainty.
type spread struct {
	Low    float64 `json:"low"`
	Median float64 `json:"median"`
	High   float64 `json:"high"`
}

func spreadOf(values []float64) spread {
	sorted := slices.Sorted(slices.Values(values))
	// How many of n values are below their median is binomial: 0.98 √n from n/2, at
	// most. With fewer than six values it is all of them.
	off := 0.98 / math.Sqrt(float64(max(len(values), 1)))
	return spread{quantile(sorted, max(0, 0.5-off)), quantile(sorted, 0.5), quantile(sorted, min(1, 0.5+off))}
}

// String is two cells of a table.
func (s spread) String() string { return fmt.Sprintf("%.2f\t%.2f–%.2f", s.Median, s.Low, s.High) }

type row struct {
	Name          string  `json:"name"`
	Base          string  `json:"base"`
	CPU           float64 `json:"cpu_us"`
	Beside        float64 `json:"verifier_cpu_us,omitempty"`
	Ratio         spread  `json:"ratio"`
	Executed      float64 `json:"instructions,omitempty"`
	ExecutedRatio *spread `json:"instructions_ratio,omitempty"`
	PerSecond     float64 `json:"requests_per_second"`
	P50           float64 `json:"p50_us"`
	P99           float64 `json:"p99_us"`
	Bound         float64 `json:"bound,omitempty"`
	Verdict       string  `json:"verdict,omitempty"`
}

type report struct {
	Stock       string   `json:"stock"`
	Missing     []string `json:"missing,omitempty"`
	Uncounted   string   `json:"instructions_not_counted,omitempty"`
	Quick       bool     `json:"quick"`
	Rounds      int      `json:"rounds"`
	Slice       string   `json:"slice"`
	Connections int      `json:"connections"`
	Sessions    int      `json:"sessions"`
	Noise       float64  `json:"noise"`
	Noisy       bool     `json:"noisy"`
	Rows        []row    `json:"rows"`
}

// sample is one slice of one variant.
type sample struct {
	cpu, beside time.Duration // per request
	executed    float64       // instructions per request, 0: not counted
	perSecond   float64
	p50, p99    time.Duration
}

// summarize takes medians over the rounds. Ratios are to the base's slice of
// the same round, so that what slows the whole machine for a while cancels out.
func summarize(name, base string, bound float64, rounds []map[string]sample) row {
	middle := func(of func(sample) float64) float64 {
		var values []float64
		for _, round := range rounds {
			values = append(values, of(round[name]))
		}
		return spreadOf(values).Median
	}
	ratio := func(of func(sample) float64) spread {
		var ratios []float64
		for _, round := range rounds {
			if below := of(round[base]); below > 0 {
				ratios = append(ratios, of(round[name])/below)
			}
		}
		return spreadOf(ratios)
	}
	executed := func(s sample) float64 { return s.executed }
	r := row{
		Name: name, Base: base, Bound: bound, Ratio: ratio(func(s sample) float64 { return float64(s.cpu) }),
		CPU:       middle(func(s sample) float64 { return micros(s.cpu) }),
		Beside:    middle(func(s sample) float64 { return micros(s.beside) }),
		PerSecond: middle(func(s sample) float64 { return s.perSecond }),
		P50:       middle(func(s sample) float64 { return micros(s.p50) }),
		P99:       middle(func(s sample) float64 { return micros(s.p99) }),
	}
	if r.Executed = middle(executed); r.Executed > 0 {
		fewer := ratio(executed)
		r.ExecutedRatio = &fewer
	}
	return r
}

// tolerance is how far stock may be from itself before a run cannot be judged.
const tolerance = 0.03

// Verdicts on a bound.
const (
	held    = "held"
	broken  = "BROKEN"
	unclear = "unclear"
)

// judge takes the deviation of stock from itself as the noise of the run: the
// distance from 1 of what its median may be.
func (r *report) judge() {
	for _, row := range r.Rows {
		if row.Name == "stock again" {
			r.Noise = max(math.Abs(row.Ratio.Low-1), math.Abs(row.Ratio.High-1))
		}
	}
	r.Noisy = r.Noise > tolerance
	for i := range r.Rows {
		row := &r.Rows[i]
		switch {
		case row.Bound == 0 || r.Quick:
		case row.Ratio.Low > row.Bound+r.Noise:
			row.Verdict = broken
		case r.Noisy || row.Ratio.Median > row.Bound:
			row.Verdict = unclear
		default:
			row.Verdict = held
		}
	}
}

func (r *report) any(verdict string) bool {
	return slices.ContainsFunc(r.Rows, func(row row) bool { return row.Verdict == verdict })
}

func (r *report) print(w io.Writer) error {
	_, _ = fmt.Fprintf(w, "%d rounds of %s, %d connections, %d sessions, 200-byte answers; medians, spread: where the median is, with 95 %% certainty\n%s\n\n",
		r.Rounds, r.Slice, r.Connections, r.Sessions, r.Stock)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	counted := slices.ContainsFunc(r.Rows, func(row row) bool { return row.ExecutedRatio != nil })
	instructions := ""
	if counted {
		instructions = "instructions\tto stock\tspread\t"
	}
	_, _ = fmt.Fprintln(t, "variant\tCPU µs\tto stock\tspread\t"+instructions+"req/s\tp50 µs\tp99 µs\tof it verifier µs\tbound\t")
	for _, row := range r.Rows {
		beside, bound := "", ""
		if row.Beside > 0 {
			beside = fmt.Sprintf("%.1f", row.Beside)
		}
		if row.Bound > 0 {
			bound = fmt.Sprintf("≤ %.2f %s", row.Bound, row.Verdict)
		}
		switch {
		case row.ExecutedRatio != nil:
			instructions = fmt.Sprintf("%.0f\t%s\t", row.Executed, row.ExecutedRatio)
		case counted:
			instructions = "\t\t\t"
		}
		_, _ = fmt.Fprintf(t, "%s\t%.1f\t%s\t%s%.0f\t%.0f\t%.0f\t%s\t%s\t\n",
			row.Name, row.CPU, row.Ratio, instructions, row.PerSecond, row.P50, row.P99, beside, bound)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("printing table: %w", err)
	}
	_, _ = fmt.Fprintln(w, "\nCPU is that of all that a request takes in front of the app: proxies, their children, the verifier. Each row is compared with stock doing the same.")
	for _, text := range r.Missing {
		_, _ = fmt.Fprintln(w, "NOT MEASURED:", text)
	}
	if r.Uncounted != "" {
		_, _ = fmt.Fprintln(w, "NO INSTRUCTIONS COUNTED:", r.Uncounted)
	}
	switch {
	case r.Quick:
		_, _ = fmt.Fprintln(w, "A quick run: it shows that everything works, the figures mean nothing.")
	case r.Noisy:
		_, _ = fmt.Fprintf(w, "TOO NOISY TO JUDGE: stock is off from itself by %.0f %%, more than %.0f %%. Repeat it on a quiet machine, or with more rounds.\n", 100*r.Noise, 100*tolerance)
	default:
		_, _ = fmt.Fprintf(w, "Noise: stock is off from itself by %.1f %%, at most %.0f %% can be judged.\n", 100*r.Noise, 100*tolerance)
	}
	return nil
}

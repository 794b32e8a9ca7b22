package main

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestQuantileIsTheNearestValue(t *testing.T) {
	for name, test := range map[string]struct {
		values []float64
		q      float64
		want   float64
	}{
		"none":           {nil, 0.5, 0},
		"one":            {[]float64{3}, 0.99, 3},
		"median of odd":  {[]float64{1, 2, 9}, 0.5, 2},
		"lower quartile": {[]float64{1, 2, 3, 4, 5}, 0.25, 2},
		"highest":        {[]float64{1, 2, 3, 4, 5}, 1, 5},
	} {
		if got := quantile(test.values, test.q); got != test.want {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}

// A machine that is twice as slow in one round changes no ratio.
func TestRatiosAreOfTheSameRound(t *testing.T) {
	round := func(unit time.Duration) map[string]sample {
		return map[string]sample{"stock": {cpu: 10 * unit}, "gateway": {cpu: 11 * unit}}
	}
	got := summarize("gateway", "stock", 1.03, []map[string]sample{round(1000), round(2000), round(5000)})
	if want := (spread{1.1, 1.1, 1.1}); got.Ratio != want {
		t.Errorf("got %v, want %v", got.Ratio, want)
	}
	if math.Abs(got.CPU-22) > 1e-9 { // µs: the median of 11, 22 and 55
		t.Errorf("CPU: got %v", got.CPU)
	}
}

func TestVerdictsAllowForTheNoise(t *testing.T) {
	for name, test := range map[string]struct {
		again, gateway spread
		quick          bool
		want           string
		noisy          bool
	}{
		"below":            {spread{0.99, 1, 1.01}, spread{0.99, 1, 1.01}, false, held, false},
		"above in doubt":   {spread{0.98, 1, 1.02}, spread{1.02, 1.04, 1.06}, false, unclear, false},
		"above for sure":   {spread{0.99, 1, 1.01}, spread{1.05, 1.06, 1.07}, false, broken, false},
		"below but noisy":  {spread{0.90, 1, 1.01}, spread{0.9, 1, 1.01}, false, unclear, true},
		"far above, noisy": {spread{0.90, 1, 1.01}, spread{1.5, 1.6, 1.7}, false, broken, true},
		"quick":            {spread{1, 1, 1}, spread{2, 2, 2}, true, "", false},
	} {
		r := report{Quick: test.quick, Rows: []row{
			{Name: "stock again", Ratio: test.again},
			{Name: "gateway", Ratio: test.gateway, Bound: 1.03},
		}}
		r.judge()
		if got := r.Rows[1].Verdict; got != test.want || r.Noisy != test.noisy || r.any(broken) != (test.want == broken) {
			t.Errorf("%s: got %q, noisy %v; want %q, %v", name, got, r.Noisy, test.want, test.noisy)
		}
	}
}

func TestTableSaysWhatIsMissingAndNoisy(t *testing.T) {
	r := report{Missing: []string{"nginx is not installed"}, Noisy: true, Noise: 0.2, Rows: []row{
		{Name: "gateway", CPU: 12.34, Beside: 5.6, Bound: 1.03, Verdict: unclear, Ratio: spread{0.9, 1, 1.1}},
	}}
	var out strings.Builder
	if err := r.print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"NOT MEASURED: nginx is not installed", "TOO NOISY TO JUDGE", "0.90–1.10", "≤ 1.03 unclear", "12.3", "5.6"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, &out)
		}
	}
}

func TestChartIsWellFormedAndShowsEveryPoint(t *testing.T) {
	g := growth{
		Sessions: []scalePoint{{Sessions: 1000, Ratio: spread{1, 1, 1}, HeapBytes: 700}, {Sessions: 1_000_000, Ratio: spread{1, 1.07, 1.2}, HeapBytes: 421}},
		Apps:     []appsPoint{{Apps: 1, StartCPU: 61, Heap: 9 << 20}, {Apps: 5000, StartCPU: 777, Heap: 99 << 20}},
		Streams: []streamPoint{
			{0, proxyUse{0, 50 << 20}, proxyUse{0.7, 51 << 20}},
			{9800, proxyUse{0.3, 950 << 20}, proxyUse{2.9, 960 << 20}},
		},
	}
	svg := g.draw()
	wellFormed(t, svg)
	for _, want := range []string{
		">1.07<", ">421<", ">700<", "prefers-color-scheme: dark", "live sessions", "at most 1.10", "at most 600",
		">61<", ">777<", ">5,000<", ">apps<", ">9,800<", ">2.9<", ">0.3<", ">960<", ">950<", "stock Caddy",
	} {
		if !strings.Contains(svg, want) {
			t.Errorf("no %q in the chart", want)
		}
	}
	if got := strings.Count(svg, "<circle"); got != 16 {
		t.Errorf("%d points, want 16", got)
	}
	if strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
		t.Error("the chart has coordinates that are no numbers")
	}
}

func TestHeapIsReadFromTheProfile(t *testing.T) {
	got, err := parseHeap("heap profile: 1: 2\n\n# runtime.MemStats\n# Alloc = 7\n# HeapAlloc = 123456\n# HeapSys = 9\n")
	if err != nil || got != 123456 {
		t.Errorf("got %d, %v", got, err)
	}
	if _, err := parseHeap("heap profile: 1: 2\n"); err == nil {
		t.Error("a profile without the field is no error")
	}
}

// Instructions get columns of their own, and only where they were counted.
func TestInstructionsAreASecondMeasure(t *testing.T) {
	rounds := []map[string]sample{{
		"stock": {cpu: 1000, executed: 200_000}, "gateway": {cpu: 1300, executed: 210_000}, "other": {cpu: 1000},
	}}
	var out strings.Builder
	r := report{Rows: []row{
		summarize("stock", "stock", 0, rounds), summarize("gateway", "stock", 0, rounds), summarize("other", "stock", 0, rounds),
	}}
	if err := r.print(&out); err != nil {
		t.Fatal(err)
	}
	var lines [][]string
	for line := range strings.Lines(out.String()) {
		lines = append(lines, strings.Fields(line))
	}
	if got := strings.Join(lines[5], " "); !strings.HasPrefix(got, "gateway 1.3 1.30 1.30–1.30 210000 1.05 1.05–1.05 ") {
		t.Errorf("the row is %q", got)
	}
	if got := strings.Join(lines[6], " "); got != "other 1.0 1.00 1.00–1.00 0 0 0" {
		t.Errorf("the row of what was not counted is %q", got)
	}
}

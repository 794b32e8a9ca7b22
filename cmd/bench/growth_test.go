package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The picture in docs is drawn from the figures beside it, and from nothing else.
func TestTheChartIsThatOfItsFigures(t *testing.T) {
	docs := filepath.Join("..", "..", "docs")
	committed, err := os.ReadFile(filepath.Join(docs, "scale.svg"))
	if err != nil {
		t.Fatal(err)
	}
	figures, err := os.ReadFile(filepath.Join(docs, "scale.json"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "scale.json")
	if err := os.WriteFile(file, figures, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := redraw(file); err != nil {
		t.Fatal(err)
	}
	drawn, err := os.ReadFile(strings.TrimSuffix(file, ".json") + ".svg")
	if err != nil {
		t.Fatal(err)
	}
	if string(drawn) != string(committed) {
		t.Error("docs/scale.svg is not what `go run ./cmd/bench -draw docs/scale.json` draws")
	}
	wellFormed(t, string(drawn))
	if strings.Contains(string(drawn), "NaN") || strings.Contains(string(drawn), "Inf") {
		t.Error("the chart has points that are nowhere")
	}
	// What the tables of the page say is there, to 10⁶ sessions, 5,000 apps and most sockets of a process.
	g, err := readGrowth(file)
	if err != nil {
		t.Fatal(err)
	}
	if last := g.Sessions[len(g.Sessions)-1].Sessions; last != 1_000_000 {
		t.Errorf("figures go to %d sessions", last)
	}
	if last := g.Apps[len(g.Apps)-1].Apps; last != 5000 {
		t.Errorf("figures go to %d apps", last)
	}
	if first, last := g.Streams[0].Streams, g.Streams[len(g.Streams)-1].Streams; first != 0 || last < 9000 {
		t.Errorf("figures go from %d to %d WebSockets", first, last)
	}
}

func TestFiguresThatCannotBeDrawnAreRefused(t *testing.T) {
	const good = `{"sessions":[{"sessions":1},{"sessions":10}],"apps":[{"apps":1},{"apps":10}],"web_sockets":[{"open":0},{"open":5}]}`
	for name, test := range map[string]struct{ old, with, want string }{
		"good":            {"", "", ""},
		"no JSON":         {`{"sessions"`, "sessions", "reading figures"},
		"of another kind": {`"apps":1`, `"app":1`, "unknown field"},
		"one point":       {`{"apps":1},`, "", "less than two points"},
		"out of order":    {`{"open":0}`, `{"open":7}`, "not in order"},
		"no logarithm":    {`{"sessions":1}`, `{"sessions":0}`, "not in order"},
		"one place":       {`{"open":0}`, `{"open":5}`, "not in order"},
	} {
		file := filepath.Join(t.TempDir(), "figures.json")
		if err := os.WriteFile(file, []byte(strings.Replace(good, test.old, test.with, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		switch err := redraw(file); {
		case test.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
	if err := redraw(filepath.Join(t.TempDir(), "none.json")); err == nil {
		t.Error("no file is drawn")
	}
}

func TestNumbersAreGroupedByThousands(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1_000_000: "1,000,000"} {
		if got := grouped(n); got != want {
			t.Errorf("%d: %q", n, got)
		}
	}
}

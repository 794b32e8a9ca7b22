package main

import (
	"math"
	"os"
	"strings"
	"testing"
)

func TestScaleDocHasTheModelsTable(t *testing.T) {
	text, err := os.ReadFile("../../docs/scale.md")
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	printModel(&table)
	if !strings.Contains(string(text), table.String()) {
		t.Errorf("docs/scale.md does not have this table:\n%s", table.String())
	}
}

func TestHolders(t *testing.T) {
	for _, test := range []struct{ nodes, requests, want float64 }{{1, 20, 1}, {8, 1, 1}, {8, 1000, 8}, {2, 2, 1.5}} {
		if got := holders(test.nodes, test.requests); math.Abs(got-test.want) > 1e-6 {
			t.Errorf("%v requests to %v nodes: %v hold the record, want %v", test.requests, test.nodes, got, test.want)
		}
	}
}

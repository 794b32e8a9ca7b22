package main

import (
	"os"
	"testing"
	"time"
)

func TestStatIsReadBehindTheName(t *testing.T) {
	const stat = "42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 50 13 14 15 16 17 18"
	got, err := parseStat(stat)
	if err != nil || got != 2*time.Second {
		t.Errorf("got %v, %v; want 2s", got, err)
	}
	for _, bad := range []string{"", "42 (a) S 1", "42 (a) S 1 2 3 4 5 6 7 8 9 10 x 50 1"} {
		if _, err := parseStat(bad); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}

func TestSchedstatIsNanoseconds(t *testing.T) {
	if got, err := parseSchedstat("1234567 89 10\n"); err != nil || got != 1234567 {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := parseSchedstat("1 2"); err == nil {
		t.Error("two numbers are read")
	}
}

func TestResidentMemoryIsInBytes(t *testing.T) {
	if got, err := parseStatus("Name:\tx\nVmRSS:\t    12 kB\nThreads:\t1\n", "VmRSS:"); err != nil || got != 12<<10 {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := parseStatus("Name:\tx\n", "VmRSS:"); err == nil {
		t.Error("a status without VmRSS is read")
	}
}

func TestThisProcessCanBeMeasured(t *testing.T) {
	before, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for i := range 200_000_000 { // more than a tick
		sum ^= i * sum
	}
	after, err := cpuTime(os.Getpid())
	if err != nil || after <= before {
		t.Errorf("%v after %v (%d), %v", after, before, sum, err)
	}
	if rss, err := residentBytes(os.Getpid()); err != nil || rss < 1<<20 {
		t.Errorf("resident: %d, %v", rss, err)
	}
}

package main

import (
	"os"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestResidentMemoryIsInBytes(t *testing.T) {
	if got, err := parseStatus("Name:\tx\nVmRSS:\t    12 kB\nThreads:\t1\n", "VmRSS:"); err != nil || got != 12<<10 {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := parseStatus("Name:\tx\n", "VmRSS:"); err == nil {
		t.Error("a status without VmRSS is read")
	}
}

// The kernel's own account of this process agrees, on both sides of the reading.
func TestCPUTimeIsThatOfAllThreads(t *testing.T) {
	account := func() time.Duration {
		var used syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
			t.Fatal(err)
		}
		return time.Duration(used.Utime.Nano() + used.Stime.Nano())
	}
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			sum := 0
			for i := range 20_000_000 {
				sum ^= i * sum
			}
		})
	}
	group.Wait()
	before := account()
	got, err := cpuTime(os.Getpid())
	if after := account() + time.Microsecond; err != nil || got < before-time.Microsecond || got > after {
		t.Errorf("got %v, %v; want %v to %v", got, err, before, after)
	}
	if rss, err := residentBytes(os.Getpid()); err != nil || rss < 1<<20 {
		t.Errorf("resident: %d, %v", rss, err)
	}
}

package caddymodule

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func percentNow() int {
	percent := debug.SetGCPercent(100)
	debug.SetGCPercent(percent)
	return percent
}

func TestGarbageIsBounded(t *testing.T) {
	for live, want := range map[uint64]int{0: 400, 10 << 20: 400, 64 << 20: 400, 128 << 20: 200, 256 << 20: 100, 4 << 30: 100} {
		if got := gcPercent(live); got != want {
			t.Errorf("%d MiB alive: %d %%, want %d", live>>20, got, want)
		}
	}
}

func TestEnvironmentDecidesAboutTheCollector(t *testing.T) {
	before := percentNow()
	t.Setenv("GOGC", "75")
	c := tuneCollector()
	if c != nil || percentNow() != before {
		t.Errorf("GOGC is not respected: %d", percentNow())
	}
	c.stop()
	t.Setenv("GOGC", "")
	c = tuneCollector()
	if got := percentNow(); got != maxGCPercent {
		t.Errorf("%d %%, want %d", got, maxGCPercent)
	}
	runtime.GC()
	c.stop()
	runtime.GC()
	if got := percentNow(); got != before {
		t.Errorf("%d %% after the end, want %d", got, before)
	}
}

// What is alive decides, as soon as the collector has seen it.
func TestCollectorFollowsTheHeap(t *testing.T) {
	t.Setenv("GOGC", "")
	c := tuneCollector()
	defer c.stop()
	alive := make([]byte, 2*maxGarbage)
	for i := range 1000 {
		runtime.GC()
		if percentNow() == minGCPercent {
			break
		}
		if i == 999 {
			t.Errorf("%d %% with half a gigabyte alive", percentNow())
		}
	}
	runtime.KeepAlive(alive)
}

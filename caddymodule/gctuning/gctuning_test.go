package gctuning

import (
	"math"
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
	for live, want := range map[uint64]int{0: 1600, 8 << 20: 1600, 32 << 20: 400, 64 << 20: 200, 128 << 20: 100, 4 << 30: 100} {
		if got := gcPercent(maxGarbage, live); got != want {
			t.Errorf("%d MiB alive: %d %%, want %d", live>>20, got, want)
		}
	}
	for _, tc := range []struct {
		memory uint64
		limit  int64
		want   uint64
	}{
		{0, math.MaxInt64, maxGarbage},
		{8 << 30, math.MaxInt64, maxGarbage},
		{512 << 20, math.MaxInt64, 32 << 20},
		{8 << 30, 64 << 20, 16 << 20},
		{8 << 30, 0, 0},
	} {
		if got := garbageFor(tc.memory, tc.limit); got != tc.want {
			t.Errorf("%d MiB with a limit of %d: %d MiB of garbage, want %d", tc.memory>>20, tc.limit, got>>20, tc.want>>20)
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
	runtime.GC() // what other tests have left
	c = tuneCollector()
	// Other tests leave more or less alive; twice of that would allow this much.
	if got, least := percentNow(), gcPercent(c.garbage, 2*liveHeap()); got < least {
		t.Errorf("%d %% of garbage, want at least %d %%", got, least)
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
	alive := make([]byte, 4*maxGarbage)
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

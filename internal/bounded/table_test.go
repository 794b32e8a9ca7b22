package bounded

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

func count(n int) func() int { return func() int { return n } }

func TestTableForgetsTheOldestWhenFull(t *testing.T) {
	table := New[int](3, time.Hour)
	for n := range 5 {
		if got, added := table.GetOrAdd(strconv.Itoa(n), count(n)); got != n || !added {
			t.Errorf("adding %d: %d, %v", n, got, added)
		}
	}
	for n := range 5 {
		if got, ok := table.Get(strconv.Itoa(n)); ok != (n >= 2) || ok && got != n {
			t.Errorf("%d: %d, %v", n, got, ok)
		}
	}
	if table.Len() != 3 {
		t.Errorf("%d entries", table.Len())
	}
}

func TestTableKeepsWhatIsThere(t *testing.T) {
	table := New[int](3, time.Hour)
	table.GetOrAdd("a", count(1))
	if got, added := table.GetOrAdd("a", count(2)); got != 1 || added {
		t.Errorf("got %d, %v", got, added)
	}
}

func TestTableForgetsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := New[int](3, time.Minute)
		table.GetOrAdd("a", count(1))
		time.Sleep(time.Minute + time.Second)
		if _, ok := table.Get("a"); ok {
			t.Error("kept too long")
		}
		if got, added := table.GetOrAdd("a", count(2)); got != 2 || !added {
			t.Errorf("got %d, %v", got, added)
		}
	})
}

// A key that was deleted and came back has two places in the order; the older
// one must not take the younger entry with it.
func TestTableKeepsKeysThatCameBack(t *testing.T) {
	table := New[int](3, time.Hour)
	table.GetOrAdd("a", count(1))
	table.GetOrAdd("b", count(1))
	table.Delete("a")
	table.GetOrAdd("a", count(2))
	table.GetOrAdd("c", count(1)) // takes the place that "a" had first
	if got, ok := table.Get("a"); !ok || got != 2 {
		t.Errorf("got %d, %v", got, ok)
	}
}

func TestExtendedEntryLivesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := New[int](2, time.Minute)
		table.Extend("a", time.Hour) // not there
		table.GetOrAdd("a", count(1))
		table.Extend("a", time.Hour)
		time.Sleep(time.Hour - time.Second)
		if got, ok := table.Get("a"); got != 1 || !ok {
			t.Errorf("before the end: %d, %v", got, ok)
		}
		time.Sleep(2 * time.Second)
		if _, ok := table.Get("a"); ok {
			t.Error("it is there after its end")
		}
		for n := range 3 { // its slot is counted like any other
			table.GetOrAdd(strconv.Itoa(n), count(n))
		}
		if table.Len() != 2 {
			t.Errorf("%d entries", table.Len())
		}
	})
}

// A table goes by the time that has passed: that a clock is set, forward past the end of
// an entry or back, changes nothing, because nothing here looks at it.
func TestEntriesEndByTheTimeThatHasPassed(t *testing.T) {
	table := New[int](2, time.Minute)
	var passed time.Duration
	table.elapsed = func() time.Duration { return passed }
	has := func(want bool) {
		t.Helper()
		if _, ok := table.Get("code"); ok != want {
			t.Errorf("after %s the entry is there: %v, want %v", passed, ok, want)
		}
	}
	table.GetOrAdd("code", func() int { return 1 })
	passed = time.Minute - 1
	has(true)
	table.Extend("code", time.Hour)
	passed += time.Hour - 1
	has(true)
	passed++
	has(false)
	if _, added := table.GetOrAdd("code", func() int { return 2 }); !added {
		t.Error("what has ended is not replaced")
	}
	has(true)
	for _, item := range table.cache.Items() {
		if item.Expiration != 0 {
			t.Error("go-cache ends the entry by the clock on the wall")
		}
	}
}

// F6: claims that are given back, one at a time and in turns, pushed all others out.
func TestWhatIsDeletedAgainMakesNothingGiveWay(t *testing.T) {
	table := New[int](8, time.Hour)
	add := func(key string) { table.GetOrAdd(key, func() int { return 1 }) }
	for _, key := range []string{"a", "b", "c", "d"} {
		add(key)
	}
	for range 100 {
		add("x")
		add("y")
		table.Delete("x")
		add("z")
		table.Delete("z")
		table.Delete("y")
	}
	for _, key := range []string{"e", "f", "g", "h"} {
		add(key)
	}
	for _, key := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		if _, ok := table.Get(key); !ok {
			t.Errorf("%s gave way", key)
		}
	}
	if since := table.CompleteSince(); !since.IsZero() || table.Len() != 8 {
		t.Errorf("complete since %v, %d entries", since, table.Len())
	}
	for range 100 { // in a full table the oldest gives way once
		add("x")
		table.Delete("x")
	}
	if _, ok := table.Get("a"); ok || table.Len() != 7 {
		t.Errorf("%d entries are left of a full table", table.Len())
	}
}

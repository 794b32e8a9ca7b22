package main

import (
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCountsAreScaledToTheWholeTime(t *testing.T) {
	data := func(numbers ...uint64) (data []byte) {
		for _, n := range numbers {
			data = binary.NativeEndian.AppendUint64(data, n)
		}
		return data
	}
	for name, test := range map[string]struct {
		data []byte
		want float64
	}{
		"all of the time":  {data(1_000_000, 500, 500), 1_000_000},
		"half of the time": {data(1_000_000, 500, 250), 2_000_000},
		"never on a CPU":   {data(0, 0, 0), 0},
	} {
		if got, err := parseCount(test.data); err != nil || got != test.want {
			t.Errorf("%s: got %v, %v; want %v", name, got, err, test.want)
		}
	}
	for name, bad := range map[string][]byte{
		"too short": data(1, 1), "too long": data(1, 1, 1, 1), "counted in no time": data(1, 1, 0), "longer than it could": data(1, 1, 2),
	} {
		if got, err := parseCount(bad); err == nil {
			t.Errorf("%s: read as %v", name, got)
		}
	}
}

// Few test machines have hardware counters; the kernel's own clock is counted in the same way.
func TestAProcessIsCounted(t *testing.T) {
	c, err := count(os.Getpid(), event{unix.PERF_TYPE_SOFTWARE, unix.PERF_COUNT_SW_TASK_CLOCK})
	if err != nil {
		t.Skipf("the kernel does not count: %v", err)
	}
	defer c.close()
	before, err := c.read()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for i := range 20_000_000 {
		sum ^= i * sum
	}
	after, err := c.read()
	if err != nil || after <= before {
		t.Errorf("%v after %v (%d), %v", after, before, sum, err)
	}
}

func TestWithoutCountersTheReportSaysSo(t *testing.T) {
	var out strings.Builder
	r := report{Uncounted: errNoCounters.Error(), Rows: []row{{Name: "stock", Ratio: spread{1, 1, 1}}}}
	if err := r.print(&out); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "NO INSTRUCTIONS COUNTED: no hardware counters here") ||
		strings.Contains(out.String(), "instructions") {
		t.Errorf("the report is:\n%s", out.String())
	}
	c, err := count(os.Getpid(), event{unix.PERF_TYPE_HARDWARE, 1 << 30}) // there is no such counter
	if err == nil {
		c.close()
		t.Error("an event that no processor knows is counted")
	} else if errors.Is(err, unix.EINVAL) {
		t.Log(err) // hardware counters exist, and this one does not
	}
}

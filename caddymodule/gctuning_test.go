package caddymodule_test

import (
	"runtime/debug"
	"runtime/metrics"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

func gcPercent() uint64 {
	sample := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// The collector is the whole process's: it is tuned while a gateway runs, and not by
// looking at a configuration.
func TestCollectorIsTunedWhileAGatewayRuns(t *testing.T) {
	t.Setenv("GOGC", "")
	given := debug.SetGCPercent(50) // less than the tuner ever sets
	t.Cleanup(func() { debug.SetGCPercent(given) })
	before := gcPercent()
	if err := validate(t, siteText("app "+testApp+" "+testSecret, "")); err != nil {
		t.Fatal(err)
	}
	if now := gcPercent(); now != before {
		t.Errorf("validating changes %d to %d", before, now)
	}
	g := newGateway(t)
	tuned := gcPercent()
	if tuned <= before {
		t.Errorf("running: %d, was %d", tuned, before)
	}
	if err := load(g.caddyfile()); err != nil {
		t.Fatal(err)
	}
	if now := gcPercent(); now <= before {
		t.Errorf("after a change of configuration: %d, was %d", now, before)
	}
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	if now := gcPercent(); now != before {
		t.Errorf("after the stop: %d, was %d", now, before)
	}
}

package wechatapp

import (
	"github.com/caddyserver/caddy/v2"
)

// Rooms that the app does not know register in their init what it must do for them.
var (
	afterProvision, beforeStart []func(caddy.Context) error
	whileRunning                []func() (end func())
)

// OnProvision registers what ends the provisioning of the app, under `caddy validate`,
// too. An error is one of the configuration.
func OnProvision(check func(caddy.Context) error) { afterProvision = append(afterProvision, check) }

// OnStart registers what is done once before the first request of a configuration. An
// error keeps it from starting.
func OnStart(prepare func(caddy.Context) error) { beforeStart = append(beforeStart, prepare) }

// WhileRunning registers what begins when the first app of the process starts, and ends
// when the last one stops: a change of configuration does neither.
func WhileRunning(start func() (end func())) { whileRunning = append(whileRunning, start) }

func runHooks(hooks []func(caddy.Context) error, ctx caddy.Context) error {
	for _, hook := range hooks {
		if err := hook(ctx); err != nil {
			return err
		}
	}
	return nil
}

const runningKey = "running"

// running are the ends of what goes on while an app runs.
type running []func()

func (r running) Destruct() error {
	for _, end := range r {
		end()
	}
	return nil
}

// startWhileRunning counts one more app that runs.
func startWhileRunning() (end func(), err error) {
	_, _, err = pool.LoadOrNew(runningKey, func() (caddy.Destructor, error) {
		var ends running
		for _, start := range whileRunning {
			ends = append(ends, start())
		}
		return ends, nil
	})
	return func() { _, _ = pool.Delete(runningKey) }, err
}

package caddymodule

import (
	"errors"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"
)

// gracePasses returns the function that counts requests which passed on their
// signature alone, because the store could not tell.
func gracePasses(ctx caddy.Context) func(appID string) {
	counter := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy", Subsystem: "wechat_auth", Name: "grace_passes_total",
		Help: "Requests that passed on a token's signature alone while the session store could not tell.",
	}, []string{"app"})
	err := ctx.GetMetricsRegistry().Register(counter)
	if known, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		counter = known.ExistingCollector.(*prometheus.CounterVec)
	}
	return func(appID string) { counter.WithLabelValues(appID).Inc() }
}

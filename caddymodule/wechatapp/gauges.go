package wechatapp

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-wechat/gateway/internal/gateway"
)

// gauges are computed when Prometheus scrapes.
type gauges struct {
	app                               *App
	account, sessions, users, breaker *prometheus.Desc
	store, key                        *prometheus.Desc
	accessToken, storage              *prometheus.Desc
}

// gaugeTime bounds a look, which may ask the session store.
const gaugeTime = 2 * time.Second

func newGauges(a *App) *gauges {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(metricsNamespace, metricsSubsystem, name), help, labels, nil)
	}
	return &gauges{
		app:         a,
		account:     desc("account_info", "1 for the kind of each account.", "app", "kind"),
		sessions:    desc("sessions", "Live sessions; with a shared store those of all nodes.", "app"),
		users:       desc("users", "Users with a live session; with a shared store those of all nodes.", "app"),
		breaker:     desc("breaker_state", "1 for the state that the breaker of the app is in: closed, half-open or open.", "app", "state"),
		store:       desc("store_up", "1 if the session store can be read and written."),
		storage:     desc("storage_up", "1 if Caddy's storage can be written to, where sessions and keys are kept. Absent if neither is."),
		accessToken: desc("access_token_age_seconds", "Age of the app's access_token. Absent until wechat_api needs one.", "app"),
		key:         desc("signing_key_age_seconds", "Age of the key that signs tokens. Absent with signing_key."),
	}
}

// Describe implements [prometheus.Collector].
func (g *gauges) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.account, g.sessions, g.users, g.breaker, g.store, g.key, g.accessToken, g.storage} {
		descs <- d
	}
}

// breakerStates are the states of [gateway.Gateway.Breaker].
var breakerStates = []string{gateway.BreakerClosed, gateway.BreakerHalfOpen, gateway.BreakerOpen}

// Collect implements [prometheus.Collector].
func (g *gauges) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), gaugeTime)
	defer cancel()
	send := func(desc *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	// First, because counting the sessions of thousands of apps may take all the time.
	storeUp := g.app.health.check(ctx).Store == nil
	kinds := g.app.record.kinds
	single, few := map[bool]float64{true: 1}, len(g.app.order) <= manyApps
	for _, appID := range g.app.order {
		if count, err := g.app.Store().Sessions().Count(ctx, appID); err == nil && (few || count.Sessions > 0) {
			send(g.sessions, float64(count.Sessions), appID)
			send(g.users, float64(count.Users), appID)
			send(g.account, 1, appID, kinds[appID])
		}
		now := g.app.gateway.Breaker(appID).State
		if fetched, ok := g.app.state.tokens.Fetched(appID); ok {
			send(g.accessToken, time.Since(fetched).Seconds(), appID)
		}
		for _, state := range breakerStates {
			if few || state == now && state != gateway.BreakerClosed {
				send(g.breaker, single[state == now], appID, state)
			}
		}
	}
	send(g.store, single[storeUp])
	if g.app.storage != nil {
		send(g.storage, single[g.app.storage.state() == nil])
	}
	if key := g.app.keys.Keys()[0]; !key.Made.IsZero() {
		send(g.key, time.Since(key.Made).Seconds())
	}
}

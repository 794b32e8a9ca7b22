package wechatapp

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-wechat/gateway/internal/credential"
	"github.com/caddy-wechat/gateway/internal/gateway"
	"github.com/caddy-wechat/gateway/internal/key"
	"github.com/caddy-wechat/gateway/internal/keyring"
	"github.com/caddy-wechat/gateway/internal/session"
)

// busyStore takes a while for each count, and is well.
type busyStore struct {
	Store
	session.Backend
}

func (s busyStore) Sessions() session.Backend { return s }

func (s busyStore) Check(context.Context) error { return nil }

func (s busyStore) Count(ctx context.Context, _ string) (session.Count, error) {
	select {
	case <-time.After(2 * time.Millisecond):
		return session.Count{Sessions: 1, Users: 1}, nil
	case <-ctx.Done():
		return session.Count{}, ctx.Err()
	}
}

// A scrape that cannot count the sessions of thousands of apps in its time must not say
// that the store is down, on which somebody is woken up.
func TestAStoreThatCountsSlowlyIsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := gateway.NewState()
		defer state.Close()
		a := new(App)
		a.store = busyStore{}
		a.health = &health{askStore: a.store.Sessions().Check}
		a.record = new(Record)
		a.state = &pooledState{State: state, tokens: credential.NewTokens()}
		signing, err := key.Parse("q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQIzRWeKvN7xA=")
		if err != nil {
			t.Fatal(err)
		}
		keys, err := key.NewSet(signing)
		if err != nil {
			t.Fatal(err)
		}
		if a.keys, err = keyring.Fixed(keys); err != nil {
			t.Fatal(err)
		}
		a.gateway = gateway.New(gateway.Config{State: state})
		for i := range 2000 {
			a.order = append(a.order, fmt.Sprintf("wx%016x", i))
		}
		registry := prometheus.NewRegistry()
		registry.MustRegister(newGauges(a))
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			if family.GetName() == "caddy_wechat_auth_store_up" && family.GetMetric()[0].GetGauge().GetValue() != 1 {
				t.Error("the store is said to be down")
			}
		}
	})
}

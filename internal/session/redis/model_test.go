package redis

import (
	"fmt"
	"testing"

	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/session/redis/redistest"
	"github.com/caddy-wechat/gateway/internal/session/sessiontest"
)

// F1: random operations beside a plain map, on a node that stays and on nodes that
// come and go: what a new one finds is what the others have left.
func TestF1Model(t *testing.T) {
	server := redistest.Start(t)
	operations := 2000
	if testing.Short() {
		operations /= 10
	}
	for seed := range uint64(2) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			server.Do("FLUSHALL")
			sessiontest.Model{
				Operations: operations / 2, Seed: seed,
				Reopen: func(before session.Backend) session.Backend {
					before.(*Store).Close()
					return connect(t, options(server.Addr))
				},
			}.Run(t, connect(t, options(server.Addr)))
			wantExpiry(t, server)
		})
	}
}

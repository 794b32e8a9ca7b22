package wechatapp

import (
	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-wechat/gateway/internal/credential"
	"github.com/caddy-wechat/gateway/internal/gateway"
	"github.com/caddy-wechat/gateway/internal/keyring"
	"github.com/caddy-wechat/gateway/internal/relay"
)

// pool holds what survives a change of configuration. Nothing in it points to a
// logger, a context or a setting of the configuration that made it.
var pool = caddy.NewUsagePool()

const stateKey = "state"

type pooledState struct {
	*gateway.State
	tokens  *credential.Tokens
	buffers *relay.Buffers
	drops   keyring.Pending
}

func (s *pooledState) Destruct() error {
	s.Close()
	return nil
}

func acquireState() (*pooledState, error) {
	value, _, err := pool.LoadOrNew(stateKey, func() (caddy.Destructor, error) {
		return &pooledState{State: gateway.NewState(), tokens: credential.NewTokens(), buffers: relay.NewBuffers()}, nil
	})
	if err != nil {
		return nil, err
	}
	return value.(*pooledState), nil
}

func releaseState() error {
	_, err := pool.Delete(stateKey)
	return err
}

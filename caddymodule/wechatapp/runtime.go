package wechatapp

import (
	"context"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-wechat/gateway/internal/credential"
	"github.com/caddy-wechat/gateway/internal/gateway"
	"github.com/caddy-wechat/gateway/internal/keyring"
	"github.com/caddy-wechat/gateway/internal/loginhook"
	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/provider/wechat"
)

// runtime is what an app has besides its settings. Provision builds it, from top to
// bottom; it is as far as that came.
type runtime struct {
	ctx       caddy.Context
	logger    *zap.Logger
	accounts  map[string]provider.Account
	order     []string
	client    *wechat.Client
	providers providers
	store     Store
	keys      *keyring.Ring
	gateway   *gateway.Gateway
	state     *pooledState // set while Cleanup has the pooled state to release

	hook       *loginhook.Hook // nil without on_login
	assertions *assertionKeys
	owners     map[string]*credential.Owner

	record        *Record
	health        *health
	storage       *storageWatch // nil if the storage is not needed
	ensureStarted func()        // startStore, once
	// keysError is why the keys of storage could not be taken into use.
	keysError error
	stop      context.CancelFunc
	dropped   []string

	browserSites *browserSites
	prepared     func() error // what [OnStart] has registered, once
}

// browserSites is what the sites of a configuration have told about their browsers.
type browserSites struct {
	mu       sync.Mutex
	lifetime time.Duration // the longest
}

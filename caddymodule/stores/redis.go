package stores

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddy-wechat/gateway/caddymodule/internal/option"
	"github.com/caddy-wechat/gateway/caddymodule/wechatapp"
	"github.com/caddy-wechat/gateway/internal/key"
	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/session/redis"
)

func init() {
	caddy.RegisterModule(RedisStore{})
}

// RedisStore keeps sessions in Redis or Valkey, version 6 or newer, where many
// gateways share them. A check of a session costs no round trip; a logout
// reaches all nodes within a second. Values are encrypted (AES-256-GCM) and key
// names are hashes.
//
// Nodes that share a store need the same signing keys, too: shared Caddy
// storage, or `signing_key`.
type RedisStore struct {
	// `host:port` of one server, or of several nodes of a cluster, or with
	// `sentinel` of the sentinels.
	Addresses []string `json:"addresses,omitempty"`

	// The ACL user. Default: the default user
	Username string `json:"username,omitempty"`

	// The password, as a placeholder such as `{env.REDIS_PASSWORD}`.
	Password string `json:"password,omitempty"`

	// The number of the database. Clusters have only 0.
	// Default: 0
	DB int `json:"db,omitempty"`

	// Connect with TLS. Default: plain connections
	TLS *RedisTLS `json:"tls,omitempty"`

	// The name of the master that the sentinels at `addresses` watch.
	Sentinel string `json:"sentinel,omitempty"`

	// What every key begins with. Gateways with one prefix share their sessions.
	// Default: `caddy-wechat:`
	KeyPrefix string `json:"key_prefix,omitempty"`

	// How long a call may take, `1ms` to `1m`.
	// Default: `2s`
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// The key that values are encrypted with: base64 of 32 or more random bytes,
	// as a placeholder. All nodes need the same.
	// Default: a key from Caddy's storage, or derived from the last `signing_key`
	Secret string `json:"secret,omitempty"`

	// How copies of sessions in this process are kept fresh. `auto`: Redis tells what
	// changed (CLIENT TRACKING, RESP3), so a check costs no round trip; where it
	// cannot, as with many a managed Redis, that is found out at the start and
	// warned about, and copies live a moment (less than 1s) instead, so that each
	// session in use costs about one round trip a second. `off`: the latter,
	// without looking. Either way a logout reaches all nodes within a second.
	// Default: `auto`
	ClientCache string `json:"client_cache,omitempty"`

	// What becomes of requests while Redis cannot tell.
	// Default: `deny`
	OnFailure *OnFailure `json:"on_failure,omitempty"`

	env    wechatapp.StoreEnv
	store  *redis.Store
	pooled []string // keys in the pool that Cleanup must release
	warned bool

	takeover takeover
}

// RedisTLS says how Redis's certificate is checked.
type RedisTLS struct {
	// A file of certificates to trust, in PEM. Default: those of the system
	CA string `json:"ca,omitempty"`

	// The name in the certificate. Default: the host of the address
	ServerName string `json:"server_name,omitempty"`
}

// OnFailure says what becomes of requests while the store cannot tell whether a
// session is live.
type OnFailure struct {
	// Tokens no older than this pass on their signature alone while Redis cannot be
	// reached; at most `15m`. What other nodes end meanwhile is not noticed; what
	// this one saw end does not pass, and nothing does in a process that has not
	// reached Redis yet. Tokens are not renewed, and sites with
	// `assertion` answer 503. Zero: all requests are refused with
	// 503 `store_unavailable`, and Caddy does not start while Redis is away.
	// Default: 0
	Grace caddy.Duration `json:"grace,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (RedisStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "wechat.stores.redis", New: func() caddy.Module { return new(RedisStore) }}
}

const (
	defaultRedisPrefix  = "caddy-wechat:"
	defaultRedisTimeout = 2 * time.Second
	clientCacheAuto     = "auto"
	clientCacheOff      = "off"
)

// Open connects. Without grace, a Redis that cannot be reached stops the start.
func (s *RedisStore) Open(env wechatapp.StoreEnv) error {
	s.env = env
	option.SetDefault(&s.KeyPrefix, defaultRedisPrefix)
	option.SetDefault(&s.Timeout, caddy.Duration(defaultRedisTimeout))
	if err := s.check(); err != nil {
		return err
	}
	options, err := s.options()
	if err != nil {
		return err
	}
	if s.store, err = s.acquire(options); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	err = s.store.Connect(env.Context)
	switch {
	case err == nil:
		s.warnUntracked()
		return nil
	case s.Grace() > 0:
		env.Logger.Warn("Redis cannot be used now: nobody can log in, and young tokens pass only if this process has reached it before; it is tried again", zap.Error(err))
		return nil
	}
	return fmt.Errorf("cannot be used, so nobody could log in: %w; fix it, or allow `on_failure grace <duration>`", err)
}

func (s *RedisStore) check() error {
	if len(s.Addresses) == 0 {
		return errors.New("redis: needs at least one address: store redis <host:port>")
	}
	for _, address := range s.Addresses {
		if err := checkAddress(address); err != nil {
			return err
		}
	}
	if s.ClientCache != "" && s.ClientCache != clientCacheAuto && s.ClientCache != clientCacheOff {
		return fmt.Errorf("redis: client_cache: must be auto or off, not %q", s.ClientCache)
	}
	err := cmp.Or(
		option.RedisDBBounds.Check("redis: db", s.DB),
		option.RedisTimeoutBounds.Check("redis: timeout", time.Duration(s.Timeout)),
	)
	if s.Grace() != 0 {
		err = cmp.Or(err, option.GraceBounds.Check("redis: on_failure: grace", s.Grace()))
	}
	return err
}

func checkAddress(address string) error {
	if strings.ContainsAny(address, "@/") { // it may have a password in it
		return errors.New("redis: an address is host:port and no URL; user, password and database are options of their own")
	}
	if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" {
		return errors.New("redis: an address is not host:port; user and password are options of their own")
	}
	return nil
}

// options resolves placeholders and derives keys.
func (s *RedisStore) options() (redis.Options, error) {
	o := redis.Options{
		Addresses: s.Addresses, SentinelMaster: s.Sentinel, Username: s.Username, DB: s.DB,
		KeyPrefix: s.KeyPrefix, Timeout: time.Duration(s.Timeout), NoClientCache: s.ClientCache == clientCacheOff,
	}
	if s.Password != "" {
		password, err := option.RedisPassword.Resolve(s.Password)
		option.RedisPassword.WarnIfWrittenOut(s.env.Logger, s.Password)
		if err != nil {
			return o, fmt.Errorf("redis: password: %w%s", err, option.Position("password", s.Password))
		}
		o.Password = password
	}
	derive := s.env.Key
	if s.Secret != "" {
		text, err := option.RedisSecret.Resolve(s.Secret)
		option.RedisSecret.WarnIfWrittenOut(s.env.Logger, s.Secret)
		var own key.Key
		if err == nil {
			own, err = key.Parse(text.Reveal())
		}
		if err != nil {
			return o, fmt.Errorf("redis: secret: %w%s", err, option.Position("secret", s.Secret))
		}
		derive = own.Derive
	}
	o.NameKey, o.ValueKey = derive("redis names"), derive("redis values")
	var err error
	o.TLS, err = s.TLS.config()
	return o, err
}

func (t *RedisTLS) config() (*tls.Config, error) {
	if t == nil {
		return nil, nil //nolint:nilnil // no TLS
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CA == "" {
		return config, nil
	}
	pem, err := os.ReadFile(t.CA)
	if err != nil {
		return nil, fmt.Errorf("redis: tls: reading ca: %w", err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("redis: tls: ca: %s has no certificate in it", t.CA)
	}
	return config, nil
}

// Sessions implements [Store].
func (s *RedisStore) Sessions() session.Backend { return s.store }

// Tend implements [Store].
func (s *RedisStore) Tend() { s.warnUntracked() }

// Start makes whatever memory held before this, here or in a snapshot, not count
// any more: a session that ends in Redis must not come back from there.
func (s *RedisStore) Start() {
	ctx, cancel := context.WithTimeout(context.Background(), wechatapp.StorageTime)
	defer cancel()
	var err error
	if s.takeover, err = takeOver(ctx, s.env.Storage); err != nil && !errors.Is(err, errOutOfDate) {
		s.env.Logger.Warn("storage cannot be told that sessions are in Redis now; "+
			"before `store memory` is used again, remove the snapshot from it",
			zap.String("storage_key", snapshotKey), zap.Error(err))
	}
}

// Grace implements [Store].
func (s *RedisStore) Grace() time.Duration {
	if s.OnFailure == nil {
		return 0
	}
	return time.Duration(s.OnFailure.Grace)
}

// UnmarshalCaddyfile sets up the store from its line in the global option:
//
//	store redis <address>... {
//		username   <name>
//		password   <password>
//		db         <number>
//		tls        [ca <file>] [server_name <name>]
//		sentinel   <master>
//		key_prefix <prefix>
//		timeout    <duration>
//		secret     <key>
//		client_cache auto | off
//		on_failure deny | grace <duration>
//	}
func (s *RedisStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	s.Addresses = d.RemainingArgs()
	if len(s.Addresses) == 0 {
		return d.Err("store redis: needs at least one address, as host:port")
	}
	for _, address := range s.Addresses {
		if err := checkAddress(address); err != nil {
			return d.WrapErr(err)
		}
	}
	once := make(option.Once)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := once.Check(d); err != nil {
			return err
		}
		if err := s.unmarshalOption(d, d.Val()); err != nil {
			return err
		}
	}
	return nil
}

func (s *RedisStore) unmarshalOption(d *caddyfile.Dispenser, name string) error {
	switch name {
	case "username":
		return option.String(d, &s.Username)
	case "password":
		return option.Secret(d, option.RedisPassword, &s.Password)
	case "secret":
		return option.Secret(d, option.RedisSecret, &s.Secret)
	case "db":
		return option.Number(d, &s.DB, option.RedisDBBounds)
	case "tls":
		s.TLS = new(RedisTLS)
		return s.TLS.unmarshalCaddyfile(d)
	case "sentinel":
		return option.String(d, &s.Sentinel)
	case "key_prefix":
		return option.String(d, &s.KeyPrefix)
	case "timeout":
		return option.Duration(d, &s.Timeout, option.RedisTimeoutBounds)
	case "client_cache":
		if err := option.String(d, &s.ClientCache); err != nil {
			return err
		}
		if s.ClientCache != clientCacheAuto && s.ClientCache != clientCacheOff {
			return d.Errf("client_cache: must be auto or off, not %q", s.ClientCache)
		}
		return nil
	case "on_failure":
		s.OnFailure = new(OnFailure)
		return s.OnFailure.unmarshalCaddyfile(d)
	}
	return option.Unknown(d, "store redis", "username", "password", "secret", "db", "tls", "sentinel", "key_prefix", "timeout",
		"client_cache", "on_failure")
}

func (t *RedisTLS) unmarshalCaddyfile(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	for i := 0; i < len(args); i += 2 {
		into := map[string]*string{"ca": &t.CA, "server_name": &t.ServerName}[args[i]]
		if into == nil || i+1 == len(args) || *into != "" {
			return d.Err("tls: takes `ca <file>` and `server_name <name>`")
		}
		*into = args[i+1]
	}
	return nil
}

func (f *OnFailure) unmarshalCaddyfile(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	switch {
	case len(args) == 1 && args[0] == "deny":
		return nil
	case len(args) == 2 && args[0] == "grace":
		grace, err := caddy.ParseDuration(args[1])
		if err != nil {
			return d.Errf("on_failure: %q is not a duration such as 5m", args[1])
		}
		if err := option.GraceBounds.Check("on_failure: grace", grace); err != nil {
			return d.WrapErr(err)
		}
		f.Grace = caddy.Duration(grace)
		return nil
	}
	return d.Err("on_failure: is deny, or grace <duration>")
}

// KeepsInStorage implements [Store].
func (s *RedisStore) KeepsInStorage() bool { return false }

// Probe connects and writes.
func (s *RedisStore) Probe(ctx context.Context) error {
	if err := s.store.Connect(ctx); err != nil {
		return fmt.Errorf("cannot be used: %w", err)
	}
	return nil
}

// Interface guards
var (
	_ caddy.CleanerUpper    = (*RedisStore)(nil)
	_ caddyfile.Unmarshaler = (*RedisStore)(nil)
	_ wechatapp.Store       = (*RedisStore)(nil)
)

// Package redis is the session store that many gateways share. A check of a
// session that was checked before costs no round trip: Redis tells its clients
// when a record changes (server-assisted client-side caching), so a logout on
// one node reaches the others at once.
//
// There is one key per user, with the record sealed; key names are hashes. A
// change reads the record, and writes it back only if nobody else did meanwhile.
package redis

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
	"golang.org/x/sync/singleflight"

	"github.com/caddy-wechat/gateway/internal/bounded"
	"github.com/caddy-wechat/gateway/internal/seal"
	"github.com/caddy-wechat/gateway/internal/secret"
	"github.com/caddy-wechat/gateway/internal/session"
)

// Options configure a Store.
type Options struct {
	// Addresses as host:port: one server, the nodes of a cluster, or with
	// SentinelMaster the sentinels.
	Addresses      []string
	SentinelMaster string
	Username       string
	Password       secret.String
	DB             int
	// TLS is nil for plain connections.
	TLS *tls.Config
	// KeyPrefix begins every key.
	KeyPrefix string
	// Timeout bounds every call.
	Timeout time.Duration
	// NameKey hashes names, ValueKey (32 bytes) encrypts values. They are the same
	// on all nodes and never in Redis.
	NameKey, ValueKey []byte
	// NoClientCache: do not ask Redis to tell what changed; copies live copyTime.
	NoClientCache bool
	// Known is what the process has seen of this store so far; nil: nothing.
	Known *Known
}

// Store implements session.Backend on Redis or Valkey.
type Store struct {
	options Options
	box     *seal.Box
	client  atomic.Pointer[rueidis.Client]
	known   *Known
	memos   *bounded.Table[*memo]
	users   *bounded.Table[*user]
	control atomic.Pointer[control]
	flights singleflight.Group
	// untracked: Redis does not tell what changed.
	untracked atomic.Bool
	untold    atomic.Pointer[error] // why, if that was found out
	// answered is when Redis answered last, in Unix nanoseconds.
	answered atomic.Int64

	appFields sync.Map // AppID → field of control
	done      chan struct{}

	mu     sync.Mutex // for connecting
	tried  time.Time
	cause  error
	closed bool
}

var _ session.Backend = (*Store)(nil)

// Ended implements session.Store: other nodes end sessions, too.
func (s *Store) Ended() (count uint64, known bool) { return 0, false }

const (
	// cacheTime bounds how long a record may stay in the local cache without
	// Redis having said anything about it.
	cacheTime = 10 * time.Minute
	// maxMemos bounds the decoded records that are kept beside rueidis's cache.
	maxMemos = 100_000
	// reconnectPause is the least time between attempts while there has been no
	// connection yet; afterwards rueidis reconnects by itself.
	reconnectPause = 100 * time.Millisecond
)

// New returns a store that is not connected yet and must be closed. Until Connect, or a later call,
// succeeds, every method returns session.ErrUnavailable.
func New(o Options) (*Store, error) {
	if len(o.Addresses) == 0 {
		return nil, errors.New("needs at least one address")
	}
	box, err := seal.New(o.ValueKey)
	if err != nil {
		return nil, err
	}
	if o.Known == nil {
		o.Known = NewKnown()
	}
	s := &Store{
		options: o, box: box, known: o.Known, done: make(chan struct{}),
		memos: bounded.New[*memo](maxMemos, time.Hour), users: bounded.New[*user](maxMemos, time.Hour),
	}
	go s.followControl()
	return s, nil
}

// Connect connects, finds out whether the server can be written to, and reads
// what operators have decided.
func (s *Store) Connect(ctx context.Context) error {
	return s.ask(ctx, func(ctx context.Context, client rueidis.Client) error {
		// A write that Redis refuses where it refuses writes, and that changes
		// nothing: the key is never there.
		probe := client.B().Set().Key(s.options.KeyPrefix + "probe").Value("1").Xx().PxMilliseconds(1000).Build()
		if err := client.Do(ctx, probe).Error(); err != nil && !rueidis.IsRedisNil(err) {
			return err
		}
		_, err := s.readControl(ctx)
		return err
	})
}

// Close closes the connections. The store cannot be used any more.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		close(s.done)
	}
	s.closed = true
	if client := s.client.Load(); client != nil {
		(*client).Close()
	}
	return nil
}

// connected returns the client, and connects if that has not succeeded before.
func (s *Store) connected() (rueidis.Client, error) {
	if client := s.client.Load(); client != nil {
		return *client, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if client := s.client.Load(); client != nil {
		return *client, nil
	}
	if s.closed {
		return nil, unavailable(errClosed)
	}
	if s.cause != nil && time.Since(s.tried) < reconnectPause {
		return nil, s.cause
	}
	client, err := s.dial()
	s.tried, s.cause = time.Now(), unavailable(err)
	if err != nil {
		return nil, s.cause
	}
	s.client.Store(&client)
	return client, nil
}

func (s *Store) clientOption() rueidis.ClientOption {
	o := s.options
	return rueidis.ClientOption{
		InitAddress: o.Addresses,
		Username:    o.Username,
		Password:    o.Password.Reveal(),
		SelectDB:    o.DB,
		TLSConfig:   o.TLS,
		ClientName:  "caddy-wechat",
		Sentinel:    rueidis.SentinelOption{MasterSet: o.SentinelMaster, TLSConfig: o.TLS, TopologyRefreshInterval: 5 * time.Second},
		Dialer:      net.Dialer{Timeout: o.Timeout, KeepAlive: time.Second},
		// Also how soon a connection that does not answer is given up.
		ConnWriteTimeout: o.Timeout,
		// A call that fails is answered at once; the next one tries again.
		DisableRetry:      true,
		ForceSingleClient: o.DB != 0 && o.SentinelMaster == "", // clusters have one database
	}
}

// detached returns a context that ends after the configured time and not with the
// caller's: others may wait for the same answer, and a change that has begun must
// finish.
func (s *Store) detached(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), s.options.Timeout)
}

// ask runs a call with the client, for the configured time at most. Its error says
// that the store cannot tell.
func (s *Store) ask(ctx context.Context, call func(ctx context.Context, client rueidis.Client) error) error {
	client, err := s.connected() //nolint:contextcheck // a connection is everybody's
	if err != nil {
		return err
	}
	ctx, cancel := s.detached(ctx)
	defer cancel()
	if err := call(ctx, client); err != nil {
		return unavailable(err)
	}
	s.answered.Store(time.Now().UnixNano())
	return nil
}

// name hashes what a key is about, so that Redis shows no user. The braces make
// the keys of one thing live on one node of a cluster.
func (s *Store) name(kind string, parts ...string) string {
	return s.options.KeyPrefix + kind + ":{" + s.hash(parts...) + "}"
}

func (s *Store) hash(parts ...string) string {
	mac := hmac.New(sha256.New, s.options.NameKey)
	for _, part := range parts {
		mac.Write(fmt.Appendf(nil, "%d:%s", len(part), part)) // so that no two lists spell the same
	}
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}

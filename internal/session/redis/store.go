package redis

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
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

// Options configure a [Store].
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

// Store implements [session.Backend] on Redis or Valkey.
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

// Ended implements [session.Store]: other nodes end sessions, too.
func (s *Store) Ended() (count uint64, known bool) { return 0, false }

const (
	// cacheTime bounds how long a record may stay in the local cache without
	// Redis having said anything about it.
	cacheTime = 10 * time.Minute
	// maxMemos bounds the decoded records that are kept beside rueidis's cache.
	maxMemos = 100_000
	// reconnectPause is the least time between attempts while there has been no
	// connection yet; afterwards rueidis reconnects automatically.
	reconnectPause = 100 * time.Millisecond
)

// detached returns a context that ends after the configured time and not with the
// caller's: others may wait for the same answer, and a change that has begun must
// finish.
func (s *Store) detached(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), s.options.Timeout)
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

// decode opens the sealed record of a key; none is an empty record.
func (s *Store) decode(key, raw string) (*record, error) {
	if raw == "" {
		return &record{}, nil
	}
	data, err := s.box.Open([]byte(raw), key)
	if err != nil {
		return nil, errForeign
	}
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, errForeign
	}
	return &r, nil
}

func (s *Store) encode(key string, r *record) string {
	data, err := json.Marshal(r) //nolint:gosec // sealed below
	if err != nil {
		panic(err) // strings and integers always encode
	}
	return string(s.box.Seal(data, key))
}

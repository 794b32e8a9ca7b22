package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/redis/rueidis"
)

// Many a managed Redis, and proxies in front of one, have no CLIENT TRACKING or
// no RESP3, so Redis does not tell the gateway what changed. Its copies of records then
// live for a moment only.

const (
	// copyTime is how long: a logout reaches every node within a second.
	copyTime = 800 * time.Millisecond
	// probeTime is how soon a server must tell what changed.
	probeTime = time.Second
)

// dial connects, and finds out whether Redis tells what changed.
func (s *Store) dial() (rueidis.Client, error) {
	option := s.clientOption()
	var reason error
	if !s.options.NoClientCache {
		var client rueidis.Client
		if client, reason = s.dialTracking(option); reason == nil {
			return client, nil
		}
		_, answered := errors.AsType[*rueidis.RedisError](reason)
		if !answered && !errors.Is(reason, rueidis.ErrNoCache) && !errors.Is(reason, errUntold) {
			return nil, reason
		}
	}
	option.DisableCache, option.AlwaysRESP2 = true, true
	option.ClientName, option.ClientSetInfo = "", rueidis.DisableClientSetInfo // no CLIENT at all
	client, err := rueidis.NewClient(option)
	if err != nil {
		return nil, err
	}
	s.untracked.Store(true)
	if reason != nil {
		reason = brief{reason}
		s.untold.Store(&reason)
	}
	return client, nil
}

// Untracked returns why Redis does not tell what changed; nil if it does, if nobody
// asked for it, or if there was no connection yet.
func (s *Store) Untracked() error {
	if reason := s.untold.Load(); reason != nil {
		return *reason
	}
	return nil
}

func (s *Store) dialTracking(option rueidis.ClientOption) (rueidis.Client, error) {
	client, err := rueidis.NewClient(option)
	if err != nil {
		return nil, err
	}
	if err := s.probeTracking(client); err != nil {
		client.Close()
		return nil, err
	}
	return client, nil
}

// errUntold says that a server accepts CLIENT TRACKING and tells nothing, as some
// proxies do.
var errUntold = errors.New("it accepts CLIENT TRACKING, and does not tell what changed")

// probeTracking finds out whether the server tells about a change.
func (s *Store) probeTracking(client rueidis.Client) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.options.Timeout+probeTime)
	defer cancel()
	key := s.options.KeyPrefix + "probe:" + rand.Text()
	set := func(value string) error {
		return client.Do(ctx, client.B().Set().Key(key).Value(value).PxMilliseconds(10_000).Build()).Error()
	}
	get := func() (string, error) {
		return text(client.DoCache(ctx, client.B().Get().Key(key).Cache(), cacheTime))
	}
	defer func() { _ = client.Do(ctx, client.B().Del().Key(key).Build()).Error() }()
	if err := set("old"); err != nil {
		return err
	}
	if _, err := get(); err != nil {
		return err
	}
	if err := set("new"); err != nil {
		return err
	}
	for start := time.Now(); time.Since(start) < probeTime; time.Sleep(5 * time.Millisecond) {
		if value, err := get(); err != nil || value == "new" {
			return err
		}
	}
	return errUntold
}

// cached returns a record that may be a moment old. Of many that ask at once one
// reads it, with the store's own context.
func (s *Store) cached(ctx context.Context, client rueidis.Client, u *user) (raw string, err error) {
	if !s.untracked.Load() {
		err = s.retryOnce(ctx, func() (err error) {
			raw, err = text(client.DoCache(ctx, client.B().Get().Key(u.key).Cache(), cacheTime))
			return err
		})
		if !isFull(err) {
			return raw, err
		}
		// What is tracked is read in a transaction, in which a full Redis refuses even
		// reads. A read of its own still is answered.
	}
	u.mu.Lock()
	known := u.copied
	u.mu.Unlock()
	if time.Since(known.read) < copyTime {
		return known.raw, nil
	}
	read, err, _ := s.flights.Do(u.key, func() (any, error) {
		fresh := localCopy{read: time.Now()}
		err := s.retryOnce(ctx, func() (err error) {
			fresh.raw, err = text(client.Do(ctx, client.B().Get().Key(u.key).Build()))
			return err
		})
		if err != nil {
			return "", fmt.Errorf("reading a record: %w", err)
		}
		s.answered.Store(time.Now().UnixNano())
		u.mu.Lock()
		defer u.mu.Unlock()
		u.copied = fresh
		return fresh.raw, nil
	})
	return read.(string), err
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

package gateway

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/session/memory"
)

// openStream is a stream and when it was cut.
type openStream struct {
	Stream
	pass Pass
	at   atomic.Int64 // Unix nanoseconds of the first cut
	cuts atomic.Int32
}

func (o *openStream) Cut() {
	if o.cuts.Add(1) == 1 {
		o.at.Store(time.Now().UnixNano())
	}
}

// cutAfter is how long after start the stream was cut, negative for never.
func (o *openStream) cutAfter(start time.Time) time.Duration {
	if o.cuts.Load() == 0 {
		return -1
	}
	return time.Unix(0, o.at.Load()).Sub(start)
}

func (w *world) open(t testing.TB, text string) *openStream {
	t.Helper()
	o := new(openStream)
	var err error
	if o.pass, err = w.Admit(t.Context(), text, sites); err != nil {
		t.Fatal(err)
	}
	w.Watch(&o.Stream, &o.pass, o)
	return o
}

// judged is a world whose Gateway decides about streams.
func judged(t *testing.T, change ...func(*Config)) *world {
	t.Helper()
	w := newWorld(t, change...)
	undo := w.JudgeStreams()
	t.Cleanup(func() { undo(); w.State.Close(); synctest.Wait() })
	return w
}

// countingStore counts lookups.
type countingStore struct {
	session.Backend
	gets atomic.Int64
}

func (s *countingStore) Get(ctx context.Context, query session.Query) (session.Session, error) {
	s.gets.Add(1)
	return s.Backend.Get(ctx, query)
}

// sharedStore is one that others end sessions of, too.
type sharedStore struct{ session.Backend }

func (sharedStore) Ended() (count uint64, known bool) { return 0, false }

// G9: each way to end, and how long it takes until the stream is cut.
func TestG9StreamsAreCutInTime(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Config)
		end    func(context.Context, *world, Grant) error
		want   error
		within time.Duration
	}{
		"logout": {nil, func(ctx context.Context, w *world, grant Grant) error {
			_, err := w.Logout(ctx, grant.Token, sites)
			return err
		}, ErrSessionEnded, time.Millisecond},
		"the operator": {nil, func(ctx context.Context, w *world, _ Grant) error {
			_, err := w.End(ctx, Target{AppID: appA})
			return err
		}, ErrSessionEnded, time.Millisecond},
		"denial": {nil, func(ctx context.Context, w *world, _ Grant) error {
			_, err := w.Deny(ctx, Target{AppID: appA, OpenID: openID}, time.Now().Add(time.Hour))
			return err
		}, ErrSessionEnded, time.Millisecond},
		"newer logins": {nil, func(ctx context.Context, w *world, _ Grant) error {
			for n := range 2 {
				if _, err := w.Login(ctx, LoginRequest{Code: "newer" + strconv.Itoa(n)}, sites); err != nil {
					return err
				}
			}
			return nil
		}, ErrSessionEnded, time.Millisecond},
		"another node": {nil, func(ctx context.Context, w *world, _ Grant) error {
			_, err := w.store.DeleteUser(ctx, appA, openID)
			return err
		}, ErrSessionEnded, sweepInterval},
		"the token's end": {func(c *Config) { c.TokenLifetime = 10 * time.Second }, func(context.Context, *world, Grant) error { return nil }, ErrSessionExpired, 10*time.Second + sweepInterval},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var change []func(*Config)
				if tc.change != nil {
					change = append(change, tc.change)
				}
				w := judged(t, change...)
				grant := w.login(t, "code")
				begun := time.Now()
				o, young := w.open(t, grant.Token), (*openStream)(nil)
				if tc.within < 10*time.Second {
					time.Sleep(1500 * time.Millisecond)
					young = w.open(t, grant.Token)
					begun = time.Now()
				}
				if o.cuts.Load() != 0 {
					t.Fatal("cut before its end")
				}
				if err := tc.end(t.Context(), w, grant); err != nil {
					t.Fatal(err)
				}
				time.Sleep(15 * time.Second)
				synctest.Wait()
				if after := o.cutAfter(begun); after < 0 || after > tc.within {
					t.Errorf("cut after %v, want %v at most", after, tc.within)
				}
				if n := o.cuts.Load(); n < 3 {
					t.Errorf("a stream that stays open is cut %d times only", n)
				}
				if err := o.Done(); !errors.Is(err, tc.want) {
					t.Errorf("cut for %v, want %v", err, tc.want)
				}
				if young != nil {
					if after := young.cutAfter(begun); after < 0 || after > sweepInterval {
						t.Errorf("a young stream is cut after %v", after)
					}
					_ = young.Done()
				}
				n := o.cuts.Load()
				time.Sleep(3 * time.Second)
				if n != o.cuts.Load() || w.State.OpenStreams() != 0 {
					t.Error("it is watched after its end")
				}
			})
		})
	}
}

// A store that cannot tell ends nothing; the token's own end does, and the store's word
// counts again when it is back.
func TestG9BrokenStoreEndsNoStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := judged(t, func(c *Config) { c.TokenLifetime = time.Minute })
		grant, short := w.login(t, "code"), w.login(t, "code2")
		o := w.open(t, grant.Token)
		s := w.open(t, short.Token)
		w.store.broken.Store(true)
		time.Sleep(30 * time.Second)
		if o.cuts.Load() != 0 {
			t.Error("cut while the store cannot tell")
		}
		if err := w.store.Backend.Delete(t.Context(), ref(o.pass.User)); err != nil {
			t.Fatal(err)
		}
		w.store.broken.Store(false)
		time.Sleep(sweepInterval + time.Millisecond)
		if err := o.Done(); !errors.Is(err, ErrSessionEnded) {
			t.Errorf("after the outage: %v", err)
		}
		w.store.broken.Store(true)
		time.Sleep(30 * time.Second)
		if err := s.Done(); !errors.Is(err, ErrSessionExpired) {
			t.Errorf("the token's end in an outage: %v", err)
		}
	})
}

// countingMemory does so, and knows when sessions end.
type countingMemory struct {
	*memory.Store
	counting *countingStore
}

func (s countingMemory) Get(ctx context.Context, query session.Query) (session.Session, error) {
	return s.counting.Get(ctx, query)
}

// A hundred streams of one session are one look at the store, and none while nothing
// can have ended.
func TestG9SessionsAreLookedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		counting := new(countingStore)
		mem := memory.New(10, time.Minute)
		defer mem.Close()
		counting.Backend = mem
		w := judged(t, func(c *Config) { c.Store = countingMemory{mem, counting} })
		o := w.open(t, w.login(t, "code").Token)
		time.Sleep(sweepInterval + time.Millisecond)
		before := counting.gets.Load()
		time.Sleep(10 * sweepInterval)
		if n := counting.gets.Load() - before; n != 0 {
			t.Errorf("%d looks while nothing ends", n)
		}
		if err := mem.Delete(t.Context(), ref(o.pass.User)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * sweepInterval)
		if n := o.cuts.Load(); n < 4 {
			t.Errorf("cut %d times in 5 sweeps", n)
		}
		if err := o.Done(); !errors.Is(err, ErrSessionEnded) {
			t.Errorf("cut for %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		counting := new(countingStore)
		w := judged(t, func(c *Config) { counting.Backend, c.Store = sharedStore{c.Store}, counting })
		grant := w.login(t, "code")
		var open []*openStream
		for range 100 {
			open = append(open, w.open(t, grant.Token))
		}
		before := counting.gets.Load()
		time.Sleep(10*sweepInterval + time.Millisecond)
		if n := counting.gets.Load() - before; n != 10 {
			t.Errorf("%d looks in 10 sweeps", n)
		}
		for _, o := range open {
			if err := o.Done(); err != nil {
				t.Error(err)
			}
		}
		before = counting.gets.Load()
		time.Sleep(10 * sweepInterval)
		if n := counting.gets.Load() - before; n != 0 {
			t.Errorf("%d looks for nobody", n)
		}
	})
}

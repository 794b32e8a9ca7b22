package gateway

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-wechat/gateway/internal/key"
	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/session"
	"github.com/caddy-wechat/gateway/internal/session/memory"
)

// Streams go on under the next configuration, with its keys, apps and store. One that
// was taken back decides nothing.
func TestG9NextConfigurationJudges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := judged(t)
		o := w.open(t, w.login(t, "code").Token)
		next := func(change func(*Config)) (undo func()) {
			c := w.Config
			change(&c)
			return New(c).JudgeStreams()
		}
		undo := next(func(c *Config) { c.MaxPerUser = 5 })
		time.Sleep(2 * sweepInterval)
		undo()
		time.Sleep(2 * sweepInterval)
		if o.cuts.Load() != 0 {
			t.Error("cut by a configuration that changes nothing for it")
		}
		for name, change := range map[string]func(*Config){
			"no such app": func(c *Config) { c.Accounts = map[string]provider.Account{appB: {ID: appB}} },
			"another key": func(c *Config) {
				ring := testRing(t, 99)
				c.Keys = func() *key.Set { return ring }
			},
		} {
			o := w.open(t, w.login(t, "code-"+name[:2]).Token)
			undo := next(change)
			time.Sleep(sweepInterval + time.Millisecond)
			if err := o.Done(); !errors.Is(err, ErrLoginRequired) {
				t.Errorf("%s: %v", name, err)
			}
			undo()
		}
		// The store of the configuration before is closed some time after it: what began
		// with it is looked up in the store of the next one.
		old, fresh := memory.New(10, time.Minute), memory.New(10, time.Minute)
		defer fresh.Close()
		synctest.Wait() // nobody looks at the one before
		w.store.Backend = old
		before := w.login(t, "code-closed")
		synctest.Wait() // nor, as the user has a stream, for this login
		undo = next(func(c *Config) { c.Store = fresh })
		stays := w.open(t, before.Token)
		live := ref(stays.pass.User)
		if _, err := fresh.Put(t.Context(), session.Login{Ref: live, Ends: time.Now().Add(time.Hour)}, 5); err != nil {
			t.Fatal(err)
		}
		w.store.broken.Store(true)
		if err := old.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		if stays.cuts.Load() != 0 {
			t.Error("cut with its store, although it is live in the next one")
		}
		if err := fresh.Delete(t.Context(), live); err != nil {
			t.Fatal(err)
		}
		time.Sleep(sweepInterval + time.Millisecond)
		if err := stays.Done(); !errors.Is(err, ErrSessionEnded) {
			t.Errorf("logged out after its store was closed: %v", err)
		}
		undo()
		w.store.broken.Store(false)
		// Nobody judges any more: not even the end is the time to stop.
		w.State.Close()
		synctest.Wait()
		if err := w.open(t, w.login(t, "late").Token).Done(); err != nil {
			t.Errorf("after the end: %v", err)
		}
	})
}

// Streams that come and go at random, in many goroutines, leave nothing behind.
func TestG9RegistryUnderLoad(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.MaxPerUser = 100 })
	defer w.JudgeStreams()()
	defer w.State.Close()
	var grants []Grant
	for n := range 10 {
		grants = append(grants, w.login(t, "code"+strconv.Itoa(n)))
	}
	var group sync.WaitGroup
	for n := range 8 {
		group.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(n)))
			var open []*openStream
			for range 2000 {
				if len(open) > 0 && random.IntN(2) == 0 {
					i := random.IntN(len(open))
					if err := open[i].Done(); err != nil && !errors.Is(err, ErrSessionEnded) {
						t.Error(err)
					}
					open[i] = open[len(open)-1]
					open = open[:len(open)-1]
					continue
				}
				o := new(openStream)
				var err error
				if o.pass, err = w.Admit(t.Context(), grants[random.IntN(len(grants))].Token, sites); err != nil {
					continue
				}
				w.Watch(&o.Stream, &o.pass, o)
				open = append(open, o)
				if random.IntN(50) == 0 {
					w.State.streams.watch.sweepTokens(seen{})
				}
				if n == 0 && random.IntN(300) == 0 {
					if _, err := w.Logout(t.Context(), grants[random.IntN(len(grants))].Token, sites); err != nil {
						t.Error(err)
					}
				}
			}
			for _, o := range open {
				_ = o.Done()
			}
		})
	}
	group.Wait()
	if n := w.State.OpenStreams(); n != 0 || len(w.State.streams.users) != 0 {
		t.Errorf("%d streams of %d users are left", n, len(w.State.streams.users))
	}
}

// BenchmarkWatch is what the watch costs an answer that is finished at once.
func BenchmarkWatch(b *testing.B) {
	w := newWorld(b)
	defer w.State.Close()
	grant := w.login(b, "code")
	pass, err := w.Admit(b.Context(), grant.Token, sites)
	if err != nil {
		b.Fatal(err)
	}
	o := new(openStream)
	b.ReportAllocs()
	for b.Loop() {
		o.Stream = Stream{}
		w.Watch(&o.Stream, &pass, o)
		_ = o.Done()
	}
}

// unreadable is a store that others change, too, and that cannot tell about some users.
type unreadable struct {
	sharedStore
	users sync.Map // openid
}

func (s *unreadable) Get(ctx context.Context, query session.Query) (session.Session, error) {
	if _, damaged := s.users.Load(query.OpenID); damaged {
		return session.Session{}, session.ErrUnavailable
	}
	return s.Backend.Get(ctx, query)
}

// G9: records that cannot be read keep the streams of nobody else open.
func TestG9DamagedRecordsKeepNoOtherStreamOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(unreadable)
		w := judged(t, func(c *Config) {
			store.Backend, c.Store = c.Store, store
		})
		w.wechat.answer = func(_ provider.Account, code string) (provider.User, error) {
			return provider.User{OpenID: "openid-of-" + code}, nil
		}
		const each = 40
		var damaged, ended []*openStream
		for n := range 2 * each {
			stream := w.open(t, w.login(t, "code"+strconv.Itoa(n)).Token)
			if n%2 == 0 {
				damaged = append(damaged, stream)
			} else {
				ended = append(ended, stream)
			}
		}
		time.Sleep(2 * sweepInterval)
		for n := range each {
			store.users.Store(damaged[n].pass.User.OpenID, nil)
			if err := w.store.Delete(t.Context(), ref(ended[n].pass.User)); err != nil { // by another node
				t.Fatal(err)
			}
		}
		time.Sleep(2 * sweepInterval)
		synctest.Wait()
		open := 0
		for n := range each {
			if ended[n].cuts.Load() == 0 {
				open++
			}
			if damaged[n].cuts.Load() > 0 {
				t.Error("a session that may be live is cut")
			}
		}
		if open > 0 {
			t.Errorf("%d of %d streams outlive their session", open, each)
		}
	})
}

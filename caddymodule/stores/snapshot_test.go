package stores

import (
	"context"
	"testing"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddy-wechat/gateway/caddymodule/wechatapp"
)

// hanging is a storage that does not answer whether something is there.
type hanging struct {
	certmagic.Storage
	asked, answer chan struct{}
}

func (h hanging) Exists(context.Context, string) bool {
	h.asked <- struct{}{}
	<-h.answer
	return false
}

// F2: a configuration that starts does not wait for the storage that another looks at.
func TestF2StartDoesNotWaitForStorageOfOthers(t *testing.T) {
	storage := &certmagic.FileStorage{Path: t.TempDir()}
	env := wechatapp.StoreEnv{Storage: storage, Logger: zap.NewNop(), Key: func(string) []byte { return make([]byte, 32) }}
	var before, next MemoryStore
	for _, store := range []*MemoryStore{&before, &next} {
		if err := store.Open(env); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = store.Cleanup() }()
	}
	before.Start()
	slow := hanging{storage, make(chan struct{}, 8), make(chan struct{})}
	before.env.Storage = slow
	looked := make(chan struct{})
	go func() {
		before.Tend()
		close(looked)
	}()
	<-slow.asked
	next.Start() // or nobody lets the other go on
	close(slow.answer)
	<-looked
}

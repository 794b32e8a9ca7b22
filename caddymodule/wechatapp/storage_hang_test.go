package wechatapp

import (
	"bytes"
	"context"
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// hangingStorage does not come back from writing until it is told to.
type hangingStorage struct {
	certmagic.Storage
	release chan struct{}
}

func (s *hangingStorage) Store(context.Context, string, []byte) error {
	<-s.release
	return nil
}

func (s *hangingStorage) Delete(context.Context, string) error { return os.ErrNotExist }

func TestStorageThatHangsShows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		core := zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(&log), zapcore.InfoLevel)
		storage := &hangingStorage{release: make(chan struct{})}
		watch := &storageWatch{storage: storage, logger: zap.New(core)}
		ctx, cancel := context.WithCancel(t.Context())
		go watch.watch(ctx)
		time.Sleep(storageProbeTime)
		if err := watch.state(); err != nil {
			t.Errorf("too early: %v", err)
		}
		time.Sleep(2 * storageProbeTime)
		if err := watch.state(); !errors.Is(err, errStorageHangs) {
			t.Errorf("hanging: %v", err)
		}
		close(storage.release)
		time.Sleep(2 * storageProbeInterval)
		if err := watch.state(); err != nil {
			t.Errorf("not any more: %v", err)
		}
		cancel()
	})
}

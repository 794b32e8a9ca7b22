package operate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"

	"github.com/caddy-wechat/gateway/caddymodule/wechatapp"
)

// inspection is a configuration that is loaded to be examined: nothing of it
// starts, no listener, log file or admin endpoint is opened, and no key is
// written to storage. It remembers where loading stopped.
type inspection struct {
	ctx     caddy.Context
	cancel  context.CancelFunc
	storage certmagic.Storage // nil if it cannot be had

	wechat wechatapp.Inspection
	err    error // of loading
}

// errOtherUser stops an inspection before modules write to storage what its
// owner cannot read, such as the authority of `tls internal`.
var errOtherUser = errors.New("the folder of Caddy's storage belongs to another user; run this command as that user")

// inspect loads the apps of a configuration. Why it does not load, if so, is
// in err.
func inspect(ctx context.Context, config []byte) *inspection {
	i := &inspection{cancel: func() {}}
	i.err = i.load(ctx, config)
	return i
}

func (i *inspection) load(ctx context.Context, config []byte) error {
	var cfg *caddy.Config
	if err := caddy.StrictUnmarshalJSON(caddy.RemoveMetaFields(config), &cfg); err != nil {
		return fmt.Errorf("decoding configuration: %w", err)
	}
	if cfg == nil {
		return errors.New("the configuration is empty")
	}
	apps := maps.Clone(cfg.AppsRaw)
	// The apps come later, in a context that can be cancelled: Caddy keeps the
	// cancelling of its own to itself.
	cfg.AppsRaw, cfg.Admin, cfg.Logging = nil, nil, silence()
	base, err := caddy.ProvisionContext(cfg)
	if err != nil {
		return err
	}
	base.Context = i.wechat.Context(ctx)
	i.ctx, i.cancel = caddy.NewContext(base)
	i.storage = i.ctx.Storage()
	if files, ok := i.storage.(*certmagic.FileStorage); ok && ownedByOther(wechatapp.NearestFolder(files.Path)) {
		return errOtherUser
	}
	cfg.AppsRaw = maps.Clone(apps)
	for _, name := range slices.Sorted(maps.Keys(apps)) {
		if _, err := i.ctx.App(name); err != nil {
			return err
		}
	}
	return nil
}

// silence is a configuration of Caddy's logs that drops nearly everything: what
// is worth saying becomes a finding. The writer stays, because Caddy would log
// that it changes.
func silence() *caddy.Logging {
	return &caddy.Logging{Logs: map[string]*caddy.CustomLog{caddy.DefaultLoggerName: {BaseLog: caddy.BaseLog{Level: "FATAL"}}}}
}

// close releases what was loaded.
func (i *inspection) close() { i.cancel() }

// keysError is why the keys cannot be opened, storeError why the store cannot.
func (i *inspection) keysError() error {
	if failed, ok := errors.AsType[*wechatapp.KeysError](i.wechat.Err); ok {
		return failed
	}
	return nil
}

func (i *inspection) storeError() error {
	if failed, ok := errors.AsType[*wechatapp.StoreError](i.wechat.Err); ok {
		return failed
	}
	return nil
}

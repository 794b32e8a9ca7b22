package survey

import (
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-wechat/gateway/caddymodule/wechatapp"
)

func init() {
	wechatapp.OnProvision(check)
	wechatapp.OnStart(findBases)
}

// check warns of what is wrong with the routes of the configuration, and
// returns an error for what cannot work. It is part of Provision, so that `caddy
// validate` tells it, too.
func check(ctx caddy.Context) error {
	logger := ctx.Logger()
	s := Of(ctx)
	var fatal []error
	for _, n := range s.Notices {
		if n.fatal {
			fatal = append(fatal, fmt.Errorf("wechat_auth: %s: %s; %s", n.Place, n.Message, n.Fix))
			continue
		}
		fields := []zap.Field{zap.String("route", n.Place), zap.Stringer("action", n.Fix)}
		if len(n.upstreams) > 0 {
			fields = append(fields, zap.Strings("upstreams", n.upstreams))
		}
		logger.Warn(n.Message.String(), fields...)
	}
	app, err := wechatapp.Of(ctx)
	if err != nil {
		return err
	}
	return errors.Join(append(fatal, s.checkSharedCookies(app))...)
}

// checkSharedCookies returns what is wrong with the cookies of sites on one host.
func (s *Survey) checkSharedCookies(app *wechatapp.App) error {
	for site, other := range s.onOneHost {
		if err := site.Handler.CheckBeside(other.Handler, app); err != nil {
			return err
		}
	}
	return nil
}

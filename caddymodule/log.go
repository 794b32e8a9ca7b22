package caddymodule

import (
	"errors"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-wechat/gateway/internal/gateway"
	"github.com/caddy-wechat/gateway/internal/wechat"
)

// logLogin writes one line per login. It names the user by the keyed hash only.
func (a *App) logLogin(logger *zap.Logger, appID string, grant gateway.Grant, err error, took time.Duration) {
	if _, known := a.apps[appID]; !known {
		appID = "" // whatever the client made up stays out of the log
	}
	outcome, level := "ok", zapcore.InfoLevel
	if grant.UnionIDChanged {
		// Bound to another Open Platform account, or to none: accounts that the
		// app keeps by unionid come apart.
		logger.Warn("WeChat gave a user another unionid than before", zap.String("app", appID), zap.String("user_hash", grant.UserHash))
	}
	if err != nil {
		outcome = refusalFor(err).code
	}
	if errors.Is(err, wechat.ErrMisconfigured) {
		level = zapcore.ErrorLevel
	}
	c := logger.Check(level, "login")
	if c == nil {
		return
	}
	fields := []zap.Field{zap.String("app", appID), zap.String("outcome", outcome), zap.Duration("duration", took)}
	if grant.UserHash != "" {
		fields = append(fields, zap.String("user_hash", grant.UserHash))
	}
	if api, ok := errors.AsType[*wechat.APIError](err); ok {
		fields = append(fields, zap.Int64("errcode", int64(api.Code)), zap.String("rid", api.RID))
	}
	if err != nil {
		fields = append(fields, zap.Error(err))
	}
	c.Write(fields...)
}

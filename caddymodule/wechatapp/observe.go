package wechatapp

import (
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-wechat/gateway/caddymodule/internal/answer"
	"github.com/caddy-wechat/gateway/internal/gateway"
	"github.com/caddy-wechat/gateway/internal/provider/wechat"
)

// TokenSeen implements [gateway.Observer].
func (r *Record) TokenSeen(known bool) {
	if known {
		r.metrics.tokenKnown.Inc()
		return
	}
	r.metrics.tokenNew.Inc()
}

// GracePassed implements [gateway.Observer].
func (r *Record) GracePassed(appID string) { r.metrics.gracePasses.WithLabelValues(appID).Inc() }

// StoreFailed implements [gateway.Observer].
func (r *Record) StoreFailed(appID string) { r.metrics.storeErrors.WithLabelValues(appID).Inc() }

// CodeRepeated implements [gateway.Observer].
func (r *Record) CodeRepeated(appID string) { r.metrics.duplicates.WithLabelValues(appID).Inc() }

// LoginLimited implements [gateway.Observer].
func (r *Record) LoginLimited(appID string) { r.metrics.rateLimited.WithLabelValues(appID).Inc() }

// HookAsked implements [gateway.Observer].
func (r *Record) HookAsked(appID string, took time.Duration, err error) {
	outcome := OutcomeOK
	if err != nil {
		outcome = answer.For(err).Code
	}
	r.metrics.hookCalls.WithLabelValues(appID, outcome).Inc()
	r.metrics.hookTime.Observe(took.Seconds())
	if err != nil && outcome != answer.CodeNotAllowed {
		r.logger.Error("the login hook could not be asked", r.about(appID), zap.Duration("duration", took), zap.Error(err))
	}
}

// BreakerChanged implements [gateway.Observer].
func (r *Record) BreakerChanged(appID string, change gateway.BreakerChange) {
	data := r.data(appID, nil)
	if !change.Open {
		r.logger.Info("calls of WeChat are not suspended any more", r.about(appID), zap.Duration("lasted", change.Lasted))
		r.emit(eventBreakerClose, data)
		return
	}
	fields := []zap.Field{r.about(appID), zap.Error(change.Cause), zap.Time("until", change.Until)}
	if api, ok := errors.AsType[*wechat.APIError](change.Cause); ok {
		fields = append(fields, zap.Int("errcode", api.Code), zap.String("rid", api.RID))
		data["errcode"], data["rid"] = api.Code, api.RID
	}
	r.logger.Warn("calls of WeChat are suspended after failures", fields...)
	r.emit(eventBreakerOpen, data)
}

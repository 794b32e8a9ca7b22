package wechatapp

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/caddy-wechat/gateway/caddymodule/internal/answer"
	"github.com/caddy-wechat/gateway/internal/gateway"
	"github.com/caddy-wechat/gateway/internal/provider/wechat"
)

// Names of the events that the app emits through Caddy's events app. Their data
// names apps and hashes of users, nothing else about anybody.
const (
	eventLogin        = "wechat_login"
	eventLoginRefused = "wechat_login_refused"
	eventLogout       = "wechat_logout"
	eventEntered      = "wechat_web_view_entered"
	eventScan         = "wechat_scan_decided"
	eventSessionEnded = "wechat_session_ended"
	eventBreakerOpen  = "wechat_breaker_opened"
	eventBreakerClose = "wechat_breaker_closed"
	eventConfigError  = "wechat_configuration_error"
)

// TokenSeen implements gateway.Observer.
func (r *Record) TokenSeen(known bool) {
	if known {
		r.metrics.tokenKnown.Inc()
		return
	}
	r.metrics.tokenNew.Inc()
}

// GracePassed implements gateway.Observer.
func (r *Record) GracePassed(appID string) { r.metrics.gracePasses.WithLabelValues(appID).Inc() }

// StoreFailed implements gateway.Observer.
func (r *Record) StoreFailed(appID string) { r.metrics.storeErrors.WithLabelValues(appID).Inc() }

// CodeRepeated implements gateway.Observer.
func (r *Record) CodeRepeated(appID string) { r.metrics.duplicates.WithLabelValues(appID).Inc() }

// LoginLimited implements gateway.Observer.
func (r *Record) LoginLimited(appID string) { r.metrics.rateLimited.WithLabelValues(appID).Inc() }

// HookAsked implements gateway.Observer.
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

// BreakerChanged implements gateway.Observer.
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

// observe runs a call of WeChat in a span of its own, and counts it.
func (m *metrics) observe(ctx context.Context, endpoint, appID string, call func(context.Context) error) error {
	ctx, end := startSpan(ctx, endpoint, appID)
	start := time.Now()
	err := call(ctx)
	m.wechatCalled(endpoint, appID, time.Since(start), err)
	end(err)
	return err
}

// startSpan begins a child of the request's span, if Caddy's `tracing` made one.
// Its attributes hold nothing of what is sent or received but error numbers.
func startSpan(ctx context.Context, endpoint, appID string) (context.Context, func(error)) {
	parent := trace.SpanFromContext(ctx)
	if !parent.SpanContext().IsValid() {
		return ctx, func(error) {}
	}
	ctx, span := parent.TracerProvider().Tracer("github.com/caddy-wechat/gateway").Start(ctx, "wechat "+endpoint,
		trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attribute.String("wechat.app", appID)))
	return ctx, func(err error) {
		if api, ok := errors.AsType[*wechat.APIError](err); ok {
			span.SetAttributes(attribute.Int("wechat.errcode", api.Code), attribute.String("wechat.rid", api.RID))
		}
		if err != nil {
			span.SetStatus(codes.Error, answer.For(err).Code)
		}
		span.End()
	}
}

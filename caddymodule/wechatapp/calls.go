package wechatapp

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/caddy-wechat/gateway/caddymodule/internal/answer"
	"github.com/caddy-wechat/gateway/internal/provider/wechat"
)

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

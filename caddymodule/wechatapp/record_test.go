package wechatapp

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	zapobserver "go.uber.org/zap/zaptest/observer"

	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/provider/wechat"
)

// exchanger is a WeChat that fails.
type exchanger struct{ err error }

func (e exchanger) Exchange(context.Context, provider.Account, provider.Proof) (provider.User, error) {
	return provider.User{}, e.err
}

func TestWeChatCallIsAChildSpan(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	tracing := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	ctx, parent := tracing.Tracer("test").Start(t.Context(), "request")
	m, err := newMetrics(prometheus.NewRegistry(), nil)
	if err != nil {
		t.Fatal(err)
	}
	failing := providers{
		map[provider.Kind]provider.Provider{provider.MiniProgram: exchanger{&wechat.APIError{Code: 40029, RID: "6700abcd"}}}, m,
	}
	account := provider.Account{ID: "wx1234567890abcdef", Kind: provider.MiniProgram}
	if _, err := failing.Exchange(ctx, account, provider.Proof{Code: "the-code"}); err == nil {
		t.Fatal("no error")
	}
	parent.End()
	ended := spans.Ended()
	if len(ended) != 2 || ended[0].Parent().SpanID() != parent.SpanContext().SpanID() || ended[0].Name() != "wechat code2session" {
		t.Fatalf("spans %v", ended)
	}
	attributes := ""
	for _, a := range ended[0].Attributes() {
		attributes += string(a.Key) + "=" + a.Value.String() + " "
	}
	if attributes != "wechat.app=wx1234567890abcdef wechat.errcode=40029 wechat.rid=6700abcd " {
		t.Errorf("attributes %s", attributes)
	}
	if _, err := failing.Exchange(t.Context(), account, provider.Proof{Code: "the-code"}); err == nil || len(spans.Ended()) != 2 {
		t.Error("a span without a request's span")
	}
}

// An attacker must not fill the disk.
func TestRefusalsAreThinnedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, written := zapobserver.New(zapcore.InfoLevel)
		logger := Sampled(zap.New(core))
		for range 10 * refusalsPerSecond {
			logger.Info("request refused")
		}
		if n := written.Len(); n != refusalsPerSecond+9*refusalsPerSecond/refusalsThen {
			t.Errorf("%d lines for %d refusals of one second", n, 10*refusalsPerSecond)
		}
		time.Sleep(2 * time.Second)
		before := written.Len()
		logger.Info("request refused")
		if written.Len() != before+1 {
			t.Error("quiet for ever")
		}
	})
}

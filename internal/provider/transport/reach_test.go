package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"
)

func newClient(t *testing.T, timeout time.Duration, bases ...string) *Client {
	t.Helper()
	c, err := New(Options{Bases: bases, Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestReachShowsCertificateAndClock(t *testing.T) {
	date := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	var asked []string
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.RequestURI)
		w.Header().Set("Date", date.Format(http.TimeFormat))
		w.WriteHeader(http.StatusNotFound)
	}))
	t.Cleanup(server.Close)
	client := newClient(t, 5*time.Second, server.URL)
	_, err := client.Reach(t.Context(), server.URL)
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok || len(asked) != 0 {
		t.Errorf("an unknown authority: %v, asked %q", err, asked)
	}
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	client.transport.TLSClientConfig.RootCAs = roots
	reached, err := client.Reach(t.Context(), server.URL+"/base/")
	if err != nil || len(reached.Chain) == 0 || !reached.Chain[0].Equal(server.Certificate()) || !reached.Date.Equal(date) ||
		reached.Answered.Before(reached.Asked) {
		t.Errorf("reached %+v, %v", reached, err)
	}
	if len(asked) != 1 || asked[0] != "GET /base/" {
		t.Errorf("asked %q", asked)
	}
}

func TestReachKeepsTheCause(t *testing.T) {
	client := newClient(t, 5*time.Second, "http://127.0.0.1:1")
	if _, err := client.Reach(t.Context(), "http://127.0.0.1:1"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("nobody there: %v", err)
	}
	if _, err := client.Reach(t.Context(), "http://api.weixin.qq.com"); err == nil {
		t.Error("plain http to WeChat")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client.Reach(ctx, "http://127.0.0.1:1"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

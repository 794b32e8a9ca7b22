package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-wechat/gateway/internal/provider/transport"
)

// silent accepts connections and says nothing.
func silent(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln.Addr().String()
}

// Failures as they are: a real client, a real connection.
func TestConnectionsThatFail(t *testing.T) {
	untrusted := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(untrusted.Close)
	plain := serve(t, http.NotFoundHandler())
	forbids := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	withUser := strings.Replace(forbids, "http://", "http://user:pr0xy-pass@", 1)
	for name, tc := range map[string]struct {
		base, proxy string
		status      Status
		texts       []string
	}{
		"plain":                {plain, "", OK, []string{"plain http"}},
		"nobody there":         {"https://127.0.0.1:1", "", Fail, []string{"no server accepts"}},
		"untrusted":            {untrusted.URL, "", Fail, []string{"authority", "ca-certificates"}},
		"no TLS":               {strings.Replace(plain, "http:", "https:", 1), "", Fail, []string{"does not speak TLS"}},
		"silence":              {"https://" + silent(t), "", Fail, []string{"api_timeout", "firewall"}},
		"no proxy there":       {"https://127.0.0.1:1", "http://user:pr0xy-pass@127.0.0.1:1", Fail, []string{"proxy", "refused"}},
		"no socks proxy there": {"https://127.0.0.1:1", "socks5://user:pr0xy-pass@127.0.0.1:1", Fail, []string{"proxy", "refused"}},
		"proxy forbids":        {"https://127.0.0.1:1", withUser, Fail, []string{"proxy", "Forbidden"}},
	} {
		timeout := 5 * time.Second
		if name == "silence" {
			timeout = 50 * time.Millisecond
		}
		client := newClient(t, timeout, tc.proxy, tc.base)
		findings := Connections(t.Context(), client, []string{tc.base}, tc.proxy != "")
		want(t, name, findings[0], tc.status, tc.texts...)
		if clocks := len(findings) - 1; clocks != 0 && tc.status != OK {
			t.Errorf("%s: %d more findings", name, clocks)
		}
	}
}

// fakeReach answers by base.
type fakeReach map[string]any

func (f fakeReach) Reach(_ context.Context, base string) (transport.Reached, error) {
	if err, failed := f[base].(error); failed {
		return transport.Reached{}, fmt.Errorf("connecting: %w", err)
	}
	return f[base].(transport.Reached), nil
}

const one, two = "https://api.weixin.qq.com", "https://api2.weixin.qq.com"

func TestCausesInPlainWords(t *testing.T) {
	timeout := &net.OpError{Op: "dial", Net: "tcp", Err: context.DeadlineExceeded}
	verification := func(err error) error { return &tls.CertificateVerificationError{Err: err} }
	for name, tc := range map[string]struct {
		err     error
		proxied bool
		texts   []string
	}{
		"DNS":             {&net.OpError{Op: "dial", Err: &net.DNSError{Name: "api.weixin.qq.com", Err: "no such host"}}, false, []string{"api.weixin.qq.com", "resolv.conf"}},
		"DNS and proxy":   {&net.DNSError{Name: "proxy.lan", Err: "no such host"}, true, []string{"proxy.lan", "api_proxy"}},
		"no route":        {&net.OpError{Op: "dial", Err: syscall.ENETUNREACH}, false, []string{"route", "api_proxy"}},
		"dial timeout":    {timeout, false, []string{"api_timeout", "443"}},
		"reset":           {&net.OpError{Op: "read", Err: syscall.ECONNRESET}, false, []string{"cut"}},
		"end of file":     {io.EOF, false, []string{"cut"}},
		"alert":           {tls.AlertError(40), false, []string{"TLS"}},
		"other host":      {verification(x509.HostnameError{Host: "api.weixin.qq.com", Certificate: &x509.Certificate{}}), false, []string{"another host's"}},
		"expired":         {verification(x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.Expired}), false, []string{"date of this machine"}},
		"no certificates": {verification(x509.SystemRootsError{}), false, []string{"ca-certificates"}},
		"unknown":         {errors.New("something else"), false, []string{"something else"}},
	} {
		findings := Connections(t.Context(), fakeReach{one: tc.err}, []string{one}, tc.proxied)
		want(t, name, findings[0], Fail, tc.texts...)
	}
}

func TestSecondBaseMakesTheFirstOneAWarning(t *testing.T) {
	now := time.Now()
	good := transport.Reached{
		Asked: now, Answered: now, Date: now.Truncate(time.Second), Chain: []*x509.Certificate{{NotAfter: now.AddDate(0, 6, 0)}},
	}
	refused := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	findings := Connections(t.Context(), fakeReach{one: refused, two: good}, []string{one, two}, false)
	want(t, "first", findings[0], Warn, "no server accepts")
	want(t, "second", findings[1], OK, good.Chain[0].NotAfter.UTC().Format(time.DateOnly))
	findings = Connections(
		t.Context(), fakeReach{one: &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, two: good},
		[]string{one, two}, false,
	)
	want(t, "first with a bad certificate", findings[0], Fail, "authority")
	for _, f := range Connections(t.Context(), fakeReach{one: refused, two: refused}, []string{one, two}, false) {
		want(t, "both", f, Fail)
	}
	good.Chain[0].NotAfter = now.Add(time.Hour)
	want(t, "an ending certificate", Connections(t.Context(), fakeReach{one: good}, []string{one}, false)[0], Warn, "replace")
}

func TestClockDifference(t *testing.T) {
	asked := time.Date(2026, 5, 4, 12, 0, 0, 900e6, time.UTC)
	for name, tc := range map[string]struct {
		date   time.Time
		took   time.Duration
		status Status
		texts  []string
	}{
		"none":            {asked.Truncate(time.Second), 0, OK, []string{"agree"}},
		"rounded down":    {asked.Truncate(time.Second), 2 * time.Second, OK, []string{"agree"}},
		"within a call":   {asked.Add(3 * time.Second), 4 * time.Second, OK, []string{"agree"}},
		"4 s behind":      {asked.Truncate(time.Second).Add(5 * time.Second), 0, OK, []string{"4s behind"}},
		"10 s behind":     {asked.Add(10 * time.Second), 0, Warn, []string{"10s behind", "NTP"}},
		"20 s ahead":      {asked.Truncate(time.Second).Add(-20 * time.Second), 0, Warn, []string{"20s ahead"}},
		"just under 60 s": {asked.Add(59 * time.Second), 0, Warn, []string{"59s"}},
		"2 h ahead":       {asked.Add(-2 * time.Hour), 0, Fail, []string{"ahead", "NTP"}},
		"90 s behind":     {asked.Add(90 * time.Second), 0, Fail, []string{"1m30s behind"}},
		"not said":        {time.Time{}, 0, Skip, nil},
	} {
		reached := transport.Reached{Asked: asked, Answered: asked.Add(tc.took), Date: tc.date}
		findings := Connections(t.Context(), fakeReach{one: reached}, []string{one}, false)
		want(t, name, findings[1], tc.status, tc.texts...)
		if findings[1].Check != CheckClock {
			t.Errorf("%s: a finding about %s", name, findings[1].Check)
		}
	}
}

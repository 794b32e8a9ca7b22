package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"

	"github.com/caddy-wechat/gateway/internal/provider/transport"
	"github.com/caddy-wechat/gateway/internal/wording"
)

// Kinds of the findings of Connection.
const (
	CheckConnection = "connection"
	CheckClock      = "clock"
)

const (
	// Tokens of other nodes and WeChat's own times bear a clock that is a few
	// seconds off, but not one that is a minute off.
	clockWarn = 5 * time.Second
	clockFail = time.Minute
	// certificateWarn is when a certificate should long have been replaced.
	certificateWarn = 7 * 24 * time.Hour
)

// Reacher connects to a base URL of the API.
type Reacher interface {
	Reach(ctx context.Context, base string) (transport.Reached, error)
}

// Connections checks each base URL: whether it can be reached, by whose
// certificate, and how far its clock is from ours. A base that is down is a
// failure only if there is no other one, but a bad certificate always is.
func Connections(ctx context.Context, reacher Reacher, bases []string, proxied bool) []Finding {
	var findings []Finding
	reachable := 0
	for _, base := range bases {
		reached, err := reacher.Reach(ctx, base)
		if err != nil {
			findings = append(findings, unreachable(base, err, proxied))
			continue
		}
		reachable++
		findings = append(findings, connection(base, reached), clock(base, reached))
	}
	for i, f := range findings {
		if f.Status == Warn && f.Check == CheckConnection && reachable == 0 {
			findings[i].Status = Fail
		}
	}
	return findings
}

func host(base string) string {
	u, err := url.Parse(base)
	if err != nil {
		return "api"
	}
	return u.Host
}

func connection(base string, reached transport.Reached) Finding {
	f := Finding{Check: CheckConnection, Subject: host(base), Status: OK}
	if len(reached.Chain) == 0 {
		f.Message = wording.Textf("reached, over plain http on this machine")
		return f
	}
	end := reached.Chain[0].NotAfter
	f.Message = wording.Textf("reached; its certificate is verified and good until %s", end.UTC().Format(time.DateOnly))
	if end.Sub(reached.Answered) < certificateWarn {
		f.Status, f.Action = Warn, wording.Textf("check the date of this machine; if it is right, WeChat must replace the certificate soon")
	}
	return f
}

func clock(base string, reached transport.Reached) Finding {
	f := Finding{Check: CheckClock, Subject: host(base), Status: OK}
	if reached.Date.IsZero() {
		f.Status, f.Message = Skip, wording.Textf("the answer says no time, so the clocks cannot be compared")
		return f
	}
	off := difference(reached)
	if off == 0 {
		f.Message = wording.Textf("this machine and WeChat agree on the time")
		return f
	}
	format := "this machine's clock is %s ahead of WeChat's"
	if off < 0 {
		format = "this machine's clock is %s behind WeChat's"
	}
	f.Message = wording.Textf(format, off.Abs().Round(time.Second))
	switch {
	case off.Abs() > clockFail:
		f.Status = Fail
	case off.Abs() > clockWarn:
		f.Status = Warn
	default:
		return f
	}
	f.Action = wording.Textf("have the clock set by NTP (timedatectl set-ntp true)")
	return f
}

// difference is how far our clock is ahead at the least: WeChat read its own
// somewhere between our question and our answer, and rounded down.
func difference(reached transport.Reached) time.Duration {
	earliest, latest := reached.Date, reached.Date.Add(time.Second)
	switch {
	case reached.Asked.After(latest):
		return reached.Asked.Sub(latest)
	case reached.Answered.Before(earliest):
		return reached.Answered.Sub(earliest)
	}
	return 0
}

// unreachable says why a base cannot be reached.
func unreachable(base string, err error, proxied bool) Finding {
	f := Finding{Check: CheckConnection, Subject: host(base), Status: Warn}
	if certificate, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		f.Status = Fail
		f.Message, f.Action = badCertificate(certificate.Err)
		return f
	}
	f.Message, f.Action = explain(err, proxied)
	return f
}

func badCertificate(err error) (message, action wording.Text) {
	invalid, isInvalid := errors.AsType[x509.CertificateInvalidError](err)
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return wording.Textf("the certificate is another host's"), wording.Textf("look for a proxy or firewall that answers instead, and check `api` and /etc/hosts")
	}
	if isInvalid && invalid.Reason == x509.Expired {
		return wording.Textf("the certificate is not valid at this time"), wording.Textf("check the date of this machine; if it is right, something else answers instead of WeChat")
	}
	if _, ok := errors.AsType[x509.SystemRootsError](err); ok {
		return wording.Textf("this machine has no trusted certificates"), wording.Textf("install the package ca-certificates")
	}
	return wording.Textf("the certificate is not from an authority that this machine trusts"),
		wording.Textf("install or update the package ca-certificates; if a firewall opens TLS connections, exempt WeChat's hosts from it")
}

// explain puts a failure to connect into words, the likely cause first.
func explain(err error, proxied bool) (message, action wording.Text) {
	operation, _ := errors.AsType[*net.OpError](err)
	atProxy := operation != nil && (operation.Op == "proxyconnect" || operation.Op == "socks connect")
	resolution, isResolution := errors.AsType[*net.DNSError](err)
	timeout, isNet := errors.AsType[net.Error](err)
	_, noTLS := errors.AsType[tls.RecordHeaderError](err)
	alert, isAlert := errors.AsType[tls.AlertError](err)
	switch {
	case atProxy && !isResolution:
		return wording.Textf("the proxy of api_proxy cannot be reached or refuses: %v", root(err)),
			wording.Textf("check that the proxy runs and lets this machine connect to WeChat's hosts")
	case isResolution && proxied:
		return wording.Textf("the name %q of the proxy, or of WeChat, cannot be resolved", resolution.Name), wording.Textf("check `api_proxy` and DNS (/etc/resolv.conf)")
	case isResolution:
		return wording.Textf("the name %q cannot be resolved", resolution.Name), wording.Textf("check DNS (/etc/resolv.conf, in a container its network), and the spelling of `api`")
	case errors.Is(err, syscall.ECONNREFUSED):
		return wording.Textf("no server accepts connections there"), wording.Textf("check `api`, and /etc/hosts; a firewall may refuse, too")
	case errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EHOSTUNREACH):
		return wording.Textf("there is no route to it"), wording.Textf("check this machine's network; if it only has a proxy to the internet, name it in api_proxy")
	case errors.Is(err, context.DeadlineExceeded) || isNet && timeout.Timeout():
		return wording.Textf("no connection within api_timeout"), wording.Textf("let this machine connect to port 443 of WeChat's hosts in the firewall, or name its proxy in api_proxy")
	case noTLS || errors.Is(err, http.ErrSchemeMismatch):
		return wording.Textf("what answers there does not speak TLS"), wording.Textf("check the port in `api`; a proxy or firewall may answer instead")
	case isAlert:
		return wording.Textf("TLS cannot be agreed on: %v", alert), wording.Textf("look for a firewall or proxy in between")
	case errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET):
		return wording.Textf("the connection is cut"), wording.Textf("look for a firewall or proxy in between")
	case proxied:
		return wording.Textf("the proxy of api_proxy refuses, or cannot reach WeChat: %v", root(err)), wording.Textf("check the proxy's rules, user and password")
	}
	return wording.Textf("%v", root(err)), wording.Textf("check this machine's network")
}

// root is the innermost error, whose text has neither addresses nor names that
// were said already.
func root(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

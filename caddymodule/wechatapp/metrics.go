package wechatapp

import (
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-wechat/gateway/caddymodule/internal/answer"
	"github.com/caddy-wechat/gateway/internal/provider/wechat"
)

// metrics are what the gateway counts, on Caddy's own registry. Labels come from
// the configuration or from enumerations, never from a client. Each metric is
// described in docs/monitoring/README.md.
type metrics struct {
	logins       *prometheus.CounterVec
	wechatTime   *prometheus.HistogramVec
	errcodes     *prometheus.CounterVec
	requests     *prometheus.CounterVec
	tokenLookups *prometheus.CounterVec
	storeErrors  *prometheus.CounterVec
	gracePasses  *prometheus.CounterVec
	duplicates   *prometheus.CounterVec
	rateLimited  *prometheus.CounterVec
	apiCalls     *prometheus.CounterVec
	hookCalls    *prometheus.CounterVec
	hookTime     prometheus.Histogram

	// Those of the request path, looked up once.
	authenticated, anonymous, tokenKnown, tokenNew prometheus.Counter
}

// Outcomes that are no code of a refusal.
const (
	OutcomeOK      = "ok"
	OutcomeErrcode = "errcode"
)

const (
	metricsNamespace = "caddy"
	metricsSubsystem = "wechat_auth"

	outcomeAuthenticated = "authenticated"
	outcomeAnonymous     = "anonymous"
	outcomeRefused       = "refused:" // and the code
	endpointCode2Session = "code2session"
	endpointOAuth2       = "oauth2_access_token"
)

func newCounter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: name, Help: help,
	}, labels)
}

func newMetrics(registry prometheus.Registerer, appIDs []string) (*metrics, error) {
	m := &metrics{
		logins: newCounter("logins_total", "Logins by app and outcome: ok, or the code of the error.", "app", "outcome"),
		wechatTime: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: "wechat_request_duration_seconds",
			Help:    "Duration of calls of WeChat.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"endpoint", "app"}),
		errcodes:     newCounter("wechat_errcodes_total", "Errcodes that WeChat answered with; those without a meaning here are \"other\".", "endpoint", "app", "errcode"),
		requests:     newCounter("requests_total", "Requests by outcome: authenticated, anonymous, or refused: and the code of the error.", "outcome"),
		tokenLookups: newCounter("token_cache_lookups_total", "Tokens by whether their signature was verified before: hit or miss.", "result"),
		storeErrors:  newCounter("store_errors_total", "How often the session store could not tell.", "app"),
		gracePasses:  newCounter("grace_passes_total", "Requests that passed on a token's signature alone while the session store could not tell.", "app"),
		duplicates:   newCounter("duplicate_codes_total", "Login codes that came again and were not sent to WeChat again.", "app"),
		apiCalls:     newCounter("api_calls_total", "Calls of wechat_api by outcome: ok, errcode if WeChat answered with one, or the code of the error.", "app", "endpoint", "outcome"),
		hookCalls:    newCounter("login_hook_calls_total", "Calls of the login hook by outcome: ok, not_allowed or login_hook_failed.", "app", "outcome"),
		hookTime: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: "login_hook_duration_seconds",
			Help:    "Duration of calls of the login hook.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}),
		rateLimited: newCounter("rate_limited_logins_total", "Logins refused by the gateway's own limits.", "app"),
	}
	for _, c := range []prometheus.Collector{
		m.logins, m.wechatTime, m.errcodes, m.requests, m.tokenLookups, m.storeErrors, m.gracePasses, m.duplicates, m.rateLimited, m.apiCalls, m.hookCalls, m.hookTime,
	} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	m.authenticated = m.requests.WithLabelValues(outcomeAuthenticated)
	m.anonymous = m.requests.WithLabelValues(outcomeAnonymous)
	m.tokenKnown = m.tokenLookups.WithLabelValues("hit")
	m.tokenNew = m.tokenLookups.WithLabelValues("miss")
	m.initialize(appIDs)
	return m, nil
}

// manyApps is from how many apps on only what alerts need begins at 0, and gauges
// leave out unused apps and closed breakers: series for each
// outcome of thousands of apps are most of what is scraped, and never change.
const manyApps = 100

// initialize makes counters begin at 0: an increase from nothing to 1 is invisible to
// Prometheus, and an alert on it misses the first event.
func (m *metrics) initialize(appIDs []string) {
	m.requests.WithLabelValues(outcomeRefused + answer.InternalError.Code)
	for _, r := range answer.Refusals {
		m.requests.WithLabelValues(outcomeRefused + r.Code)
	}
	m.logins.WithLabelValues("", answer.CodeInvalidRequest) // of clients that name no app
	codes, counters := answer.LoginCodes, []*prometheus.CounterVec{m.gracePasses, m.duplicates, m.storeErrors, m.rateLimited}
	if len(appIDs) > manyApps {
		codes, counters = answer.AlertedCodes, counters[:2]
	}
	for _, appID := range appIDs {
		m.logins.WithLabelValues(appID, OutcomeOK)
		for _, code := range codes {
			m.logins.WithLabelValues(appID, code)
		}
		for _, c := range counters {
			c.WithLabelValues(appID)
		}
	}
}

// wechatCalled counts a call of WeChat.
func (m *metrics) wechatCalled(endpoint, appID string, took time.Duration, err error) {
	m.wechatTime.WithLabelValues(endpoint, appID).Observe(took.Seconds())
	if api, ok := errors.AsType[*wechat.APIError](err); ok {
		m.errcodes.WithLabelValues(endpoint, appID, errcodeLabel(api.Code)).Inc()
	}
}

func errcodeLabel(code int) string {
	if !wechat.KnownErrcode(code) {
		return "other"
	}
	return strconv.Itoa(code)
}

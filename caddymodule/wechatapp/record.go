package wechatapp

import (
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/time/rate"

	"github.com/caddy-wechat/gateway/caddymodule/internal/answer"
)

// Record is told what happens, and tells metrics, events and the log: each thing that
// can happen has a method.
type Record struct {
	ctx      caddy.Context
	events   *caddyevents.App
	logger   *zap.Logger
	refusals *zap.Logger // thinned out
	metrics  *metrics

	kinds map[string]string // of the accounts, by AppID

	mu       sync.Mutex
	accounts map[string]*history
}

func newRecord(ctx caddy.Context, appIDs []string, kinds map[string]string) (*Record, error) {
	module, err := ctx.App("events")
	if err != nil {
		return nil, fmt.Errorf("loading events app: %w", err)
	}
	m, err := newMetrics(ctx.GetMetricsRegistry(), appIDs)
	if err != nil {
		return nil, fmt.Errorf("registering metrics: %w", err)
	}
	logger := ctx.Logger()
	r := &Record{
		ctx: ctx, events: module.(*caddyevents.App), logger: logger, refusals: Sampled(logger), metrics: m,
		kinds:    kinds,
		accounts: make(map[string]*history, len(appIDs)),
	}
	for _, appID := range appIDs {
		r.accounts[appID] = &history{configErrors: make(map[int]*rate.Sometimes)}
	}
	return r, nil
}

// about is the field of a log line that names an account, and the field that
// names its kind. An account that is not configured has no kind.
func (r *Record) about(appID string) zap.Field {
	return zap.Inline(zapcore.ObjectMarshalerFunc(func(to zapcore.ObjectEncoder) error {
		to.AddString("app", appID)
		if kind, found := r.kinds[appID]; found {
			to.AddString("kind", kind)
		}
		return nil
	}))
}

// data is the same for an event, with what else there is to say.
func (r *Record) data(appID string, more map[string]any) map[string]any {
	data := map[string]any{"app": appID}
	if kind, found := r.kinds[appID]; found {
		data["kind"] = kind
	}
	maps.Copy(data, more)
	return data
}

func (r *Record) emit(name string, data map[string]any) { r.events.Emit(r.ctx, name, data) }

// As says who a request passed as.
type As int

// Requests pass as a user or as nobody.
const (
	Anonymous As = iota
	Authenticated
)

// Passed counts a request that was not refused.
func (r *Record) Passed(as As) {
	if as == Authenticated {
		r.metrics.authenticated.Inc()
		return
	}
	r.metrics.anonymous.Inc()
}

// Refused counts a request that was. [Record.LogRefused] says why in the log, but not
// of a login, of which [Record.LoginRefused] does.
func (r *Record) Refused(refusal answer.Refusal) {
	r.metrics.requests.WithLabelValues(outcomeRefused + refusal.Code).Inc()
}

// LoggedOut records that a user has logged out.
func (r *Record) LoggedOut(appID, userHash string) {
	r.emit(eventLogout, r.data(appID, map[string]any{"user_hash": userHash}))
}

// Entered records that a web-view got the session of its Mini Program.
func (r *Record) Entered(appID, userHash string) {
	r.logger.Info("a web-view entered with a ticket", r.about(appID), zap.String("user_hash", userHash))
	r.emit(eventEntered, r.data(appID, map[string]any{"user_hash": userHash}))
}

// What a user of a Mini Program decides about a desktop.
const (
	ScanApproved    = "approved"
	ScanDenied      = "denied"
	ScanWrongNumber = "wrong_number"
)

// ScanDecided writes down what a user has decided about a desktop.
func (r *Record) ScanDecided(appID, userHash, verdict string) {
	r.logger.Info("a scan was decided", zap.String("app", appID), zap.String("user_hash", userHash), zap.String("verdict", verdict))
	r.emit(eventScan, map[string]any{"app": appID, "user_hash": userHash, "verdict": verdict})
}

// SessionReplaced records that a session ended because its browser got another one.
func (r *Record) SessionReplaced(appID, userHash string) {
	r.emit(eventSessionEnded, r.data(appID, map[string]any{"user_hash": userHash}))
}

// SessionsEnded records that an operator has ended sessions.
func (r *Record) SessionsEnded(appID, userHash string, ended int) {
	r.logger.Info("sessions ended by an operator", r.about(appID), zap.String("user_hash", userHash), zap.Int("ended", ended))
	if ended > 0 {
		r.emit(eventSessionEnded, r.data(appID, map[string]any{"user_hash": userHash, "ended": ended}))
	}
}

// Operated writes down what an operator has done about a user.
func (r *Record) Operated(message, appID, userHash string, fields ...zap.Field) {
	r.logger.Info(message, append([]zap.Field{r.about(appID), zap.String("user_hash", userHash)}, fields...)...)
}

// A Call is one of WeChat's API by an app behind the gateway.
type Call struct {
	AppID, Endpoint string
	// Outcome is [OutcomeOK], [OutcomeErrcode] or the code of a refusal.
	Outcome string
	// Errcode is what WeChat answered with, Took how long that took; zero if there was
	// no answer.
	Errcode int
	Took    time.Duration
}

// Called counts a call.
func (r *Record) Called(c Call) {
	if c.Took > 0 {
		r.metrics.wechatTime.WithLabelValues(c.Endpoint, c.AppID).Observe(c.Took.Seconds())
	}
	if c.Errcode != 0 {
		r.metrics.errcodes.WithLabelValues(c.Endpoint, c.AppID, errcodeLabel(c.Errcode)).Inc()
	}
	r.metrics.apiCalls.WithLabelValues(c.AppID, c.Endpoint, c.Outcome).Inc()
}

// Lines about refusals are thinned out: a client that cannot log in, or an
// attacker, must not fill the disk. Of each message this many are written in a
// second, and then every so-manieth.
const (
	refusalsPerSecond = 100
	refusalsThen      = 100
)

// Sampled returns a logger that thins out its lines.
func Sampled(logger *zap.Logger) *zap.Logger {
	return logger.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, time.Second, refusalsPerSecond, refusalsThen)
	}))
}

// history is the newest of each app.
type history struct {
	login        time.Time
	problem      *Problem
	configErrors map[int]*rate.Sometimes // by errcode
}

// Last returns the time of the last login with an account, and its last problem.
func (r *Record) Last(appID string) (login *time.Time, problem *Problem) {
	r.mu.Lock()
	defer r.mu.Unlock()
	account := r.accounts[appID]
	if !account.login.IsZero() {
		at := account.login
		login = &at
	}
	return login, account.problem
}

// remember writes down something about an app, if it is one.
func (r *Record) remember(appID string, write func(*history)) {
	account := r.accounts[appID]
	if account == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	write(account)
}

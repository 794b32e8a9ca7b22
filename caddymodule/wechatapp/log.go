package wechatapp

import (
	"errors"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/time/rate"

	"github.com/caddy-wechat/gateway/caddymodule/internal/answer"
	"github.com/caddy-wechat/gateway/internal/gateway"
	"github.com/caddy-wechat/gateway/internal/identity"
	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/provider/wechat"
)

// Lines about refusals are thinned out: a client that cannot log in, or an
// attacker, must not fill the disk. Of each message this many are written in a
// second, and then every so-manieth.
const (
	refusalsPerSecond = 100
	refusalsThen      = 100
	// configErrorPause is the least time between two lines about one app whose
	// settings WeChat refuses with one errcode.
	configErrorPause = time.Minute
)

func sampled(logger *zap.Logger) *zap.Logger {
	return logger.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, time.Second, refusalsPerSecond, refusalsThen)
	}))
}

// lastProblem is the newest failure of WeChat for an app, for people who look
// after one. That calls are suspended is none: its cause is.
type lastProblem struct {
	At      time.Time `json:"at"`
	Error   string    `json:"error"`
	Errcode int       `json:"errcode,omitempty"`
	RID     string    `json:"rid,omitempty"`
}

func newProblem(err error, at time.Time) lastProblem {
	problem := lastProblem{At: at.UTC(), Error: answer.For(err).Code}
	if api, ok := errors.AsType[*wechat.APIError](err); ok {
		problem.Errcode, problem.RID = api.Code, api.RID
	}
	return problem
}

// journal writes down logins: to the log, and the newest of each app for the
// admin endpoint.
type journal struct {
	observer *observer
	logger   *zap.Logger
	refusals *zap.Logger

	mu   sync.Mutex
	apps map[string]*appJournal
}

type appJournal struct {
	login        time.Time
	problem      *lastProblem
	configErrors map[int]*rate.Sometimes // by errcode
}

func newJournal(o *observer, logger *zap.Logger, apps []string) *journal {
	j := &journal{observer: o, logger: logger, refusals: sampled(logger), apps: make(map[string]*appJournal)}
	for _, app := range apps {
		j.apps[app] = &appJournal{configErrors: make(map[int]*rate.Sometimes)}
	}
	return j
}

func (j *journal) last(appID string) (login *time.Time, problem *lastProblem) {
	j.mu.Lock()
	defer j.mu.Unlock()
	app := j.apps[appID]
	if !app.login.IsZero() {
		at := app.login
		login = &at
	}
	return login, app.problem
}

// loggedIn records a login in the metrics, the log and the events. It names the
// user by the keyed hash only, as loginRefused does.
func (j *journal) loggedIn(grant gateway.Grant, took time.Duration) {
	j.observer.metrics.logins.WithLabelValues(grant.AppID, outcomeOK).Inc()
	j.note(grant.AppID, func(app *appJournal) { app.login = time.Now().UTC() })
	j.logger.Info("login", zap.String("app", grant.AppID), zap.String("outcome", outcomeOK),
		zap.Duration("duration", took), zap.String("user_hash", grant.UserHash))
	j.observer.emit(eventLogin, map[string]any{"app": grant.AppID, "outcome": outcomeOK, "user_hash": grant.UserHash})
	if grant.UnionIDChanged {
		// Bound to another Open Platform account, or to none: accounts that the
		// app keeps by unionid come apart.
		j.logger.Warn("WeChat gave a user another unionid than before", zap.String("app", grant.AppID), zap.String("user_hash", grant.UserHash))
	}
}

// loginRefused records a login that failed. The grant names the user of one whom
// the operator denies. The address of the request is written down where somebody may
// have to block it, and not otherwise.
func (j *journal) loginRefused(r *http.Request, appID string, grant gateway.Grant, refusal answer.Refusal, err error, took time.Duration) {
	app := j.apps[appID]
	if app == nil {
		appID = "" // whatever the client made up stays out of everything
	}
	j.observer.metrics.logins.WithLabelValues(appID, refusal.Code).Inc()
	fields := []zap.Field{zap.String("app", appID), zap.String("outcome", refusal.Code), zap.Duration("duration", took), zap.Error(err)}
	if refusal.Code == answer.CodeRateLimited {
		fields = append(fields, zap.String("client_ip", clientIP(r)))
	}
	data := map[string]any{"app": appID, "outcome": refusal.Code}
	if grant.UserHash != "" {
		fields = append(fields, zap.String("user_hash", grant.UserHash))
		data["user_hash"] = grant.UserHash
	}
	problem := newProblem(err, time.Now())
	if api, ok := errors.AsType[*wechat.APIError](err); ok {
		fields = append(fields, zap.Int("errcode", api.Code), zap.String("rid", api.RID))
		data["errcode"], data["rid"] = api.Code, api.RID
	}
	if refusal.Status >= 500 && !errors.Is(err, gateway.ErrPaused) && !errors.Is(err, gateway.ErrStoreUnavailable) {
		j.note(appID, func(app *appJournal) { app.problem = &problem })
	}
	level := zapcore.InfoLevel
	if refusal.Code == answer.InternalError.Code || errors.Is(err, gateway.ErrStoreUnavailable) {
		level = zapcore.ErrorLevel // neither the client nor WeChat is the reason
	}
	j.refusals.Log(level, "login refused", fields...)
	j.observer.emit(eventLoginRefused, data)
	if errors.Is(err, provider.ErrMisconfigured) && app != nil {
		j.configErrors(app, problem.Errcode).Do(func() {
			j.logger.Error("WeChat refuses the app's configuration, nobody can log in", fields...)
			j.observer.emit(eventConfigError, data)
		})
	}
}

// configErrors thins out the lines about one errcode of an app. Another one is news:
// whoever has fixed the secret must hear of the whitelist at once.
func (j *journal) configErrors(app *appJournal, errcode int) *rate.Sometimes {
	j.mu.Lock()
	defer j.mu.Unlock()
	if app.configErrors[errcode] == nil {
		app.configErrors[errcode] = &rate.Sometimes{Interval: configErrorPause}
	}
	return app.configErrors[errcode]
}

// tokenRefused says at DEBUG why a token does not count, which clients never learn.
func (j *journal) tokenRefused(explain func() (reason, kid string)) {
	c := j.refusals.Check(zapcore.DebugLevel, "token refused")
	if c == nil {
		return
	}
	reason, kid := explain()
	fields := []zap.Field{zap.String("reason", reason)}
	if kidPattern.MatchString(kid) { // of a token that anybody can have made
		fields = append(fields, zap.String("kid", kid))
	}
	c.Write(fields...)
}

// note writes down something about an app, if it is one.
func (j *journal) note(appID string, write func(*appJournal)) {
	app := j.apps[appID]
	if app == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	write(app)
}

// refused logs a request that was refused. user is who the token speaks for,
// if that is known.
func (j *journal) refused(refusal answer.Refusal, err error, user identity.User, hash func(identity.User) string) {
	level := zapcore.InfoLevel
	if refusal.Status >= 500 {
		level = zapcore.ErrorLevel
	}
	c := j.refusals.Check(level, "request refused")
	if c == nil {
		return
	}
	fields := []zap.Field{zap.String("app", user.AppID), zap.String("outcome", refusal.Code), zap.Int("status", refusal.Status), zap.Error(err)}
	if user.OpenID != "" {
		fields = append(fields, zap.String("user_hash", hash(user)))
	}
	c.Write(fields...)
}

package wechatapp

import (
	"errors"
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

// Sampled returns a logger that thins out its lines.
func Sampled(logger *zap.Logger) *zap.Logger {
	return logger.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, time.Second, refusalsPerSecond, refusalsThen)
	}))
}

// A Problem is the newest failure of WeChat for an app, for people who look
// after one. That calls are suspended is none: its cause is.
type Problem struct {
	At      time.Time `json:"at"`
	Error   string    `json:"error"`
	Errcode int       `json:"errcode,omitempty"`
	RID     string    `json:"rid,omitempty"`
}

// NewProblem describes a failure for people.
func NewProblem(err error, at time.Time) Problem {
	problem := Problem{At: at.UTC(), Error: answer.For(err).Code}
	if api, ok := errors.AsType[*wechat.APIError](err); ok {
		problem.Errcode, problem.RID = api.Code, api.RID
	}
	return problem
}

// history is the newest of each app.
type history struct {
	login        time.Time
	problem      *Problem
	configErrors map[int]*rate.Sometimes // by errcode
}

// Last returns when somebody logged in with an app last, and what failed last.
func (r *Record) Last(appID string) (login *time.Time, problem *Problem) {
	r.mu.Lock()
	defer r.mu.Unlock()
	app := r.apps[appID]
	if !app.login.IsZero() {
		at := app.login
		login = &at
	}
	return login, app.problem
}

// LoggedIn records a login in the metrics, the log and the events. It names the
// user by the keyed hash only, as LoginRefused does.
func (r *Record) LoggedIn(grant gateway.Grant, took time.Duration) {
	r.metrics.logins.WithLabelValues(grant.AppID, OutcomeOK).Inc()
	r.remember(grant.AppID, func(app *history) { app.login = time.Now().UTC() })
	r.logger.Info("login", r.about(grant.AppID), zap.String("outcome", OutcomeOK),
		zap.Duration("duration", took), zap.String("user_hash", grant.UserHash))
	r.emit(eventLogin, r.data(grant.AppID, map[string]any{"outcome": OutcomeOK, "user_hash": grant.UserHash}))
	if grant.UnionIDChanged {
		// Bound to another Open Platform account, or to none: accounts that the
		// app keeps by unionid come apart.
		r.logger.Warn("WeChat gave a user another unionid than before", r.about(grant.AppID), zap.String("user_hash", grant.UserHash))
	}
}

// LoginRefused records a login that failed. The grant names the user of one whom
// the operator denies. The address of the request is logged only where an operator may
// want to block it.
func (r *Record) LoginRefused(clientIP, appID string, grant gateway.Grant, refusal answer.Refusal, err error, took time.Duration) {
	app := r.apps[appID]
	if app == nil {
		appID = "" // whatever the client made up stays out of everything
	}
	r.metrics.logins.WithLabelValues(appID, refusal.Code).Inc()
	fields := []zap.Field{r.about(appID), zap.String("outcome", refusal.Code), zap.Duration("duration", took), zap.Error(err)}
	if refusal.Code == answer.CodeRateLimited {
		fields = append(fields, zap.String("client_ip", clientIP))
	}
	data := r.data(appID, map[string]any{"outcome": refusal.Code})
	if grant.UserHash != "" {
		fields = append(fields, zap.String("user_hash", grant.UserHash))
		data["user_hash"] = grant.UserHash
	}
	problem := NewProblem(err, time.Now())
	if api, ok := errors.AsType[*wechat.APIError](err); ok {
		fields = append(fields, zap.Int("errcode", api.Code), zap.String("rid", api.RID))
		data["errcode"], data["rid"] = api.Code, api.RID
	}
	if refusal.Status >= 500 && !errors.Is(err, gateway.ErrPaused) && !errors.Is(err, gateway.ErrStoreUnavailable) {
		r.remember(appID, func(app *history) { app.problem = &problem })
	}
	level := zapcore.InfoLevel
	if refusal.Code == answer.InternalError.Code || errors.Is(err, gateway.ErrStoreUnavailable) {
		level = zapcore.ErrorLevel // neither the client nor WeChat is the reason
	}
	r.refusals.Log(level, "login refused", fields...)
	r.emit(eventLoginRefused, data)
	if errors.Is(err, provider.ErrMisconfigured) && app != nil {
		r.configErrors(app, problem.Errcode).Do(func() {
			r.logger.Error("WeChat refuses the app's configuration, nobody can log in", fields...)
			r.emit(eventConfigError, data)
		})
	}
}

// configErrors thins out the lines about one errcode of an app. Another one is news:
// whoever has fixed the secret must hear of the whitelist at once.
func (r *Record) configErrors(app *history, errcode int) *rate.Sometimes {
	r.mu.Lock()
	defer r.mu.Unlock()
	if app.configErrors[errcode] == nil {
		app.configErrors[errcode] = &rate.Sometimes{Interval: configErrorPause}
	}
	return app.configErrors[errcode]
}

// TokenRefused says at DEBUG why a token does not count, which clients never learn.
func (r *Record) TokenRefused(explain func() (reason, kid string)) {
	c := r.refusals.Check(zapcore.DebugLevel, "token refused")
	if c == nil {
		return
	}
	reason, kid := explain()
	fields := []zap.Field{zap.String("reason", reason)}
	if IsKeyID(kid) { // of a token that anybody can have made
		fields = append(fields, zap.String("kid", kid))
	}
	c.Write(fields...)
}

// remember writes down something about an app, if it is one.
func (r *Record) remember(appID string, write func(*history)) {
	app := r.apps[appID]
	if app == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	write(app)
}

// LogRefused logs a request that was refused. user is who the token speaks for,
// if that is known.
func (r *Record) LogRefused(refusal answer.Refusal, err error, user identity.User, hash func(identity.User) string) {
	level := zapcore.InfoLevel
	if refusal.Status >= 500 {
		level = zapcore.ErrorLevel
	}
	c := r.refusals.Check(level, "request refused")
	if c == nil {
		return
	}
	fields := []zap.Field{r.about(user.AppID), zap.String("outcome", refusal.Code), zap.Int("status", refusal.Status), zap.Error(err)}
	if user.OpenID != "" {
		fields = append(fields, zap.String("user_hash", hash(user)))
	}
	c.Write(fields...)
}

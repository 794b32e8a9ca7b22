package wechatapp

import (
	"errors"
	"regexp"
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

// configErrorPause is the least time between two lines about one app whose
// settings WeChat refuses with one errcode.
const configErrorPause = time.Minute

// LoggedIn records a login in the metrics, the log and the events. It names the
// user by the keyed hash only, as LoginRefused does.
func (r *Record) LoggedIn(grant gateway.Grant, took time.Duration) {
	r.metrics.logins.WithLabelValues(grant.AppID, OutcomeOK).Inc()
	r.remember(grant.AppID, func(account *history) { account.login = time.Now().UTC() })
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
	account := r.accounts[appID]
	if account == nil {
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
		r.remember(appID, func(account *history) { account.problem = &problem })
	}
	level := zapcore.InfoLevel
	if refusal.Code == answer.InternalError.Code || errors.Is(err, gateway.ErrStoreUnavailable) {
		level = zapcore.ErrorLevel // neither the client nor WeChat is the reason
	}
	r.refusals.Log(level, "login refused", fields...)
	r.emit(eventLoginRefused, data)
	if errors.Is(err, provider.ErrMisconfigured) && account != nil {
		r.configErrors(account, problem.Errcode).Do(func() {
			r.logger.Error("WeChat refuses the app's configuration, nobody can log in", fields...)
			r.emit(eventConfigError, data)
		})
	}
}

// configErrors thins out the lines about one errcode of an app. Another one is news:
// whoever has fixed the secret must hear of the whitelist at once.
func (r *Record) configErrors(account *history, errcode int) *rate.Sometimes {
	r.mu.Lock()
	defer r.mu.Unlock()
	if account.configErrors[errcode] == nil {
		account.configErrors[errcode] = &rate.Sometimes{Interval: configErrorPause}
	}
	return account.configErrors[errcode]
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

// kidPattern fits no token, whose parts are joined by dots.
var kidPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// IsKeyID reports whether a text may be shown as the kid of a key.
func IsKeyID(text string) bool { return kidPattern.MatchString(text) }

package wechatapp

import (
	"errors"
	"time"

	"github.com/caddy-wechat/gateway/caddymodule/internal/answer"
	"github.com/caddy-wechat/gateway/internal/provider/wechat"
)

// A Problem is the newest failure of WeChat for an app, for people who look
// after one. Suspended calls are no problem of their own: their cause is.
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

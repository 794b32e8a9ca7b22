package operate

import (
	"github.com/caddy-wechat/gateway/caddymodule/survey"
	"github.com/caddy-wechat/gateway/caddymodule/wechatapp"
	"github.com/caddy-wechat/gateway/internal/doctor"
	"github.com/caddy-wechat/gateway/internal/provider"
	"github.com/caddy-wechat/gateway/internal/wording"
)

// Kinds of findings.
const (
	checkConfig   = "config"
	checkSecret   = "secret"
	checkStore    = "store"
	checkKeys     = "keys"
	checkHeaders  = "headers"
	checkLogin    = survey.NoticeLogin
	checkCallback = "callback"
	checkCoverage = survey.NoticeCoverage
	checkRunning  = "running"
	checkHook     = "hook"
)

// examination is a configuration under examination.
type examination struct {
	*inspection
	config   []byte
	settings *wechatapp.App     // by themselves; nil if they cannot be read
	accounts []provider.Account // whose secret is there
	offline  bool
	survey   *survey.Survey // of the routes, once the configuration has loaded
}

func skipped(message wording.Text, checks ...string) []doctor.Finding {
	var findings []doctor.Finding
	for _, check := range checks {
		findings = append(findings, doctor.Skipf(check, "", "%s", message))
	}
	return findings
}

// siteExamination is a configuration with probes in place of its apps, so that
// requests can be sent through it.
type siteExamination struct {
	survey *survey.Survey
	apps   *probes
}

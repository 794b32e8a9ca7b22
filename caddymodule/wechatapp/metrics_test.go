package wechatapp

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-wechat/gateway/caddymodule/internal/answer"
)

// registered lists the names of all metrics of a running gateway, as they are
// scraped.
func registered(t *testing.T) map[string]bool {
	t.Helper()
	m, err := newMetrics(prometheus.NewRegistry(), nil)
	if err != nil {
		t.Fatal(err)
	}
	descs := make(chan *prometheus.Desc, 100)
	for _, c := range []prometheus.Collector{
		m.logins, m.wechatTime, m.errcodes, m.requests, m.tokenLookups, m.storeErrors, m.gracePasses, m.duplicates, m.rateLimited, m.apiCalls, m.hookCalls, m.hookTime, newGauges(new(App)),
	} {
		c.Describe(descs)
	}
	close(descs)
	names := make(map[string]bool)
	name := regexp.MustCompile(`fqName: "(\w+)"`)
	for d := range descs {
		names[name.FindStringSubmatch(d.String())[1]] = true
	}
	return names
}

// Every metric that dashboard, alerts and documentation name exists, and every
// metric is documented and on the dashboard.
func TestDashboardAlertsAndDocsNameTheMetrics(t *testing.T) {
	names := registered(t)
	mention := regexp.MustCompile(`caddy_wechat_auth_\w+`)
	for _, file := range []string{"grafana-dashboard.json", "alerts.yml", "README.md"} {
		data, err := os.ReadFile(filepath.Join("..", "..", "docs", "monitoring", file))
		if err != nil {
			t.Fatal(err)
		}
		mentioned := make(map[string]bool)
		for _, m := range mention.FindAllString(string(data), -1) {
			base := m
			for _, suffix := range []string{"_bucket", "_count", "_sum"} {
				if trimmed, found := strings.CutSuffix(m, suffix); found && names[trimmed] {
					base = trimmed
				}
			}
			if !names[base] {
				t.Errorf("%s names %s, which does not exist", file, m)
			}
			mentioned[base] = true
		}
		for name := range names {
			if file != "alerts.yml" && !mentioned[name] {
				t.Errorf("%s does not name %s", file, name)
			}
		}
	}
}

// O4: zeros are for alerts, and not one for every outcome of thousands of apps.
func TestZerosAreBounded(t *testing.T) {
	series := func(apps int) (n int) {
		registry := prometheus.NewRegistry()
		ids := make([]string, apps)
		for i := range ids {
			ids[i] = fmt.Sprintf("wx%016x", i)
		}
		if _, err := newMetrics(registry, ids); err != nil {
			t.Fatal(err)
		}
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			n += len(family.GetMetric())
		}
		return n
	}
	few, many, more := series(2)-series(1), series(1001)-series(1000), series(manyApps)-series(manyApps-1)
	if few != 1+len(answer.LoginCodes)+4 || few != more || many != 1+len(answer.AlertedCodes)+2 {
		t.Errorf("series of one more app: %d of 2, %d of %d, %d of 1001", few, more, manyApps, many)
	}
}

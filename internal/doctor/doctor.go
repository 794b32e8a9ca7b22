// Package doctor finds out why logins fail and says it in plain words: whether
// WeChat accepts the app and can be reached, whether the clock is right, and
// whether an app behind the gateway sees true identity headers only.
package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/caddy-wechat/gateway/internal/wording"
)

// Status says how a check went.
type Status string

// The statuses. Only [Fail] makes the whole examination fail.
const (
	OK   Status = "ok"
	Warn Status = "warn"
	Fail Status = "fail"
	Skip Status = "skip"
)

// Finding is the outcome of one check. It never holds a secret, a token or an
// openid.
type Finding struct {
	// Check is the kind of check, Subject what was examined: an app, a site.
	Check   string `json:"check"`
	Subject string `json:"subject"`
	Status  Status `json:"status"`
	// Message says what was found, Action what to do about it; the latter is
	// empty if there is nothing to do.
	Message wording.Text `json:"message"`
	Action  wording.Text `json:"action"`
}

// OKf is a finding that nothing is wrong.
func OKf(check, subject, format string, args ...any) Finding {
	return Finding{check, subject, OK, wording.Textf(format, args...), wording.Text{}}
}

// Warnf is a finding that may be meant so.
func Warnf(check, subject string, action wording.Text, format string, args ...any) Finding {
	return Finding{check, subject, Warn, wording.Textf(format, args...), action}
}

// Failf is a finding that something does not work.
func Failf(check, subject string, action wording.Text, format string, args ...any) Finding {
	return Finding{check, subject, Fail, wording.Textf(format, args...), action}
}

// Skipf says why something was not tested.
func Skipf(check, subject, format string, args ...any) Finding {
	return Finding{check, subject, Skip, wording.Textf(format, args...), wording.Text{}}
}

// Failed reports whether any finding is a failure.
func Failed(findings []Finding) bool {
	return slices.ContainsFunc(findings, func(f Finding) bool { return f.Status == Fail })
}

// WriteText writes one line per finding, in a language.
func WriteText(w io.Writer, l wording.Language, findings []Finding) error {
	for _, f := range findings {
		check, message := wording.Textf(f.Check).In(l), f.Message.In(l)
		parts := []string{check, f.Subject + ":", message}
		if f.Subject == "" {
			parts = []string{check + ":", message}
		}
		if !f.Action.IsZero() {
			parts = append(parts, "->", f.Action.In(l))
		}
		// Messages of others may have line breaks in them.
		line := strings.Join(strings.Fields(strings.Join(parts, " ")), " ")
		if _, err := fmt.Fprintf(w, "%s  %s\n", pad(wording.Textf(string(f.Status)).In(l)), line); err != nil {
			return fmt.Errorf("writing findings: %w", err)
		}
	}
	return nil
}

// pad makes the statuses of one language a column. A Chinese character is two wide.
func pad(status string) string {
	const width = 4
	taken := len(status)
	if runes := utf8.RuneCountInString(status); runes != taken {
		taken = 2 * runes
	}
	return status + strings.Repeat(" ", max(width-taken, 0))
}

// WriteJSON writes the findings as an array.
func WriteJSON(w io.Writer, findings []Finding) error {
	if findings == nil {
		findings = []Finding{}
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "\t")
	if err := encoder.Encode(findings); err != nil {
		return fmt.Errorf("writing findings: %w", err)
	}
	return nil
}

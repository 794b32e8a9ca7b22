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
)

// Status says how a check went.
type Status string

// The statuses. Only Fail makes the whole examination fail.
const (
	OK   Status = "ok"
	Warn Status = "warn"
	Fail Status = "fail"
	Skip Status = "skip"
)

// Finding is the outcome of one check. It never holds a secret, a token or an
// openid.
type Finding struct {
	// Check is the kind of check, Subject what was looked at: an app, a site.
	Check   string `json:"check"`
	Subject string `json:"subject"`
	Status  Status `json:"status"`
	// Message says what was found, Action what to do about it; the latter is
	// empty if there is nothing to do.
	Message string `json:"message"`
	Action  string `json:"action"`
}

// OKf is a finding that nothing is wrong.
func OKf(check, subject, format string, args ...any) Finding {
	return Finding{check, subject, OK, fmt.Sprintf(format, args...), ""}
}

// Warnf is a finding that may be meant so.
func Warnf(check, subject, action, format string, args ...any) Finding {
	return Finding{check, subject, Warn, fmt.Sprintf(format, args...), action}
}

// Failf is a finding that something does not work.
func Failf(check, subject, action, format string, args ...any) Finding {
	return Finding{check, subject, Fail, fmt.Sprintf(format, args...), action}
}

// Skipf says why something was not tested.
func Skipf(check, subject, format string, args ...any) Finding {
	return Finding{check, subject, Skip, fmt.Sprintf(format, args...), ""}
}

// Failed reports whether any finding is a failure.
func Failed(findings []Finding) bool {
	return slices.ContainsFunc(findings, func(f Finding) bool { return f.Status == Fail })
}

// WriteText writes one line per finding, in the language.
func WriteText(w io.Writer, findings []Finding, language Language) error {
	for _, f := range findings {
		f.Message, f.Action = language.Say(f.Message), language.Say(f.Action)
		parts := []string{f.Check, f.Subject + ":", f.Message}
		if f.Subject == "" {
			parts = []string{f.Check + ":", f.Message}
		}
		if f.Action != "" {
			parts = append(parts, "->", f.Action)
		}
		// Messages of others may have line breaks in them.
		line := strings.Join(strings.Fields(strings.Join(parts, " ")), " ")
		if _, err := fmt.Fprintf(w, "%-4s  %s\n", f.Status, line); err != nil {
			return fmt.Errorf("writing findings: %w", err)
		}
	}
	return nil
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
